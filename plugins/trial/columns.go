package trial

import (
	"encoding/json"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/sdk/abi"
)

// Column is an input column of a case, for a plugin that takes any: its type
// as a model's data_type, or as the format and children of calve_describe.
type Column struct {
	Name     string       `json:"name"`
	DataType string       `json:"data_type,omitempty"`
	Format   string       `json:"format,omitempty"`
	Nullable *bool        `json:"nullable,omitempty"`
	Children []abi.Column `json:"children,omitempty"`
}

func (c Column) field() (arrow.Field, error) {
	described := abi.Column{Name: c.Name, Format: c.Format, Nullable: c.Nullable, Children: c.Children}
	switch {
	case c.Format != "" && c.DataType != "":
		return arrow.Field{}, fmt.Errorf("column %q: give data_type or format, not both", c.Name)
	case c.Format != "":
		s, err := wasm.Schema([]abi.Column{described})
		if err != nil {
			return arrow.Field{}, err
		}
		return s.Field(0), nil
	}
	t, err := record.ParseType(c.DataType)
	if err != nil {
		return arrow.Field{}, fmt.Errorf("column %q: %w", c.Name, err)
	}
	return arrow.Field{Name: c.Name, Type: t, Nullable: described.IsNullable()}, nil
}

// inputSchema is the columns of a case: its own, or those that the plugin
// describes.
func (c Case) inputSchema(d abi.Describe) (*arrow.Schema, error) {
	if c.Columns == nil {
		if len(d.Input.Columns) == 0 {
			return nil, errNoColumns
		}
		return wasm.Schema(d.Input.Columns)
	}
	fields := make([]arrow.Field, len(c.Columns))
	for i, column := range c.Columns {
		var err error
		if fields[i], err = column.field(); err != nil {
			return nil, err
		}
	}
	return arrow.NewSchema(fields, nil), nil
}

// raw is a row by column: a column that is not there is null.
type raw map[string]json.RawMessage
