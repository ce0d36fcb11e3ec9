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
		!v.IsNull(row) && m.IsText(v.Data[v.Offsets[row]:v.Offsets[row+1]])
}

// areMarker tells whether the elements from first on are the numbers that stand
// for the placeholder.
func (r *Reader) areMarker(o *op, v *vector.Vector, first int) bool {
	m := r.program.marker
	if m == nil || o.x.target.path != "" || m.Numbers() == 0 || v.Len-first != m.Numbers() {
		return false
	}
	for i := range m.Numbers() {
		at, want := first+i, m.Number(i)
		var is bool
		switch v.Kind {
		case vector.Int, vector.Date:
			is = v.I32[at] == int32(want)
		case vector.Long:
			is = v.I64[at] == int64(want)
		case vector.Float:
			is = v.F32[at] == float32(want)
		case vector.Double:
			is = v.F64[at] == float64(want)
		}
		if !is || v.IsNull(at) {
			return false
		}
	}
	return true
}
