// Package program holds what the formats that carry a schema agree on with
// their caller: which columns a program writes, how it says why a record gives
// none, and what of the writer's schema no column reads.
//
// Such a format is a package that compiles a writer's schema and columns into a
// Program (safe for concurrent use, once for each schema), of which a Reader is
// made for each vector.Set. Its Read writes the present row of the columns, all
// of them, or returns an *Error, after which the caller rolls the row back.
package program

import (
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// Column is one column that a program writes.
type Column struct {
	Path     []string // names of fields, from the record's schema down
	Index    int      // of the vector in the set
	Type     arrow.DataType
	Encoding string
	Nullable bool
	// Fallback writes the default of the column; nil without one. It is used
	// where the value is missing or null.
	Fallback func(v *vector.Vector, row int)
}

// Optional returns the columns such that those without a value are null: the
// caller finds one elsewhere.
func Optional(columns []Column) []Column {
	optional := slices.Clone(columns)
	for i := range optional {
		optional[i].Nullable, optional[i].Fallback = true, nil
	}
	return optional
}

// Error says why a record gives no row.
type Error struct {
	Code     string // record.CodeMalformed, CodeType or CodeMissing
	Column   int    // index in the set, or -1 if the record as a whole is at fault
	Path     string // inside the column's value, "" for the value itself
	Found    string // what was found, cut to a length for messages; "" for no value
	Expected string // what was expected
}

// Error gives the message without the column's name, which the caller has.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("found ")
	if e.Path != "" {
		b.WriteString(e.Path)
		b.WriteString(": ")
	}
	if e.Found == "" {
		b.WriteString("no value")
	}
	b.WriteString(e.Found)
	b.WriteString(", expected ")
	b.WriteString(e.Expected)
	return b.String()
}

// Field is a field of the writer's schema that no column reads, with the
// data_type that holds its values.
type Field struct {
	Path []string
	Type arrow.DataType
}

// Widening is a column whose data_type is narrower than the writer's, with the
// type that it needs: a promotion of Iceberg, or a struct with more fields.
type Widening struct {
	Column int // index in the set
	Type   arrow.DataType
}
