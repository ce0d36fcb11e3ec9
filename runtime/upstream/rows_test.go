package upstream_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/recordtest"
	"github.com/calvelake/calve/runtime/record/rowcodec"
	"github.com/calvelake/calve/runtime/upstream"
)

func order(offset int64, at any, changes ...any) recordtest.Row {
	return recordtest.Row{Values: []any{"a", at, int64(1)}, Changes: changes, Topic: "orders", Offset: offset}
}

// read makes a batch of orders.
func read(t *testing.T, mem memory.Allocator, rows ...recordtest.Row) *upstream.Batch {
	t.Helper()
	batch := recordtest.Batch(orderFields()[:3], rows, recordtest.RecordedAt)
	defer batch.Release()
	b, err := upstream.NewBatch(batch, mem)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRowsAreRefusedOnce(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	b := read(t, mem, order(3, nil), order(4, nil), order(7, nil), order(8, nil))
	defer b.Release()
	b.Refuse(3, record.CodeLate, "at", "it is late")
	b.Refuse(1, record.CodeNullKey, "id", "id is null")
	b.Refuse(3, record.CodeNullKey, "id", "id is null, too")
	b.Refuse(2, record.CodeExpression, "", "it cannot be computed")
	b.Admit(2)
	got := b.Rejects()
	want := []record.Reject{
		{Record: 1, OfRow: true, Code: record.CodeNullKey, Column: "id", Message: "id is null"},
		{Record: 3, OfRow: true, Code: record.CodeLate, Column: "at", Message: "it is late"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for row, want := range []bool{false, true, false, true} {
		if b.IsRefused(row) != want {
			t.Errorf("row %d: got refused %v", row, !want)
		}
	}
}

func TestPositionsAreInTheOrderOfTheBytes(t *testing.T) {
	b := read(t, memory.DefaultAllocator, order(3, nil), order(300, nil), order(70_000, nil))
	defer b.Release()
	var positions [][]byte
	for row := range 3 {
		positions = append(positions, b.AppendPosition([]byte("key"), row))
	}
	if !slices.IsSortedFunc(positions, bytes.Compare) || !bytes.HasPrefix(positions[0], []byte("keyorders\x00")) {
		t.Errorf("got %q", positions)
	}
}

func TestChangesAreRead(t *testing.T) {
	b := read(t, memory.DefaultAllocator,
		order(1, nil, "u", int64(7), "001", []string{"n", "nobody", "id"}), order(2, nil, "d", nil, nil, []string{}), order(3, nil, "", int64(9), "", []string{}))
	defer b.Release()
	c, err := upstream.ChangesOf(staging(true), b.Rows)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for row := range 3 {
		at, known := c.MadeAt(row)
		got = append(got, fmt.Sprintf("%c %v %d %v %q %v", c.Op(row), c.IsDelete(row), at, known, c.AppendSequence([]byte("s"), row), c.Holes(row, b.Rows.Schema())))
	}
	want := []string{`u false 7 true "s001\x00" [2 0]`, `d true 0 false "s\x00" []`, `c false 9 true "s\x00" []`}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}

func TestRowsThatAreNoChangesAreCreates(t *testing.T) {
	b := read(t, memory.DefaultAllocator, order(1, nil))
	defer b.Release()
	c, err := upstream.ChangesOf(staging(false), b.Rows)
	if err != nil {
		t.Fatal(err)
	}
	at, known := c.MadeAt(0)
	if c.Op(0) != 'c' || c.IsDelete(0) || at != 0 || known || len(c.Holes(0, b.Rows.Schema())) > 0 || string(c.AppendSequence(nil, 0)) != "\x00" {
		t.Errorf("got %c", c.Op(0))
	}
	if _, err := upstream.ChangesOf(staging(true), b.Rows); err == nil {
		t.Error("rows without change columns are taken for changes")
	}
}

// The record at offset 1 is of 1001.
func TestEventsTakeEffectWhenTheySay(t *testing.T) {
	for name, c := range map[string]struct {
		row    recordtest.Row
		column string
		at     int64
		ok     bool
	}{
		"a time":                       {order(1, int64(5)), "at", 5, true},
		"no column":                    {order(1, int64(5)), "", 1001, true},
		"no time":                      {order(1, nil), "at", 0, false},
		"a change, no column":          {order(1, int64(5), "u", int64(40), nil, []string{}), "", 40, true},
		"a change of an unknown time":  {order(1, int64(5), "u", nil, nil, []string{}), "", 1001, true},
		"a change with a time":         {order(1, int64(5), "u", int64(40), nil, []string{}), "at", 5, true},
		"a deletion of the row before": {order(1, int64(5), "d", int64(40), nil, []string{}), "at", 40, true},
		"not before its row":           {order(1, int64(50), "d", int64(40), nil, []string{}), "at", 50, true},
		"a deletion without a row":     {order(1, nil, "d", int64(40), nil, []string{}), "at", 40, true},
	} {
		b := read(t, memory.DefaultAllocator, c.row)
		changes, err := upstream.ChangesOf(staging(c.row.Changes != nil), b.Rows)
		if err != nil {
			t.Fatal(err)
		}
		stamps, err := upstream.StampsOf(b.Rows)
		if err != nil {
			t.Fatal(err)
		}
		e, err := upstream.EffectiveOf(b.Rows, c.column, changes, stamps)
		if err != nil {
			t.Fatal(err)
		}
		if at, ok := e.OfEvent(0); ok != c.ok || ok && at != c.at {
			t.Errorf("%s: got %d, %v", name, at, ok)
		}
		b.Release()
	}
}

func TestChangesOfKeyedModelsTakeEffectAtSomeTime(t *testing.T) {
	at := orderFields()[1:2]
	for name, c := range map[string]struct {
		at, recorded any
		op           record.Op
		want         int64
	}{
		"a time":             {int64(5), int64(9), record.OpUpdate, 5},
		"none":               {nil, int64(9), record.OpUpdate, 9},
		"nothing":            {nil, nil, record.OpUpdate, record.NoTime},
		"a deletion":         {int64(5), int64(9), record.OpDelete, 9},
		"not before its row": {int64(12), int64(9), record.OpDelete, 12},
		"made by no record":  {int64(12), nil, record.OpDelete, 12},
	} {
		log := recordtest.Changelog(recordtest.KeyedSchema(at...).Fields(), []recordtest.Change{{Op: c.op, Values: []any{c.at, c.recorded, nil}}})
		stamps, err := upstream.StampsOf(log.Rows)
		if err != nil {
			t.Fatal(err)
		}
		e, err := upstream.EffectiveOf(log.Rows, "at", upstream.Changes{}, stamps)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.OfChange(0, c.op); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
		log.Release()
	}
}

func TestStampsAreTheNewest(t *testing.T) {
	rows := recordtest.Rows(recordtest.KeyedSchema().Fields(), [][]any{{int64(5), int64(9)}, {int64(7), nil}, {nil, nil}})
	defer rows.Release()
	stamps, err := upstream.StampsOf(rows)
	if err != nil {
		t.Fatal(err)
	}
	if got := stamps.Of(2); got != upstream.NoStamp {
		t.Errorf("nulls: got %v", got)
	}
	newest := upstream.NoStamp.Max(stamps.Of(0)).Max(stamps.Of(1))
	if want := (upstream.Stamp{Recorded: 7, Ingested: 9}); newest != want {
		t.Errorf("got %v, want %v", newest, want)
	}
	r := keyvalue.NewReader(newest.Append(nil))
	if got := upstream.LoadStamp(r); got != newest || len(r.Rest()) > 0 || r.Err() != nil {
		t.Errorf("read back: got %v, %v", got, r.Err())
	}
	if got := upstream.NewStamps(rows.Column(0), rows.Column(1)).Of(0); got != stamps.Of(0) {
		t.Errorf("of columns: got %v", got)
	}
}

func TestColumnsAreOfTheirTypes(t *testing.T) {
	rows := recordtest.Rows(orderFields()[:3], [][]any{{"a", int64(1), int64(7)}})
	defer rows.Release()
	columns, err := upstream.Columns(rows, []arrow.Field{orderFields()[1], orderFields()[0]})
	if err != nil || columns[0] != rows.Column(1) || columns[1] != rows.Column(0) {
		t.Errorf("got %v, %v", columns, err)
	}
	for _, f := range []arrow.Field{recordtest.Nullable("nobody", record.Timestamptz), recordtest.Nullable("id", arrow.PrimitiveTypes.Int64)} {
		if _, err := upstream.Column(rows, f); err == nil {
			t.Errorf("%s: found", f.Name)
		}
	}
	if _, err := upstream.Times(rows, "id"); err == nil {
		t.Error("a text is a time")
	}
	model := upstream.Model{Name: "m", Schema: rows.Schema(), Key: []string{"n", "id"}}
	if columns, err = model.KeyColumns(rows); err != nil || upstream.KeyText(model.Key, columns, 0) != "n=7, id=a" {
		t.Errorf("got %v, %v", columns, err)
	}
}

func TestARowIsFilledWithAnother(t *testing.T) {
	schema := arrow.NewSchema(orderFields()[:3], nil)
	rows := recordtest.Rows(schema.Fields(), [][]any{{"new", nil, nil}, {"old", int64(5), int64(6)}, {"new", int64(5), nil}})
	defer rows.Release()
	var data [][]byte
	for row := range 3 {
		data = append(data, rowcodec.AppendRow(nil, rows.Columns(), row))
	}
	second := func(column int) bool { return column == 1 }
	if got, err := (upstream.Filling{Schema: schema, Row: data[0], Other: data[1]}).Fill(memory.DefaultAllocator, second); err != nil || !bytes.Equal(got, data[2]) {
		t.Errorf("got %q, %v, want %q", got, err, data[2])
	}
	if got, err := (upstream.Filling{Schema: schema, Row: data[0]}).Fill(memory.DefaultAllocator, second); err != nil || !bytes.Equal(got, data[0]) {
		t.Errorf("without another: got %q, %v", got, err)
	}
	if _, err := (upstream.Filling{Schema: schema, Row: data[0], Other: []byte{1}}).Fill(memory.DefaultAllocator, second); !errors.Is(err, keyvalue.ErrCorrupt) {
		t.Errorf("of another that is none: got %v", err)
	}
}
