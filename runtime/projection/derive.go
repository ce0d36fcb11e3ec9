package projection

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
)

// Derive compiles derived columns, each over fields and those before it. None may
// have the name of one of these.
func Derive(columns []Column, fields []arrow.Field) ([]Compiled, error) {
	fields = slices.Clone(fields)
	all := make([]Compiled, 0, len(columns))
	for _, d := range columns {
		c, err := Compile("derive.", d, arrow.NewSchema(fields, nil))
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(fields, func(f arrow.Field) bool { return f.Name == d.Name }) {
			return nil, fmt.Errorf("derive: column %s twice", d.Name)
		}
		all, fields = append(all, c), append(fields, c.Field())
	}
	return all, nil
}
