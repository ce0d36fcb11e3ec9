package plugins

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/sdk/abi"
)

// Fixture is rows with what a transform makes of them. A module carries its own
// as the "fixtures" of its description, a list.
type Fixture struct {
	Name    string          `json:"name"`
	Config  json.RawMessage `json:"config,omitempty"`
	Columns []abi.Column    `json:"columns,omitempty"` // of Rows; those of the description's input by default
	Rows    []Row           `json:"rows"`
	// Want is the rows of the main stream. Without it, and without Errors, it is
	// only compared that the plugin always answers alike, and does not trap.
	Want   *[]Row         `json:"want,omitempty"`
	Errors []FixtureError `json:"errors,omitempty"`

	generated bool // rows that no author wrote
}

// Row is a row by column; a column that is not there is null.
type Row map[string]json.RawMessage

// FixtureError is a row error that a fixture wants.
type FixtureError struct {
	Row    uint32 `json:"row"`
	Code   string `json:"code"`
	Column string `json:"column,omitempty"` // "" for any
}

// MaxFixtures bounds the text of fixtures, in bytes.
const MaxFixtures = abi.MaxDescribeBytes

// ParseFixtures reads a list of fixtures, strictly.
func ParseFixtures(text []byte) ([]Fixture, error) {
	if len(text) > MaxFixtures {
		return nil, fmt.Errorf("fixtures have %d bytes, at most %d are read", len(text), MaxFixtures)
	}
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var all []Fixture
	if err := d.Decode(&all); err != nil {
		return nil, fmt.Errorf("read fixtures: expected a list of {name, config, columns, rows, want, errors}: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read fixtures: there is text after the list")
	}
	return all, nil
}

// batch is the fixture's rows under the columns that it, or else the
// description, declares.
func (f Fixture) batch(d abi.Describe) (arrow.RecordBatch, error) {
	columns := f.Columns
	if columns == nil {
		columns = d.Input.Columns
	}
	if len(columns) == 0 {
		return nil, errors.New("the plugin takes any columns: name those of the fixture")
	}
	schema, err := wasm.Schema(columns)
	if err != nil {
		return nil, err
	}
	return rowsOf(schema, f.Rows)
}

// rowsOf makes a batch of rows.
func rowsOf(schema *arrow.Schema, rows []Row) (arrow.RecordBatch, error) {
	for i, row := range rows {
		for name := range row {
			if !schema.HasField(name) {
				return nil, fmt.Errorf("row %d: there is no column %q", i, name)
			}
		}
	}
	if rows == nil {
		rows = []Row{}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return nil, err
	}
	batch, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	for i, field := range schema.Fields() {
		if !field.Nullable && batch.Column(i).NullN() > 0 {
			batch.Release()
			return nil, fmt.Errorf("column %q is null in a row, and the plugin declares it never to be", field.Name)
		}
	}
	return batch, nil
}
