package recordtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record"
)

// Table is what changelogs lead to: rows as text, by key.
type Table map[string]string

// Apply carries out what an epoch changed, which must fit: a key changes once, and
// what changes or goes is there. text makes key and text of a row. It returns the
// operations, each with its row.
func (tb Table) Apply(t testing.TB, log record.Changelog, text func(rows arrow.RecordBatch, row int) (key, text string)) (ops []string) {
	t.Helper()
	if err := log.Check(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, op := range log.Ops {
		key, row := text(log.Rows, i)
		before, have := tb[key]
		switch {
		case seen[key]:
			t.Fatalf("key %s changes twice in an epoch", key)
		case have != (op != record.OpCreate):
			t.Fatalf("%s of %s: the table has the key: %v", op, row, have)
		case op == record.OpUpdate && before == row:
			t.Fatalf("update changes nothing: %s", row)
		case op == record.OpDelete && before != row:
			t.Fatalf("deleted row is\n%s, the table has\n%s", row, before)
		}
		if seen[key], tb[key] = true, row; op == record.OpDelete {
			delete(tb, key)
		}
		ops = append(ops, op.String()+" "+row)
	}
	return ops
}

// Texts are the rows, in order.
func (tb Table) Texts() []string { return slices.Sorted(maps.Values(tb)) }

// Text is a value of a column, in memory of its own, for rows are released. instant
// makes that of a time.
func Text(column arrow.Array, row int, instant func(at int64) string) string {
	if at, ok := column.(*array.Timestamp); ok && at.IsValid(row) {
		return instant(int64(at.Value(row)))
	}
	return strings.Clone(column.ValueStr(row))
}

// Micros is a time as a number.
func Micros(at int64) string { return fmt.Sprint(at) }
