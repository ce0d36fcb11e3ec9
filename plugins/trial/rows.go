package trial

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

var null = json.RawMessage("null")

// parseRows reads rows; what names them in errors.
func parseRows(what string, rows []json.RawMessage) ([]raw, error) {
	parsed := make([]raw, len(rows))
	for i, text := range rows {
		if err := json.Unmarshal(text, &parsed[i]); err != nil || parsed[i] == nil {
			return nil, fmt.Errorf("%s: row %d: expected an object of values by column, got %s", what, i, text)
		}
	}
	return parsed, nil
}

// toArrow makes a batch of rows. Its errors name the row and the column.
func toArrow(schema *arrow.Schema, rows []raw) (arrow.RecordBatch, error) {
	for i, row := range rows {
		for name := range row {
			if !schema.HasField(name) {
				return nil, fmt.Errorf("row %d: there is no column %q, there is %s", i, name, names(schema))
			}
		}
	}
	columns := make([]arrow.Array, 0, schema.NumFields())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for _, field := range schema.Fields() {
		values := make([]json.RawMessage, len(rows))
		for i, row := range rows {
			values[i] = null
			if v, ok := row[field.Name]; ok && v != nil {
				values[i] = v
			}
			if !field.Nullable && string(values[i]) == "null" {
				return nil, fmt.Errorf("row %d, column %q: it is null, and the column never may be", i, field.Name)
			}
		}
		column, err := toColumn(field, values)
		if err != nil {
			return nil, err
		}
		columns = append(columns, column)
	}
	return array.NewRecordBatch(schema, columns, int64(len(rows))), nil
}

func names(schema *arrow.Schema) string {
	var all []string
	for _, f := range schema.Fields() {
		all = append(all, f.Name)
	}
	return strings.Join(all, ", ")
}

// toColumn reads all values at once, and each alone if one is wrong: arrow-go
// does not say which.
func toColumn(field arrow.Field, values []json.RawMessage) (arrow.Array, error) {
	column, err := fromJSON(field.Type, values)
	if err == nil {
		return column, nil
	}
	for i, v := range values {
		one, err := fromJSON(field.Type, []json.RawMessage{v})
		if err != nil {
			return nil, fmt.Errorf("row %d, column %q: %s is not a value of type %s", i, field.Name, v, field.Type)
		}
		one.Release()
	}
	return nil, fmt.Errorf("column %q: %w", field.Name, err)
}

// fromJSON recovers: arrow-go's builders panic on some JSON of another shape.
func fromJSON(t arrow.DataType, values []json.RawMessage) (column arrow.Array, err error) {
	defer func() {
		if r := recover(); r != nil {
			column, err = nil, fmt.Errorf("read values: %v", r)
		}
	}()
	text, err := json.Marshal(append([]json.RawMessage{}, values...))
	if err != nil {
		return nil, fmt.Errorf("read values: %w", err)
	}
	column, _, err = array.FromJSON(memory.DefaultAllocator, t, bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read values: %w", err)
	}
	if column.Len() != len(values) {
		column.Release()
		return nil, fmt.Errorf("read values: got %d of %d", column.Len(), len(values))
	}
	return column, nil
}

// table is rows as JSON, column by column: equal texts are equal values, with
// neither padding nor what lies below nulls.
type table struct {
	names  []string
	values [][]json.RawMessage // by column, then row
	rows   int
}

func toTable(batch arrow.RecordBatch) (table, error) {
	t := table{rows: int(batch.NumRows())}
	for i, column := range batch.Columns() {
		name := batch.ColumnName(i)
		values, err := textsOfArray(name, column)
		if err != nil {
			return table{}, err
		}
		t.names, t.values = append(t.names, name), append(t.values, values)
	}
	return t, nil
}

func textsOfArray(name string, column arrow.Array) ([]json.RawMessage, error) {
	text, err := column.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("column %q: write values: %w", name, err)
	}
	var values []json.RawMessage
	if err := json.Unmarshal(text, &values); err != nil {
		return nil, fmt.Errorf("column %q: write values: %w", name, err)
	}
	return values, nil
}

// tableOf is rows of values under the columns of a schema.
func tableOf(schema *arrow.Schema, rows [][]json.RawMessage) table {
	t := table{rows: len(rows)}
	for k, f := range schema.Fields() {
		values := make([]json.RawMessage, len(rows))
		for i, row := range rows {
			values[i] = row[k]
		}
		t.names, t.values = append(t.names, f.Name), append(t.values, values)
	}
	return t
}

// column is the values of a column.
func (t table) column(name string) []json.RawMessage { return t.values[slices.Index(t.names, name)] }

// without leaves out columns of some types.
func (t table) without(schema *arrow.Schema, out func(arrow.DataType) bool) table {
	left := table{rows: t.rows}
	for k, name := range t.names {
		if !out(schema.Field(k).Type) {
			left.names, left.values = append(left.names, name), append(left.values, t.values[k])
		}
	}
	return left
}

// row is a row as a JSON object, its columns in order.
func (t table) row(i int) json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for k, name := range t.names {
		if k > 0 {
			b.WriteString(", ")
		}
		b.Write(quoted(name))
		b.WriteString(": ")
		b.Write(t.values[k][i])
	}
	b.WriteByte('}')
	return b.Bytes()
}

func (t table) all() []json.RawMessage {
	rows := make([]json.RawMessage, t.rows)
	for i := range rows {
		rows[i] = t.row(i)
	}
	return rows
}

// quoted is text as a JSON string, without the escapes that HTML needs.
func quoted(text string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string always has a text, and a buffer takes it
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
