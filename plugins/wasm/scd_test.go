package wasm

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/plugins/wasm/internal/asm"
	"github.com/calvelake/calve/sdk/abi"
)

func customer() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{nullable("city", arrow.BinaryTypes.String), nullable("name", arrow.BinaryTypes.String)}, nil)
}

func openCustomers(t *testing.T) *SCD {
	t.Helper()
	s, err := goPlugin(t, "customers").OpenSCD(t.Context(), Init{Model: "m", Input: customer(), InForce: customer(), Output: customer()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

func TestChangesAreDecidedUpon(t *testing.T) {
	s := openCustomers(t)
	changes := rowsOf(t, s.ChangeSchema(), `[
		{"_op": "c", "_effective_at": "2026-01-01T00:00:00Z", "name": "ann", "city": "Oslo"},
		{"_op": "u", "_effective_at": "2026-01-01T00:00:01Z", "name": "bob", "city": "Rome"},
		{"_op": "u", "_effective_at": "2026-01-01T00:00:02Z", "name": "bea", "city": "Rome"},
		{"_op": "u", "_effective_at": "2026-01-01T00:00:03Z", "name": "cy", "city": "Bern"},
		{"_op": "u", "_effective_at": "2026-01-01T00:00:04Z", "name": "panic", "city": "Bern"},
		{"_op": "d", "_effective_at": "2026-01-01T00:00:05Z", "name": "dan", "city": null},
		{"_op": "u", "_effective_at": "2026-01-01T00:00:06Z", "name": "", "city": "Bern"}]`)
	now := InForce{Absent: []bool{true, false, false, false, false, false, false}, Rows: rowsOf(t, customer(), `[
		{"name": null, "city": null}, {"name": "BOB", "city": "Bern"}, {"name": "BEE", "city": "Rome"}, {"name": "CY", "city": "Bern"},
		{"name": "X", "city": "Bern"}, {"name": "DAN", "city": "Bern"}, {"name": "X", "city": "Bern"}]`)}
	d, err := s.Decide(t.Context(), changes, now)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Attributes.Release()
	checkUsed(t, "decide", d.Usage)
	want := []Action{ActionNewVersion, ActionNewVersion, ActionOverwrite, ActionIgnore, ActionIgnore, ActionDelete, ActionIgnore}
	if !slices.Equal(d.Actions, want) {
		t.Errorf("got actions %v, want %v", d.Actions, want)
	}
	names, cities := d.Attributes.Column(1).(*array.String), d.Attributes.Column(0).(*array.String)
	if d.Attributes.NumRows() != 7 || names.Value(2) != "BEA" || cities.Value(1) != "Rome" || names.IsValid(4) {
		t.Errorf("got %v", d.Attributes)
	}
	if len(d.Errors) != 2 || d.Errors[0].Row != 4 || d.Errors[0].Code != CodeTrap || d.Errors[1] != (RowError{Row: 6, Code: "no_name", Column: "name", Message: "a customer has no name"}) {
		t.Errorf("got %v", d.Errors)
	}
}

func TestNoChangesNoDecisions(t *testing.T) {
	s := openCustomers(t)
	d, err := s.Decide(t.Context(), rowsOf(t, s.ChangeSchema(), `[]`), InForce{Rows: rowsOf(t, customer(), `[]`)})
	if err != nil || len(d.Actions) != 0 || d.Attributes.NumRows() != 0 {
		t.Fatalf("got %+v, %v", d, err)
	}
	d.Attributes.Release()
	two := InForce{Rows: rowsOf(t, customer(), `[{"name": "a", "city": "b"}]`)}
	if _, err := s.Decide(t.Context(), rowsOf(t, s.ChangeSchema(), `[]`), two); err == nil {
		t.Error("rows in force without changes: accepted")
	}
}

func TestDecisionsAreChecked(t *testing.T) {
	ids := arrow.NewSchema([]arrow.Field{nullable("id", arrow.PrimitiveTypes.Int64)}, nil)
	describe := strings.Replace(strings.Replace(identity, "transform", "scd", 1), `"nullable":false`, `"nullable":true`, 1)
	// Output 0 has two columns of three rows: the action, and one int64.
	decides := func(actions [3]byte, more func(r *returned)) hostile {
		return spoiled(describe, func(r *returned) {
			action := struct32(abi.ArraySize, map[int]uint32{abi.ArrayLength: 3, abi.ArrayNBuffers: 2, abi.ArrayBuffers: valuesAt + 104})
			put32(r.root, abi.ArrayNChildren, 2)
			put32(r.root, abi.ArrayChildren, valuesAt+112)
			copy(r.values[32:], action)
			copy(r.values[96:], actions[:])
			put32(r.values, 108, valuesAt+96)
			put32(r.values, 112, valuesAt+32)
			put32(r.values, 116, childAt)
			more(r)
		})
	}
	for _, c := range []struct {
		name   string
		plugin hostile
		text   string
	}{
		{"valid", decides([3]byte{0, 1, 3}, func(*returned) {}), ""},
		{"an action that does not exist", decides([3]byte{0, 4, 0}, func(*returned) {}), "row 1: action 4 is unknown"},
		{"a negative action", decides([3]byte{0xff, 0, 0}, func(*returned) {}), "row 0: action -1 is unknown"},
		{"no output", decides([3]byte{}, func(r *returned) { put32(r.result, abi.ResultNOutputs, 0) }), "0 outputs, it must be 1"},
		{"a selection", decides([3]byte{}, func(r *returned) { put32(r.output, abi.OutputSelection, valuesAt) }), "without selection"},
		{"fewer rows", decides([3]byte{}, func(r *returned) { put32(r.root, abi.ArrayLength, 2) }), "2 rows for 3 rows"},
		{"no action", decides([3]byte{}, func(r *returned) { put32(r.root, abi.ArrayNChildren, 1) }), "1 columns, 2 are declared"},
		{"a trap", hostile{describe: describe, bodies: map[string][]byte{abi.ExportProcess: {asm.Unreachable}}}, "calve_process: unreachable"},
	} {
		p, err := compileHostile(t, c.plugin, small)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		s, err := p.OpenSCD(t.Context(), Init{Input: ids, InForce: ids, Output: ids, OnError: Stop})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		changes := rowsOf(t, s.ChangeSchema(), `[{"_op": "u", "_effective_at": "2026-01-01T00:00:00Z", "id": 1}, {"_op": "u", "_effective_at": "2026-01-01T00:00:00Z", "id": 2}, {"_op": "u", "_effective_at": "2026-01-01T00:00:00Z", "id": 3}]`)
		d, err := s.Decide(t.Context(), changes, InForce{Rows: rowsOf(t, ids, `[{"id": 1}, {"id": 2}, {"id": 3}]`)})
		switch {
		case c.text == "" && (err != nil || !slices.Equal(d.Actions, []Action{ActionIgnore, ActionOverwrite, ActionDelete})):
			t.Errorf("%s: got %+v, %v", c.name, d, err)
		case c.text != "" && (err == nil || !strings.Contains(err.Error(), c.text) || failureCode(err) == "" || errors.Is(err, ErrClosed)):
			t.Errorf("%s: got %v, want %q", c.name, err, c.text)
		}
		if err == nil {
			d.Attributes.Release()
		}
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
