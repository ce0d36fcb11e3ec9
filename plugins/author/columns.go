package author

import (
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/sdk/abi"
)

// Column is an input column of a case, for a plugin that takes any: its type
// as a model's data_type, or as the format and children of calve_describe, which
// lists, structs and maps need.
type Column struct {
	Name     string       `json:"name"`
	DataType string       `json:"data_type,omitempty"`
	Format   string       `json:"format,omitempty"`
	Nullable *bool        `json:"nullable,omitempty"`
	Children []abi.Column `json:"children,omitempty"`
}

// formats is the format string of each data_type without parameters.
var formats = map[string]string{
	"boolean": "b", "int": "i", "long": "l", "float": "f", "double": "g", "string": "u", "binary": "z",
	"date": "tdD", "timestamp": "tsu:", "timestamptz": "tsu:UTC",
}

var decimalType = regexp.MustCompile(`^decimal\(\s*(\d+)\s*,\s*(\d+)\s*\)$`)

func (c Column) described() (abi.Column, error) {
	d := abi.Column{Name: c.Name, Format: c.Format, Nullable: c.Nullable, Children: c.Children}
	if c.Format != "" && c.DataType != "" {
		return d, fmt.Errorf("column %q: give data_type or format, not both", c.Name)
	}
	if c.Format == "" {
		if d.Format = formats[c.DataType]; d.Format == "" {
			parameters := decimalType.FindStringSubmatch(c.DataType)
			if parameters == nil {
				return d, fmt.Errorf("column %q: data_type %q: expected boolean, int, long, float, double, decimal(p,s), string, binary, date, timestamp or timestamptz; lists, structs and maps by format and children", c.Name, c.DataType)
			}
			d.Format = "d:" + parameters[1] + "," + parameters[2]
		}
	}
	return d, nil
}

// inputSchema is the columns of a case: its own, or those that the plugin
// describes.
func inputSchema(d abi.Describe, c Case) (*arrow.Schema, error) {
	columns := d.Input.Columns
	if c.Columns != nil {
		columns = nil
		for _, column := range c.Columns {
			described, err := column.described()
			if err != nil {
				return nil, err
			}
			columns = append(columns, described)
		}
	}
	if len(columns) == 0 {
		return nil, errNoColumns
	}
	return wasm.Schema(columns)
}

// raw is a row by column: a column that is not there is null.
type raw map[string]json.RawMessage
