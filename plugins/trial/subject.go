package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/sdk/abi"
)

// Setup is what a plugin is opened for.
type Setup struct {
	Config json.RawMessage
	Input  *arrow.Schema
	Key    arrow.DataType // kind session
	// Stop: what the plugin fails on is the answer's fate. Otherwise it becomes
	// row errors.
	Stop bool
}

// Setup is what the case needs, for the rows that it gave.
func (c Case) Setup(r Rows) Setup {
	s := Setup{Config: c.Config, Input: r.Batch.Schema()}
	if r.keys != nil {
		s.Key = r.keys.DataType()
	}
	return s
}

// Subject is a plugin of any kind, opened. It is not for concurrent use.
type Subject struct {
	setup     Setup
	transform *wasm.Transform
	session   *wasm.Session
	scd       *wasm.SCD
	inForce   *arrow.Schema // kind scd
}

// Open opens a plugin. Its errors are those of wasm's Open.
func Open(ctx context.Context, p *wasm.Plugin, setup Setup) (s *Subject, err error) {
	s = &Subject{setup: setup}
	init := wasm.Init{Pipeline: "test", Model: "test", Config: setup.Config, Input: setup.Input, Key: setup.Key}
	if setup.Stop {
		init.OnError = wasm.Stop
	}
	switch kind := p.Describe().Kind; kind {
	case abi.KindTransform:
		s.transform, err = p.Open(ctx, init)
	case abi.KindSession:
		s.session, err = p.OpenSession(ctx, init)
	case abi.KindSCD:
		err = s.openSCD(ctx, p, init)
	default:
		err = fmt.Errorf("%w: kind %q is unknown", wasm.ErrMismatch, kind)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// openSCD opens an scd plugin for versions of the very attributes that it
// stores. Those that it derives are known once it was opened.
func (s *Subject) openSCD(ctx context.Context, p *wasm.Plugin, init wasm.Init) error {
	stored, err := storedAttributes(p.Describe(), init.Input)
	if err != nil {
		return err
	}
	for range 2 {
		s.inForce = nullable(stored)
		init.InForce = s.inForce
		if s.scd, err = p.OpenSCD(ctx, init); err != nil {
			return err
		}
		if stored, err = s.attributes(ctx); err != nil {
			return errors.Join(err, s.scd.Close(ctx))
		}
		if s.inForce.Equal(nullable(stored)) {
			return nil
		}
		if err := s.scd.Close(ctx); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: the attributes that it stores are other ones each time that it is told which are in force", wasm.ErrMismatch)
}

func storedAttributes(d abi.Describe, input *arrow.Schema) (*arrow.Schema, error) {
	for _, o := range d.Outputs {
		if o.Stream == abi.StreamMain && !o.Derived {
			return wasm.Schema(o.Columns)
		}
	}
	return input, nil
}

// nullable: of a member without a version all attributes are null.
func nullable(s *arrow.Schema) *arrow.Schema {
	fields := slices.Clone(s.Fields())
	for i := range fields {
		fields[i].Nullable = true
	}
	return arrow.NewSchema(fields, nil)
}

// Ask hands rows to the plugin. An error is the host's, or about the rows; what
// the plugin fails on is in the answer.
func (s *Subject) Ask(ctx context.Context, r Rows) (Answer, error) {
	a, err := s.ask(ctx, r)
	if err != nil && s.setup.Stop {
		return withFate(err)
	}
	return a, err
}

func (s *Subject) ask(ctx context.Context, r Rows) (Answer, error) {
	switch {
	case s.session != nil:
		return s.askSession(ctx, r)
	case s.scd != nil:
		return s.askSCD(ctx, r)
	}
	result, err := s.transform.Process(ctx, r.Batch, wasm.Meta{}, wasm.NoWatermark)
	if err != nil {
		return Answer{}, err
	}
	defer result.Release()
	a := Answer{metrics: result.Metrics}
	a.addErrors(result.Errors, false)
	return a, a.addOutputs(result.Outputs)
}

// AskAgain asks once more, and compares: what the plugin keeps shows here. A
// session plugin is then asked about the same events in several batches too.
func (s *Subject) AskAgain(ctx context.Context, r Rows, first Answer) error {
	again, err := s.Ask(ctx, r)
	if err != nil {
		return err
	}
	if d, ok := first.Difference(again); !ok {
		return &UnstableError{ErrUnstable, d}
	}
	if s.session == nil || first.Fate != nil {
		return nil
	}
	return s.inPieces(ctx, r, first)
}

// inPieces compares what the events that were accepted give in the order of
// time, at once and in pieces. Those that are refused would end sessions or not,
// depending on what they come with.
func (s *Subject) inPieces(ctx context.Context, r Rows, first Answer) error {
	refused := first.refused()
	sorted, err := r.Take(slices.DeleteFunc(r.ordered(), func(row int) bool { return refused[row] }))
	if err != nil {
		return err
	}
	defer sorted.Release()
	whole, err := s.Ask(ctx, sorted)
	if err != nil {
		return err
	}
	for _, n := range []int{2, sorted.Len()} {
		if n > maxPieces || n > sorted.Len() {
			n = min(maxPieces, sorted.Len())
		}
		sorted.arrive = pieces(sorted.Len(), n)
		split, err := s.Ask(ctx, sorted)
		if err != nil {
			return err
		}
		if len(whole.refused())+len(split.refused()) > 0 || whole.Fate != nil || split.Fate != nil {
			return nil
		}
		if d, ok := whole.difference(split, true); !ok {
			return &UnstableError{ErrPieces, d}
		}
	}
	return nil
}

// maxPieces bounds the calls for one case.
const maxPieces = 16

// pieces splits n rows into equal parts.
func pieces(n, parts int) []int {
	sizes := make([]int, parts)
	for i := range sizes {
		sizes[i] = n*(i+1)/parts - n*i/parts
	}
	return sizes
}

// UnstableError is where two answers to the same rows differ.
type UnstableError struct {
	Reason     error // ErrUnstable or ErrPieces
	Difference Difference
}

func (e *UnstableError) Error() string { return fmt.Sprintf("%v: %s", e.Reason, e.Difference) }
func (e *UnstableError) Unwrap() error { return e.Reason }

// Close frees the plugin's instances.
func (s *Subject) Close(ctx context.Context) error {
	switch {
	case s.session != nil:
		return s.session.Close(ctx)
	case s.scd != nil:
		return s.scd.Close(ctx)
	}
	return s.transform.Close(ctx)
}

// fateOf is which of the fates an error is, by its place; -1 for none.
func fateOf(err error) int {
	return slices.IndexFunc(fates, func(f error) bool { return errors.Is(err, f) })
}

// Setups is what cases open a plugin for, each once; without any, what the
// plugin describes. Cases whose config is to be refused are left out.
func Setups(d abi.Describe, cases []Case) ([]Setup, error) {
	var setups []Setup
	seen := map[string]bool{}
	for _, c := range append(slices.Clone(cases), Case{}) {
		if c.Refused != "" || c.isEmpty() && len(setups) > 0 {
			continue
		}
		s, err := c.setup(d)
		if err != nil {
			return nil, err
		}
		key := fmt.Sprint(s.Input, s.Key, string(s.Config))
		if !seen[key] {
			seen[key] = true
			setups = append(setups, s)
		}
	}
	return setups, nil
}

func (c Case) isEmpty() bool { return c.Name == "" && c.Input.Rows == nil }

// setup is what a case needs, whatever its rows are.
func (c Case) setup(d abi.Describe) (Setup, error) {
	schema, err := c.inputSchema(d)
	if err != nil || d.Kind == abi.KindTransform {
		return Setup{Config: c.Config, Input: schema}, err
	}
	s := Setup{Config: c.Config, Input: schema}
	if c.Key == "" {
		s.Key, err = c.keyType()
		return s, err
	}
	if !schema.HasField(c.Key) {
		return s, fmt.Errorf("in the case: key: there is no column %q, there is %s", c.Key, names(schema))
	}
	s.Key = schema.Field(schema.FieldIndices(c.Key)[0]).Type
	return s, nil
}
