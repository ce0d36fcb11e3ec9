package decode

import (
	"errors"
	"fmt"
	"strings"

	"github.com/calvelake/calve/runtime/record"
)

// What Decode does when a source has fields that no column reads, or values
// that a column must be widened for.
const (
	// SchemaChangeIgnore leaves unseen fields out and counts them; a value that
	// its column cannot hold is a reject.
	SchemaChangeIgnore = "ignore"
	// SchemaChangeAppend and SchemaChangeFail make Decode return a ChangeError
	// before it makes a row of the slice.
	SchemaChangeAppend = "append_new_columns"
	SchemaChangeFail   = "fail"
)

// Change is what a source's schema asks of the columns. Whoever owns the table
// widens it by the change, or stops.
type Change struct {
	// Add are columns for fields that none reads, nullable, in the order in
	// which they were found. Names are safe for warehouses and unique.
	Add []Column
	// Widen are columns of the model with the type that they need: a wider
	// number by the promotions of Iceberg (int to long, float to double, a
	// decimal of more digits), or a struct with more fields, at any depth.
	Widen []Column
}

// ChangeError: a slice needs columns that the decoder does not have. Nothing
// was made of the slice: it is for a decoder compiled with the change.
type ChangeError struct {
	Change
	Offset int64 // of the first record that needs it
}

// ErrNameTaken: a field that no column reads needs a column of a name that
// another column has. Nothing was made of the slice.
var ErrNameTaken = errors.New("the name of a new column is taken")

func (e *ChangeError) Error() string {
	var parts []string
	for _, c := range e.Add {
		parts = append(parts, fmt.Sprintf("new field %s (column %s %s)", c.From, c.Name, record.FormatType(c.Type)))
	}
	for _, c := range e.Widen {
		parts = append(parts, fmt.Sprintf("column %s needs type %s", c.Name, record.FormatType(c.Type)))
	}
	return fmt.Sprintf("the source's schema has changed at offset %d: %s", e.Offset, strings.Join(parts, "; "))
}
