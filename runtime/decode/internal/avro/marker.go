package avro

import (
	"github.com/calvelake/calve/runtime/decode/internal/debezium"
	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/record"
)

type marker = debezium.Marker

// gone writes a null for the placeholder of a value.
func (r *Reader) gone(t *target, v *vector.Vector, row, pos int) int {
	if !t.nullable {
		r.err = &program.Error{Code: record.CodeMissing, Column: t.column, Found: excerpt([]byte(r.program.marker.Placeholder())),
			Expected: record.FormatType(t.typ) + "; " + debezium.Unavailable}
		return -1
	}
	v.SetNull(row)
	r.unavailable = append(r.unavailable, int32(t.column))
	return pos
}

// isMarker tells whether a single element, or a single key, is the placeholder.
func (r *Reader) isMarker(o *op, v *vector.Vector, row int) bool {
	m := r.program.marker
	return m != nil && o.x.target.path == "" && (v.Kind == vector.String || v.Kind == vector.Binary) &&
		!v.IsNull(row) && m.Is(v.Data[v.Offsets[row]:v.Offsets[row+1]])
}
