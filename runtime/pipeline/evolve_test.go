package pipeline_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/decode"
	"github.com/calvelake/calve/runtime/record"
)

// decoded are the columns that a model decodes: what it declares, as its table has it, and
// what its table has got from the source.
func (m modelSpec) decoded(t *lakehouse.Table) []decode.Column {
	var columns []decode.Column
	declared := map[string]bool{}
	for _, f := range m.columns() {
		c := decode.Column{Name: f.Name, Type: f.Type, Nullable: f.Nullable}
		if t != nil {
			c.Type = t.ColumnType(f.Name, f.Type)
		}
		declared[f.Name] = true
		columns = append(columns, c)
	}
	if t == nil {
		return columns
	}
	for _, c := range t.SourceColumns() {
		if !declared[c.Name] {
			columns = append(columns, decode.Column{Name: c.Name, From: c.From, Type: c.Type, Nullable: true})
		}
	}
	return columns
}

// growing is a decoder that tells of members of a document that no column
// reads, and of whole numbers that are too large for their column. It shares
// nothing with the decoder's own way to do so.
type growing struct {
	*decode.Decoder
	columns []decode.Column
	tells   bool
}

func (g growing) Decode(ctx context.Context, s *record.Slice) (record.Batch, []record.Reject, error) {
	if g.tells {
		if change := g.change(s); change != nil {
			return record.Batch{}, nil, change
		}
	}
	return g.Decoder.Decode(ctx, s)
}

func (g growing) change(s *record.Slice) error {
	var change decode.ChangeError
	known := map[string]*decode.Column{}
	for i := range g.columns {
		from := g.columns[i].From
		if from == "" {
			from = g.columns[i].Name
		}
		known[from] = &g.columns[i]
	}
	for _, r := range s.Records {
		var members map[string]json.RawMessage
		if json.Unmarshal(r.Value, &members) != nil {
			continue
		}
		for _, member := range slices.Sorted(maps.Keys(members)) {
			typ := typeOf(members[member])
			column, ok := known[member]
			switch {
			case !ok:
				name, err := record.SafeName(member)
				if err != nil {
					return err
				}
				column = &decode.Column{Name: name, From: member, Type: typ, Nullable: true}
				known[member] = column
				change.Add = append(change.Add, *column)
			case column.Type == arrow.PrimitiveTypes.Int32 && typ == arrow.PrimitiveTypes.Int64:
				if i := slices.IndexFunc(change.Add, func(c decode.Column) bool { return c.Name == column.Name }); i >= 0 {
					change.Add[i].Type = typ
					column.Type = typ
					continue
				}
				column = &decode.Column{Name: column.Name, From: member, Type: typ, Nullable: true}
				known[member] = column
				change.Widen = append(change.Widen, *column)
			default:
				continue
			}
			if len(change.Add)+len(change.Widen) == 1 {
				change.Offset = r.Offset
			}
		}
	}
	if len(change.Add)+len(change.Widen) == 0 {
		return nil
	}
	return &change
}

func typeOf(value json.RawMessage) arrow.DataType {
	var n int64
	switch {
	case json.Unmarshal(value, &n) != nil:
		return arrow.BinaryTypes.String
	case n > math.MaxInt32:
		return arrow.PrimitiveTypes.Int64
	}
	return arrow.PrimitiveTypes.Int32
}

// showSchema prints the columns of a model's table but for those of the
// position, and where those come from that the source added.
func (w *world) showSchema(model string) ([]string, error) {
	tbl, err := w.load(staging(model))
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, f := range tbl.Schema().Fields() {
		if record.IsPositionColumn(f.Name) {
			continue
		}
		line := f.Name + " " + lakehouse.DescribeType(f.Type)
		if f.Required {
			line += " not null"
		}
		lines = append(lines, line)
	}
	if source := tbl.Properties()[lakehouse.PropertySourceFields]; source != "" {
		lines = append(lines, "from the source: "+source)
	}
	return append(lines, fmt.Sprintf("%d schemas", len(tbl.Metadata().Schemas()))), nil
}

// alter MODEL add=NAME | drop=NAME | rename=(NAME NEW): another engine changes
// the schema of a model's table; what it adds is a string.
func alterForeign(w *world, a arguments) ([]string, error) {
	id := staging(a.next())
	add, drop, rename := a.text("add", ""), a.text("drop", ""), a.text("rename", "")
	switch {
	case add != "":
		return nil, w.foreignColumn(id, add)
	case drop != "":
		return nil, w.foreignSchema(id, func(fields []iceberg.NestedField) []iceberg.NestedField {
			return slices.DeleteFunc(fields, func(f iceberg.NestedField) bool { return f.Name == drop })
		})
	}
	from, to, _ := strings.Cut(rename, " ")
	return nil, w.foreignSchema(id, func(fields []iceberg.NestedField) []iceberg.NestedField {
		for i := range fields {
			if fields[i].Name == from {
				fields[i].Name = to
			}
		}
		return fields
	})
}

// foreignColumn adds a column as another engine would.
func (w *world) foreignColumn(id catalog.Identifier, name string) error {
	tbl, err := w.load(id)
	if err != nil {
		return err
	}
	return w.foreignSchema(id, func(fields []iceberg.NestedField) []iceberg.NestedField {
		return append(fields, iceberg.NestedField{ID: tbl.Metadata().LastColumnID() + 1, Name: name, Type: iceberg.PrimitiveTypes.String})
	})
}

// foreignSchema changes a table's schema as another engine would.
func (w *world) foreignSchema(id catalog.Identifier, change func([]iceberg.NestedField) []iceberg.NestedField) error {
	tbl, err := w.load(id)
	if err != nil {
		return err
	}
	next := iceberg.NewSchema(len(tbl.Metadata().Schemas()), change(slices.Clone(tbl.Schema().Fields()))...)
	return w.alter(tbl, table.NewAddSchemaUpdate(next), table.NewSetCurrentSchemaUpdate(-1))
}

// changesSchema tells a commit of a table's schema from those of its data.
func changesSchema(commits []table.TableCommit) bool {
	return slices.ContainsFunc(commits[0].Updates, func(u table.Update) bool { return u.Action() == table.UpdateAddSchema })
}

// parseColumn reads "NAME TYPE" of a scenario; "NAME! TYPE" is not nullable.
func parseColumn(text string) (arrow.Field, error) {
	name, typ, _ := strings.Cut(text, " ")
	parsed, err := record.ParseType(typ)
	required := strings.HasSuffix(name, "!")
	return arrow.Field{Name: strings.TrimSuffix(name, "!"), Type: parsed, Nullable: !required}, err
}

// extras prints the values of a row beyond those that every model has.
func (r row) extras() string {
	var line strings.Builder
	for _, column := range slices.Sorted(maps.Keys(r.values)) {
		if column != "id" && column != "kind" && !record.IsPositionColumn(column) {
			fmt.Fprintf(&line, " %s=%v", column, r.optional(column))
		}
	}
	return line.String()
}

// evolvingTale has a model whose table follows the source: columns come with the
// second record and with the third, which also widens one.
func evolvingTale() tale {
	return tale{
		options: runOptions{once: true, interval: 10 * time.Second, maxBytes: 1 << 20, poll: 1},
		models:  []modelSpec{{name: "grows", topic: "events", onChange: decode.SchemaChangeAppend}},
		records: [][]string{{`{"id":1}`, `{"id":2,"size":1}`, `{"id":3,"size":5000000000,"color":"red"}`}},
	}
}

// TestCrashAroundSchemaChanges crashes before and after every call of a run that
// changes a table's schema twice, and loses the reply of every write.
func TestCrashAroundSchemaChanges(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for _, separate := range []bool{false, true} {
			s := evolvingTale()
			s.separate = separate
			calls, want := s.trace(t)
			changes := 0
			for _, c := range calls {
				if c.seam == "schema" {
					changes++
				}
			}
			if changes != 2 {
				t.Fatalf("the run changes schemas %d times, want 2", changes)
			}
			s.tryAll(t, want, distinct(points(calls)))
		}
	})
}
