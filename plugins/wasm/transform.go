package wasm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm/internal/cdata"
	"github.com/calvelake/calve/sdk/abi"
)

// Init opens a plugin for a model.
type Init struct {
	Pipeline string
	Model    string
	Config   json.RawMessage // the model's config for the plugin; nil is null
	Input    *arrow.Schema   // of the batches that Process will get
	Output   *arrow.Schema   // what the model declares of the main stream; nil: as the plugin returns it
	OnError  OnError

	// Key is the column type of a session's key (kind session).
	Key arrow.DataType
	// InForce is the attributes that Decide gets of the version in force (kind
	// scd).
	InForce *arrow.Schema
}

// OnError says what a row does that a plugin fails on.
type OnError int

const (
	// DeadLetter: the row comes back as a row error, the others go on.
	DeadLetter OnError = iota
	// Stop: Process returns the error.
	Stop
)

// Transform is a plugin of kind transform, opened for a model. It is safe for
// concurrent use: each call takes an instance of its own, which is kept for the
// next one.
type Transform struct {
	plugin  *Plugin
	init    Init
	streams map[uint32]*stream
	observe *observer
	input   *arrow.Schema // what the guest is told of its input
	state   *arrow.Schema // and of state; nil: none

	mu     sync.Mutex
	idle   []*instance
	closed bool
}

// Open makes an instance, configures it, and compares the plugin's columns with
// the model's. Its errors are ErrMismatch, ErrRefusedConfig, and those of a
// call.
func (p *Plugin) Open(ctx context.Context, init Init) (*Transform, error) {
	return p.open(ctx, init, abi.KindTransform, nil)
}

// open opens a plugin of a kind. complete, if not nil, fixes the schemas that
// the guest is told of.
func (p *Plugin) open(ctx context.Context, init Init, kind string, complete func(*Transform) error) (*Transform, error) {
	t := &Transform{plugin: p, init: init, observe: newObserver(p, init.Model), input: init.Input}
	if t.init.Config == nil {
		t.init.Config = json.RawMessage("null")
	}
	if p.describe.Kind != kind {
		return nil, t.fault(fmt.Errorf("%w: it is of kind %q, a %s is needed", ErrMismatch, p.describe.Kind, kind))
	}
	if err := checkInput(p.describe.Input, init.Input); err != nil {
		return nil, t.fault(err)
	}
	if complete != nil {
		if err := complete(t); err != nil {
			return nil, t.fault(err)
		}
	}
	in, announced, err := t.newInstance(ctx)
	if err != nil {
		return nil, t.fault(err)
	}
	if t.streams, err = newStreams(p.describe.Outputs, announced, init.Output); err != nil {
		in.close(ctx)
		return nil, t.fault(err)
	}
	t.idle = append(t.idle, in)
	return t, nil
}

// fault says where an error of Open belongs.
func (t *Transform) fault(err error) error {
	d := t.plugin.describe
	return fmt.Errorf("open plugin %q version %q for model %q: %w", d.Name, d.Version, t.init.Model, err)
}

// newInstance makes a configured instance, and returns the schemas that it
// announced for its derived streams.
func (t *Transform) newInstance(ctx context.Context) (*instance, map[uint32][]cdata.SchemaColumn, error) {
	in, err := t.plugin.newInstance(ctx)
	if err != nil {
		return nil, nil, err
	}
	in.env.epoch = &t.observe.logLeft
	announced, err := t.configure(ctx, in)
	if err != nil {
		in.close(ctx)
		return nil, nil, err
	}
	return in, announced, nil
}

// configure calls calve_init.
func (t *Transform) configure(ctx context.Context, in *instance) (map[uint32][]cdata.SchemaColumn, error) {
	size, err := cdata.SchemaBytes(t.input)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMismatch, err)
	}
	stateAt := (size + 7) &^ 7
	if size = stateAt; t.state != nil {
		n, err := cdata.SchemaBytes(t.state)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMismatch, err)
		}
		size += n
	}
	text, err := t.initJSON(^uint32(0), ^uint32(0)) // as long as it can be
	if err != nil {
		return nil, err
	}
	limits := t.plugin.limits
	address, arena, err := in.alloc(ctx, limits.Budget, size+int64(len(text)))
	if err != nil {
		return nil, err
	}
	schema, err := cdata.WriteSchema(arena, address, t.input)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMismatch, err)
	}
	state := uint32(0)
	if t.state != nil {
		if state, err = cdata.WriteSchema(arena[stateAt:], address+uint32(stateAt), t.state); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMismatch, err)
		}
	}
	if text, err = t.initJSON(schema, state); err != nil {
		return nil, err
	}
	copy(arena[size:], text)
	r, err := in.call(ctx, limits.Budget, abi.ExportInit, uint64(address)+uint64(size), uint64(len(text)))
	if err != nil {
		return nil, err
	}
	reader := &cdata.Reader{Memory: in.memory(), Budget: limits.OutputBytes}
	res, err := in.result(reader, r)
	if err != nil {
		return nil, err
	}
	announced := map[uint32][]cdata.SchemaColumn{}
	for _, o := range res.Outputs {
		if announced[o.Stream], err = reader.Schema(o.Schema); err != nil {
			return nil, fmt.Errorf("output stream %d: %w", o.Stream, err)
		}
	}
	return announced, nil
}

func (t *Transform) initJSON(schema, state uint32) ([]byte, error) {
	l := t.plugin.limits
	text, err := json.Marshal(abi.Init{
		Config: t.init.Config, InputSchema: schema, StateSchema: state, Pipeline: t.init.Pipeline, Model: t.init.Model,
		Limits: abi.InitLimits{MemoryBytes: l.MemoryBytes, OutputBytes: l.OutputBytes, OutputRows: l.OutputRows},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: the config is not JSON: %w", ErrRefusedConfig, err)
	}
	return text, nil
}

// take gives an idle instance, or makes one.
func (t *Transform) take(ctx context.Context) (*instance, error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil, ErrClosed
	}
	if n := len(t.idle); n > 0 {
		in := t.idle[n-1]
		t.idle = t.idle[:n-1]
		t.mu.Unlock()
		return in, nil
	}
	t.mu.Unlock()
	in, _, err := t.newInstance(ctx)
	return in, err
}

// put gives an instance back after a call that succeeded.
func (t *Transform) put(ctx context.Context, in *instance) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		in.close(ctx)
		return
	}
	t.idle = append(t.idle, in)
}

// NextEpoch begins another epoch: the plugin may log again.
func (t *Transform) NextEpoch() { t.observe.logLeft.Store(t.plugin.limits.EpochLogBytes) }

// Close frees the instances, also when ctx has ended: what guests do at their
// close is bounded by their budget. A call that still runs frees its own at its
// end.
func (t *Transform) Close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	t.mu.Lock()
	idle := t.idle
	t.idle, t.closed = nil, true
	t.mu.Unlock()
	var errs []error
	for _, in := range idle {
		if _, ok := in.functions[abi.ExportClose]; ok {
			if _, err := in.call(ctx, t.plugin.limits.Budget, abi.ExportClose); err != nil {
				errs = append(errs, fmt.Errorf("close plugin %q: %w", t.plugin.describe.Name, err))
			}
		}
		in.close(ctx)
	}
	return errors.Join(errs...)
}
