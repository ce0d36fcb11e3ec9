package wasm

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/sdk/abi"
)

// scdVectors is a file of sdk/conformance/scd.
type scdVectors struct {
	About string      `json:"about"`
	Cases []scdVector `json:"cases"`
}

// scdVector is changes to be decided upon.
type scdVector struct {
	Name   string          `json:"name"`
	Config json.RawMessage `json:"config"`

	Rows    []json.RawMessage `json:"rows"`
	InForce []json.RawMessage `json:"in_force"` // null: none is
	Repeat  int               `json:"repeat"`

	Actions []string          `json:"actions"`
	Want    []json.RawMessage `json:"want"` // attributes; those of rows with an error do not count
	Errors  []wantError       `json:"errors"`
	Fails   string            `json:"fails"`
	Refused string            `json:"refused"`
}

var actionNames = map[Action]string{
	ActionIgnore: "ignore", ActionOverwrite: "overwrite", ActionNewVersion: "new_version", ActionDelete: "delete",
}

func TestSCDConformance(t *testing.T) {
	for _, language := range sdkLanguages {
		t.Run(language, func(t *testing.T) {
			plugin := conformanceModule(t, abi.KindSCD, language)
			for _, file := range readKindVectors[scdVectors](t, abi.KindSCD, 1) {
				for _, c := range file.Cases {
					t.Run(c.Name, func(t *testing.T) { c.run(t, plugin) })
				}
			}
		})
	}
}

// run decides twice: an instance that was used answers as a fresh one.
func (c scdVector) run(t *testing.T, p *Plugin) {
	attributes := conformanceSchema(t, p.Describe().Input.Columns)
	init := Init{
		Pipeline: "conformance", Model: c.Name, Config: c.Config,
		Input: attributes, InForce: attributes, Output: conformanceSchema(t, p.Describe().Outputs[0].Columns),
	}
	if c.Fails != "" {
		init.OnError = Stop
	}
	s, err := p.OpenSCD(t.Context(), init)
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
	changes := tile(t, conformanceRows(t, s.ChangeSchema(), c.Rows), c.Repeat)
	defer changes.Release()
	now := c.inForce(t, attributes)
	defer now.Rows.Release()
	for range 2 {
		d, err := s.Decide(t.Context(), changes, now)
		switch {
		case c.Fails != "":
			if !errors.Is(err, ErrTrap) || !strings.Contains(err.Error(), c.Fails) {
				t.Fatalf("got %v, want a failure with %q", err, c.Fails)
			}
		case err != nil:
			t.Fatal(err)
		default:
			c.check(t, d, init.Output)
		}
	}
}

func (c scdVector) inForce(t *testing.T, schema *arrow.Schema) InForce {
	t.Helper()
	var rows []json.RawMessage
	var absent []bool
	for _, r := range c.InForce {
		none := string(r) == "null"
		if none {
			r = json.RawMessage("{}")
		}
		rows, absent = append(rows, r), append(absent, none)
	}
	now := InForce{Rows: tile(t, conformanceRows(t, schema, rows), c.Repeat)}
	if slices.Contains(absent, true) {
		now.Absent = slices.Repeat(absent, max(c.Repeat, 1))
	}
	return now
}

func (c scdVector) check(t *testing.T, d Decision, schema *arrow.Schema) {
	t.Helper()
	defer d.Attributes.Release()
	want := slices.Repeat(c.Actions, max(c.Repeat, 1))
	if len(d.Actions) != len(want) {
		t.Fatalf("got %d actions, want %d", len(d.Actions), len(want))
	}
	for i, a := range d.Actions {
		if actionNames[a] != want[i] {
			t.Errorf("row %d: got action %q, want %q", i, actionNames[a], want[i])
		}
	}
	checkErrors(t, d.Errors, repeated(c.Errors, c.Repeat, uint32(len(c.Rows))))
	attributes := tile(t, conformanceRows(t, schema, c.Want), c.Repeat)
	defer attributes.Release()
	first := int64(0)
	for _, e := range append(d.Errors, RowError{Row: uint32(len(want))}) {
		checkSlice(t, d.Attributes, attributes, first, int64(e.Row))
		first = int64(e.Row) + 1
	}
}

// checkSlice compares the rows from one up to another.
func checkSlice(t *testing.T, got, want arrow.RecordBatch, from, to int64) {
	t.Helper()
	if from >= to {
		return
	}
	g, w := got.NewSlice(from, to), want.NewSlice(from, to)
	defer g.Release()
	defer w.Release()
	checkStream(t, Output{Rows: g}, w, nil)
}
