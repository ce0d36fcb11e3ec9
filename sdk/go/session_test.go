package calve

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

// counting is a session that counts rows, and keeps the label that it had.
func counting() Session {
	return Session{
		Name: "counting", Version: "1",
		State:  []StateColumn{{Column: Long("count").Required(), Initial: "0"}, {Column: String("label")}, {Column: Boolean("seen")}, {Column: Decimal("sum", 20, 2)}},
		Output: []Column{Long("count")},
		Accumulate: func(in *Batch, groups []uint32, before *Batch, after *Output) error {
			count := after.Long("count").Values()
			after.Boolean("seen").Set(1, true)
			after.Decimal("sum").SetInt(0, -1)
			for i, g := range groups {
				if in.Long("n").IsNull(i) {
					after.RowError(i, "no_number", "n", "n is null")
				} else {
					count[g]++
				}
			}
			return nil
		},
		Merge: func(into, from *Batch, after *Output) error { return errors.New("never merged") },
		Finish: func(in *Batch, out *Output) error {
			out.Pass("count", in.Column("count"))
			return nil
		},
	}
}

func TestStateThatIsNotSetIsAsBefore(t *testing.T) {
	s := counting()
	before := &Batch{length: 2, columns: []vector{
		{column: Long("count"), length: 2, data: bytesOf([]int64{10, 20}), source: 64},
		{column: String("label"), length: 2, offsets: []int32{0, 1, 2}, data: []byte("xy"), source: 128},
		{column: Boolean("seen"), length: 2, data: []byte{0b01}, valid: []byte{0b01}, source: 192},
		{column: Decimal("sum", 20, 2), length: 2, data: bytesOf([]uint64{1, 0, 5, 0}), valid: []byte{0b10}, source: 256},
	}}
	state, in := s.stateOutput(), batchOf()
	state.begin(before.Len())
	state.keepState(before, in.Len())
	if err := s.Accumulate(in, []uint32{0, 1, 1}, before, state.streams[0]); err != nil {
		t.Fatal(err)
	}
	vectors, err := state.streams[0].finish()
	if err != nil {
		t.Fatal(err)
	}
	if got := values[int64](vectors[0]); !slices.Equal(got, []int64{11, 21}) {
		t.Errorf("got counts %v", got)
	}
	if seen := vectors[2]; seen.data[0] != 0b11 || seen.valid[0] != 0b11 {
		t.Errorf("got seen %+v", seen)
	}
	if sum := vectors[3]; !slices.Equal(values[[2]int64](sum), [][2]int64{{-1, -1}, {5, 0}}) || sum.valid[0] != 0b11 {
		t.Errorf("got sum %+v", sum)
	}
	if vectors[1].source != 128 || string(vectors[1].data) != "xy" {
		t.Errorf("got label %+v", vectors[1])
	}
	if got := state.errors.rows; !slices.Equal(got, []uint32{1}) {
		t.Errorf("got errors of rows %v", got)
	}
	if text := failure(func() { state.streams[0].RowError(3, "x", "", "") }); !strings.Contains(text, "row 3 is outside the batch of 3 rows") {
		t.Errorf("got %q", text)
	}
}

func TestTextIsAppendedToTheLastRow(t *testing.T) {
	o := outputOf(String("s"))
	b := o.String("s")
	if text := failure(func() { b.Append("x") }); !strings.Contains(text, "before any row is set") {
		t.Errorf("got %q", text)
	}
	b.Set(1, "a")
	b.Append("b")
	b.Append("")
	b.Append("cd")
	b.Set(2, "e")
	b.SetNull(2)
	vectors, err := o.finish()
	if err != nil {
		t.Fatal(err)
	}
	if v := vectors[0]; string(v.data) != "abcde" || !slices.Equal(v.offsets, []int32{0, 0, 4, 5}) || v.valid[0] != 0b010 {
		t.Errorf("got %+v", v)
	}
}

func TestDecisionsBeginWithIgnore(t *testing.T) {
	o := outputOf(actionColumn, Long("n"))
	in := batchOf()
	o.Action(1, NewVersion)
	o.Action(2, Delete)
	o.Pass("n", in.Column("n"))
	vectors, err := o.finish()
	if err != nil {
		t.Fatal(err)
	}
	if got := vectors[0].data; !slices.Equal(got, []byte{0, 2, 3}) {
		t.Errorf("got actions %v", got)
	}
	o.shared.begin(3)
	o.Pass("n", in.Column("n"))
	if vectors, err = o.finish(); err != nil || !slices.Equal(vectors[0].data, []byte{0, 0, 0}) {
		t.Errorf("without an action: got %v, %v", vectors, err)
	}
	beside := &Batch{length: 3, present: bitmap{0b101}}
	if !beside.Has(0) || beside.Has(1) || !in.Has(1) {
		t.Error("rows in force are not told from those that are absent")
	}
	plain := outputOf(Long("n"))
	if text := failure(func() { plain.Action(0, Ignore) }); !strings.Contains(text, `"_action" is not declared`) {
		t.Errorf("an action of a transform: got %q", text)
	}
}

func TestDescriptionsOfTheOtherKinds(t *testing.T) {
	s := counting()
	for _, c := range []struct {
		plugin Plugin
		kind   string
		state  int
	}{
		{Plugin{Name: "a", Version: "1", session: &s}, "session", 4},
		{Plugin{Name: "a", Version: "1", Output: []Column{Long("n")}, scd: &SCD{}}, "scd", 0},
	} {
		var got struct {
			Kind  string
			State []struct {
				Name, Format string
				Nullable     *bool
				Initial      any
			}
			Outputs []struct{ Columns []struct{ Name string } }
		}
		if err := json.Unmarshal([]byte(c.plugin.describe()), &got); err != nil {
			t.Fatal(err)
		}
		if got.Kind != c.kind || len(got.State) != c.state {
			t.Errorf("%s: got %+v", c.kind, got)
		}
		if c.state > 0 && (got.State[0].Initial != 0.0 || got.State[0].Nullable == nil || got.State[1].Initial != nil) {
			t.Errorf("got state %+v", got.State)
		}
		for _, o := range got.Outputs {
			for _, column := range o.Columns {
				if column.Name == columnAction {
					t.Error("the action is declared as an attribute")
				}
			}
		}
	}
}

func TestRegisteringHalfASessionFails(t *testing.T) {
	s := counting()
	s.Merge = nil
	if text := failure(func() { RegisterSession(s) }); !strings.Contains(text, "are all needed") {
		t.Errorf("got %q", text)
	}
	if text := failure(func() { RegisterSCD(SCD{}) }); !strings.Contains(text, "Decide is nil") {
		t.Errorf("got %q", text)
	}
}
