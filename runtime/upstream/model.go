// Package upstream is what operators of keyed models read: the models before theirs,
// and of the rows of these when they were made, what changed, and what is refused.
package upstream

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// Model is a model that an operator reads.
type Model struct {
	Name   string
	Schema *arrow.Schema // of its table: that of a staging model with its change and position columns
	Key    []string      // of a keyed model: the columns that tell its rows apart; nil for a staging model
}

// IsKeyed tells whether its rows change in place.
func (m Model) IsKeyed() bool { return m.Key != nil }

// HasChanges tells whether its rows are changes of a database.
func (m Model) HasChanges() bool {
	return !m.IsKeyed() && m.Schema.HasField(record.ColumnChangeOp)
}

// Check looks for the columns that every model has. what is the place in the model
// that reads it, for messages.
func (m Model) Check(what string) error {
	need := []string{record.ColumnTimestamp, record.ColumnIngestedAt}
	if !m.IsKeyed() {
		need = nil
		for _, f := range record.PositionFields() {
			need = append(need, f.Name)
		}
	}
	for _, name := range slices.Concat(need, m.Key) {
		if _, err := m.Field(what, name); err != nil {
			return err
		}
	}
	return nil
}

// Field is a column.
func (m Model) Field(what, name string) (arrow.Field, error) {
	at := m.Schema.FieldIndices(name)
	if len(at) != 1 {
		return arrow.Field{}, fmt.Errorf("%s: %s has no column %s", what, m.Name, name)
	}
	return m.Schema.Field(at[0]), nil
}

// CheckTimestamptz looks for a timestamptz.
func (m Model) CheckTimestamptz(what, name string) error {
	f, err := m.Field(what, name)
	if err == nil && !arrow.TypeEqual(f.Type, record.Timestamptz) {
		err = fmt.Errorf("%s: column %s is %s, expected timestamptz; derive one in the model that is read, as in cast(x as timestamptz)", what, f.Name, record.FormatType(f.Type))
	}
	return err
}

// KeyFields are columns that make a key, each once.
func (m Model) KeyFields(what string, names []string) ([]arrow.Field, error) {
	fields := make([]arrow.Field, len(names))
	for i, name := range names {
		var err error
		if fields[i], err = m.Field(what, name); err == nil {
			err = CheckKeyType(what, fields[i])
		}
		if err != nil {
			return nil, err
		}
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("%s: column %s twice", what, name)
		}
	}
	return fields, nil
}

// KeyColumns are the columns of a keyed model's rows that tell them apart.
func (m Model) KeyColumns(rows arrow.RecordBatch) ([]arrow.Array, error) {
	fields := make([]arrow.Field, len(m.Key))
	for i, name := range m.Key {
		var err error
		if fields[i], err = m.Field("key", name); err != nil {
			return nil, err
		}
	}
	return Columns(rows, fields)
}

// Kept is the columns that are used later on, of which an operator keeps the values.
// All may be null: a change of a database may carry less.
func (m Model) Kept(used map[string]bool) (*arrow.Schema, error) {
	var fields []arrow.Field
	for _, f := range m.Schema.Fields() {
		if !used[f.Name] {
			continue
		}
		if !rowcodec.Supports(f.Type) {
			return nil, fmt.Errorf("from: column %s is %s, which no table holds", f.Name, f.Type)
		}
		fields = append(fields, arrow.Field{Name: f.Name, Type: f.Type, Nullable: true})
	}
	return arrow.NewSchema(fields, nil), nil
}

// CheckKeyType refuses columns that cannot be part of a key.
func CheckKeyType(what string, f arrow.Field) error {
	if record.IsKeyType(f.Type) {
		return nil
	}
	return fmt.Errorf("%s: column %s is %s, which cannot be part of a key; expected string, int, long, date, boolean or timestamptz", what, f.Name, record.FormatType(f.Type))
}
