package wasm

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/plugins/wasm/internal/cdata"
	"github.com/calvelake/calve/sdk/abi"
)

// sessionVectors is a file of sdk/conformance/session.
type sessionVectors struct {
	About string          `json:"about"`
	Cases []sessionVector `json:"cases"`
}

// sessionVector is one call on the state of sessions.
type sessionVector struct {
	Name   string          `json:"name"`
	Call   string          `json:"call"` // accumulate, merge or finish
	Config json.RawMessage `json:"config"`

	Rows   []json.RawMessage  `json:"rows"`
	Groups []uint32           `json:"groups"`
	State  *[]json.RawMessage `json:"state"` // none: the initial state of the groups
	From   []json.RawMessage  `json:"from"`
	Repeat int                `json:"repeat"`

	Want    []json.RawMessage `json:"want"`
	Origin  []int32           `json:"origin"`
	Errors  []wantError       `json:"errors"`
	Fails   string            `json:"fails"`
	Refused string            `json:"refused"`
}

func TestSessionConformance(t *testing.T) {
	for _, language := range sdkLanguages {
		t.Run(language, func(t *testing.T) {
			plugin := conformanceModule(t, abi.KindSession, language)
			for name, file := range readKindVectors[sessionVectors](t, abi.KindSession, 3) {
				for _, c := range file.Cases {
					t.Run(name+"/"+c.Name, func(t *testing.T) { c.run(t, plugin) })
				}
			}
			t.Run("memory", func(t *testing.T) { checkSessionMemory(t, plugin) })
		})
	}
}

func sessionInit(t *testing.T, p *Plugin) Init {
	t.Helper()
	d := p.Describe()
	return Init{
		Pipeline: "conformance", Input: conformanceSchema(t, d.Input.Columns), Output: conformanceSchema(t, d.Outputs[0].Columns),
		Key: arrow.BinaryTypes.String,
	}
}

// run makes the call twice: an instance that was used answers as a fresh one.
func (c sessionVector) run(t *testing.T, p *Plugin) {
	init := sessionInit(t, p)
	init.Model, init.Config = c.Name, c.Config
	if c.Fails != "" {
		init.OnError = Stop
	}
	s, err := p.OpenSession(t.Context(), init)
	if c.Refused != "" {
		if !errors.Is(err, ErrRefusedConfig) || !strings.Contains(err.Error(), c.Refused) {
			t.Errorf("got %v, want it to be refused with %q", err, c.Refused)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	calls := map[string]func(*testing.T, *Session) error{
		"accumulate": c.accumulate, "merge": c.merge, "finish": c.finish,
	}
	for range 2 {
		err := calls[c.Call](t, s)
		if c.Fails == "" && err != nil {
			t.Fatal(err)
		}
		if c.Fails != "" && (!errors.Is(err, ErrTrap) || !strings.Contains(err.Error(), c.Fails)) {
			t.Fatalf("got %v, want a failure with %q", err, c.Fails)
		}
	}
}

// tiled is rows as often as the case repeats them.
func (c sessionVector) tiled(t *testing.T, schema *arrow.Schema, rows []json.RawMessage) arrow.RecordBatch {
	t.Helper()
	all := tile(t, conformanceRows(t, schema, rows), c.Repeat)
	t.Cleanup(all.Release)
	return all
}

func (c sessionVector) accumulate(t *testing.T, s *Session) error {
	rows := c.tiled(t, s.transform.init.Input, c.Rows)
	var groups []uint32
	for range max(c.Repeat, 1) {
		first := uint32(0)
		if len(groups) > 0 {
			first = groups[len(groups)-1] + 1
		}
		for _, g := range c.Groups {
			groups = append(groups, first+g)
		}
	}
	sessions := 0
	if len(groups) > 0 {
		sessions = int(groups[len(groups)-1]) + 1
	}
	before, err := s.Initial(sessions)
	if err != nil {
		t.Fatal(err)
	}
	defer before.Release()
	if c.State != nil {
		before = c.tiled(t, s.StateSchema(), *c.State)
		before.Retain()
	}
	return c.checkState(t, before, len(c.Rows), func() (Update, error) {
		return s.Accumulate(t.Context(), rows, groups, before)
	})
}

func (c sessionVector) merge(t *testing.T, s *Session) error {
	into, from := c.tiled(t, s.StateSchema(), *c.State), c.tiled(t, s.StateSchema(), c.From)
	return c.checkState(t, into, len(*c.State), func() (Update, error) { return s.Merge(t.Context(), into, from) })
}

// checkState compares what a call makes of state, which it must leave as it was;
// errors are about that many rows of the case.
func (c sessionVector) checkState(t *testing.T, before arrow.RecordBatch, rows int, call func() (Update, error)) error {
	t.Helper()
	kept, err := concatenate([]arrow.RecordBatch{before})
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Release()
	u, err := call()
	if !array.RecordEqual(before, kept) {
		t.Error("the state that was handed over has changed")
	}
	if err != nil {
		return err
	}
	defer u.State.Release()
	checkStream(t, Output{Rows: u.State}, c.tiled(t, before.Schema(), c.Want), nil)
	checkErrors(t, u.Errors, repeated(c.Errors, c.Repeat, uint32(rows)))
	return nil
}

func (c sessionVector) finish(t *testing.T, s *Session) error {
	sessions := c.tiled(t, s.FinishSchema(), *c.State)
	r, err := s.Finish(t.Context(), sessions, NoWatermark)
	if err != nil {
		return err
	}
	defer r.Release()
	if len(r.Outputs) != 1 {
		t.Fatalf("got %d outputs", len(r.Outputs))
	}
	origin := wantStream{Origin: c.Origin}.origin(int32(len(*c.State)), c.Repeat)
	checkStream(t, r.Outputs[0], c.tiled(t, s.transform.init.Output, c.Want), origin)
	checkErrors(t, r.Errors, repeated(c.Errors, c.Repeat, uint32(len(*c.State))))
	return nil
}

// checkSessionMemory accumulates many batches: a guest that leaks grows by what
// they hold.
func checkSessionMemory(t *testing.T, p *Plugin) {
	s, err := p.OpenSession(t.Context(), sessionInit(t, p))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	const sessions = 2000
	row := json.RawMessage(`{"text": "some text of a row", "raw": "AAECAwQFBgc=", "small": 1}`)
	rows := conformanceRows(t, s.transform.init.Input, slices.Repeat([]json.RawMessage{row}, sessions))
	defer rows.Release()
	before, err := s.Initial(sessions)
	if err != nil {
		t.Fatal(err)
	}
	defer before.Release()
	groups := make([]uint32, sessions)
	for i := range groups {
		groups[i] = uint32(i)
	}
	const batches = 50
	size := func() int {
		for range batches {
			u, err := s.Accumulate(t.Context(), rows, groups, before)
			if err != nil {
				t.Fatal(err)
			}
			u.State.Release()
		}
		return len(s.transform.idle[0].memory())
	}
	first, second := size(), size()
	held := int(cdata.BatchBytes(cdata.Batch{Rows: rows, State: before})) * batches
	if second-first > held/4 {
		t.Errorf("memory grew from %d bytes to %d over %d batches, which hold %d bytes", first, second, batches, held)
	}
}

// conformanceModule compiles a language's plugin of a kind and compares what it
// says of itself.
func conformanceModule(t *testing.T, kind, language string) *Plugin {
	t.Helper()
	module := readFile(t, filepath.Join("testdata", "conformance", kind, language+".wasm"))
	p := conformancePlugin(t, module, &conformanceLog{})
	checkDescription(t, p, filepath.Join(conformanceDir, kind, "describe.json"))
	return p
}
