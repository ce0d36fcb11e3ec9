package avro

import (
	"encoding/binary"
	"math"

	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// Reader writes the rows of one batch.
type Reader struct {
	program     *Program
	set         *vector.Set
	ops         []op
	vectors     []*vector.Vector
	marks       []int
	empty       int     // items without bytes, in the present record
	extra       []byte  // JSON text of the rest so far
	unavailable []int32 // columns of the present row that the marker stands in
	order       []int32 // scratch of keys
	err         error
}

// Read writes the present row of the columns. An error is a *program.Error,
// after which the caller rolls the row back, or that a column of the batch is
// full, which is no fault of the record.
func (r *Reader) Read(body []byte) error {
	o, end := fast(&r.ops[0], body, 0, r.set.Row)
	if o.code != opReturn {
		r.reset()
		end = r.runFrom(o, body, end, r.set.Row)
	}
	if end < 0 {
		return r.err
	}
	if end != len(body) {
		return trailing(len(body) - end)
	}
	return nil
}

func (r *Reader) read(body []byte, pos int) int {
	r.reset()
	return r.run(0, body, pos, r.set.Row)
}

func (r *Reader) reset() {
	r.empty, r.err = 0, nil
	r.extra, r.unavailable = r.extra[:0], r.unavailable[:0]
}

// run executes operations from pc to a return, and gives the position behind
// what it read, or -1.
func (r *Reader) run(pc int32, data []byte, pos, row int) int {
	o, pos := fast(&r.ops[pc], data, pos, row)
	return r.runFrom(o, data, pos, row)
}

// runFrom is run from an operation that fast has left undone, or from a return.
func (r *Reader) runFrom(o *op, data []byte, pos, row int) int {
	for o.code != opReturn {
		var pc int32
		if pc, pos = r.step(o, o.at+1, data, pos, row); pos < 0 {
			return r.stop(o)
		}
		o, pos = fast(&r.ops[pc], data, pos, row)
	}
	return pos
}

// step executes any operation but a jump or return, and gives the next one and
// the position, -1 on failure.
func (r *Reader) step(o *op, pc int32, data []byte, pos, row int) (int32, int) {
	switch o.code {
	case opOption, opOptionText:
		i, next := index(2, data, pos)
		if next < 0 || (i == 0) != o.first {
			return pc, next
		}
		if o.v == nil {
			return o.alt, next
		}
		o.v.SetNull(row)
		return o.next, next
	case opSkip:
		return pc, r.skip(o.x.node, data, pos, 0)
	case opSkipLong:
		_, next := varint(data, pos)
		return pc, next
	case opSkipBytes:
		n, next := length(data, pos)
		return pc, next + n
	case opText:
		n, next := length(data, pos)
		if next >= 0 && !r.putText(o.v, row, data, next, n) {
			return pc, r.notText(o.x, data[next:next+n])
		}
		return pc, next + n
	case opLong:
		x, next := varlong(data, pos)
		o.v.I64[row] = x
		return pc, next
	case opInt:
		x, next := varsmall(data, pos)
		o.v.I32[row] = x
		return pc, next
	case opDouble: // not within data, else fast has read it
		return pc, -1
	case opBool:
		return pc, -1
	case opWiden:
		x, next := varsmall(data, pos)
		o.v.I64[row] = int64(x)
		return pc, next
	case opMillis:
		x, next := varlong(data, pos)
		if next >= 0 && (x > math.MaxInt64/1000 || x < math.MinInt64/1000) {
			return pc, r.refused(o.x, o.x.cast.Long(o.v, row, x), formatLong(x))
		}
		o.v.I64[row] = x * 1000
		return pc, next
	case opFloat, opWidenFloat:
		if len(data)-pos < 4 {
			return pc, -1
		}
		f := math.Float32frombits(binary.LittleEndian.Uint32(data[pos:]))
		if o.code == opFloat {
			o.v.F32[row] = f
		} else {
			o.v.F64[row] = float64(f)
		}
		return pc, pos + 4
	case opBytes:
		n, next := length(data, pos)
		if next < 0 {
			return pc, -1
		}
		o.v.SetBytes(row, data[next:next+n])
		return pc, next + n
	case opFixed:
		next := fixedEnd(data, pos, int(o.size))
		if next >= 0 {
			o.v.SetBytes(row, data[pos:next])
		}
		return pc, next
	case opEnum:
		i, next := index(len(o.x.node.symbols), data, pos)
		if next < 0 {
			return pc, -1
		}
		return pc, r.setText(o.v, row, o.x.node.symbols[i], next)
	case opCast:
		return pc, r.cast(o, data, pos, row)
	case opVariable:
		return pc, r.variable(o, data, pos, row)
	case opUnion:
		i, next := index(len(o.x.branches), data, pos)
		if next < 0 {
			return pc, -1
		}
		return o.x.branches[i], next
	case opAbsent:
		return pc, r.absent(o.x.target, o.v, row, pos)
	case opMark:
		r.marks[o.size] = pos
		return pc, pos
	case opRewind:
		return pc, r.marks[o.size]
	}
	return pc, r.nested(o, data, pos, row)
}

// nested reads what holds other values.
func (r *Reader) nested(o *op, data []byte, pos, row int) int {
	switch o.code {
	case opList:
		return r.list(o, data, pos, row)
	case opMap:
		return r.mapping(o, data, pos, row)
	case opEntries:
		return r.entries(o, data, pos, row)
	case opJSON:
		n := o.x.node
		if n.kind == union {
			branch, next := index(len(n.branches), data, pos)
			if next < 0 {
				return -1
			}
			if n = n.branches[branch]; n.kind == null { // of the column, not of the text
				return r.absent(o.x.target, o.v, row, next)
			}
			pos = next
		}
		out, next := r.json(o.v.Data, o.x, n, data, pos, 0)
		if next < 0 {
			return -1
		}
		o.v.Data = out
		return r.endText(o.v, row, next)
	case opExtra:
		return r.addExtra(o, data, pos)
	case opExtraEnd:
		return r.endExtra(o, row, pos)
	}
	panic("BUG: an operation of Avro that no reader knows")
}

// absent writes what stands for no value.
func (r *Reader) absent(t *target, v *vector.Vector, row, pos int) int {
	switch {
	case t.fallback != nil:
		t.fallback(v, row)
	case t.nullable:
		v.SetNull(row)
	default:
		r.missing(t)
		return -1
	}
	return pos
}

// setText writes text that is not of the record, which may be longer than what
// the record has in its place.
func (r *Reader) setText(v *vector.Vector, row int, s []byte, next int) int {
	v.Data = append(v.Data, s...)
	return r.endText(v, row, next)
}

// endText ends a value whose text has been appended.
func (r *Reader) endText(v *vector.Vector, row, next int) int {
	if len(v.Data) > math.MaxInt32 {
		r.err = errFull
		return -1
	}
	v.Offsets[row+1] = int32(len(v.Data))
	return next
}
