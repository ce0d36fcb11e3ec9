package cdata

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// rows is which rows of a view to copy: those of index, where -1 is a null, or
// n rows from start if index is nil.
type rows struct {
	start, n int
	index    []int32
}

func (s rows) len() int {
	if s.index != nil {
		return len(s.index)
	}
	return s.n
}

// shift moves the selection by the physical offset of a parent, whose children
// are addressed by physical place.
func (s rows) shift(by int) rows {
	if s.index == nil {
		return rows{start: s.start + by, n: s.n}
	}
	if by == 0 {
		return s
	}
	moved := make([]int32, len(s.index))
	for i, at := range s.index {
		moved[i] = at
		if at >= 0 {
			moved[i] += int32(by)
		}
	}
	return rows{index: moved}
}

// take copies rows out of guest memory into an array of its own. The caller
// releases it.
func (v *view) take(s rows) arrow.ArrayData {
	if v.dict != nil {
		return v.dict.take(v.dictionaryRows(s))
	}
	n := s.len()
	valid, nulls := v.takeValidity(s)
	buffers := []*memory.Buffer{valid}
	var below []arrow.ArrayData
	switch v.typ.ID() {
	case arrow.STRING, arrow.BINARY:
		offsets, data := v.takeBytes(s)
		buffers = append(buffers, offsets, data)
	case arrow.BOOL:
		buffers = append(buffers, memory.NewBufferBytes(takeBits(v.data, v.off, s, false)))
	case arrow.STRUCT:
		for _, c := range v.children {
			below = append(below, c.take(s.shift(v.off)))
		}
	case arrow.LIST, arrow.MAP:
		offsets, inner := v.takeLists(s)
		buffers = append(buffers, offsets)
		below = []arrow.ArrayData{v.children[0].take(inner)}
	default:
		buffers = append(buffers, memory.NewBufferBytes(v.takeFixed(s)))
	}
	out := array.NewData(v.typ, n, buffers, below, nulls, 0)
	for _, c := range below {
		c.Release()
	}
	return out
}

// dictionaryRows turns rows of a dictionary-encoded column into rows of its
// dictionary.
func (v *view) dictionaryRows(s rows) rows {
	s = v.withoutNulls(s)
	for i, at := range s.index {
		if at >= 0 {
			s.index[i] = int32(v.index(int(at)))
		}
	}
	return s
}

func (v *view) takeValidity(s rows) (*memory.Buffer, int) {
	missing := false
	for _, at := range s.index {
		missing = missing || at < 0
	}
	if v.valid == nil && !missing {
		return nil, 0
	}
	bits := takeBits(v.valid, v.off, s, true)
	nulls := s.len() - bitutil.CountSetBits(bits, 0, s.len())
	if nulls == 0 {
		return nil, 0
	}
	return memory.NewBufferBytes(bits), nulls
}

// takeBits copies bits. from nil stands for all set if unset is true; an index
// of -1 gives 0.
func takeBits(from []byte, off int, s rows, unset bool) []byte {
	n := s.len()
	to := make([]byte, bitutil.BytesForBits(int64(n)))
	if s.index == nil && from != nil {
		if n > 0 {
			bitutil.CopyBitmap(from, off+s.start, n, to, 0)
		}
		return to
	}
	for i := range n {
		at := int32(s.start + i)
		if s.index != nil {
			at = s.index[i]
		}
		if at >= 0 && (from == nil && unset || from != nil && bitutil.BitIsSet(from, off+int(at))) {
			bitutil.SetBit(to, i)
		}
	}
	return to
}

func (v *view) takeFixed(s rows) []byte {
	width := v.typ.(arrow.FixedWidthDataType).BitWidth() / 8
	to := make([]byte, s.len()*width)
	if s.index == nil {
		if s.n > 0 {
			copy(to, v.data[(v.off+s.start)*width:])
		}
		return to
	}
	switch width {
	case 1:
		gather(to, v.data, v.off, s.index)
	case 4:
		gather(arrow.Int32Traits.CastFromBytes(to), arrow.Int32Traits.CastFromBytes(v.data), v.off, s.index)
	case 8:
		gather(arrow.Int64Traits.CastFromBytes(to), arrow.Int64Traits.CastFromBytes(v.data), v.off, s.index)
	default:
		gather(decimals(to), decimals(v.data), v.off, s.index)
	}
	return to
}

func gather[T any](to, from []T, off int, index []int32) {
	for i, at := range index {
		if at >= 0 {
			to[i] = from[off+int(at)]
		}
	}
}

// withoutNulls turns null rows into -1, so that nothing of them is copied.
func (v *view) withoutNulls(s rows) rows {
	index := make([]int32, s.len())
	for i := range index {
		at := int32(s.start + i)
		if s.index != nil {
			at = s.index[i]
		}
		index[i] = -1
		if at >= 0 && v.isValid(int(at)) {
			index[i] = at
		}
	}
	return rows{index: index}
}

func (v *view) takeBytes(s rows) (offsets, data *memory.Buffer) {
	if v.untidy {
		s = v.withoutNulls(s)
	}
	n := s.len()
	raw := make([]byte, 4*(n+1))
	to := arrow.Int32Traits.CastFromBytes(raw)
	if s.index == nil {
		from := v.offsets[v.off+s.start : v.off+s.start+n+1]
		rebase(to, from)
		bytes := make([]byte, to[n])
		copy(bytes, v.data[from[0]:from[n]])
		return memory.NewBufferBytes(raw), memory.NewBufferBytes(bytes)
	}
	return memory.NewBufferBytes(raw), memory.NewBufferBytes(v.gatherBytes(to, s.index))
}

// gatherBytes copies the bytes of rows, run of neighbours by run, and writes
// their offsets.
func (v *view) gatherBytes(to, index []int32) []byte {
	from, total := v.offsets[v.off:], 0
	for _, at := range index {
		if at >= 0 {
			total += int(from[at+1] - from[at])
		}
	}
	bytes := make([]byte, 0, total)
	for i := 0; i < len(index); {
		at := index[i]
		if at < 0 {
			to[i+1] = int32(len(bytes))
			i++
			continue
		}
		run := 1
		for i+run < len(index) && index[i+run] == at+int32(run) {
			run++
		}
		shift := int32(len(bytes)) - from[at]
		bytes = append(bytes, v.data[from[at]:from[int(at)+run]]...)
		for k, o := range from[at+1 : int(at)+run+1] {
			to[i+1+k] = o + shift
		}
		i += run
	}
	return bytes
}

// takeLists copies the offsets of lists and says which rows of the child they
// need.
func (v *view) takeLists(s rows) (offsets *memory.Buffer, inner rows) {
	n := s.len()
	raw := make([]byte, 4*(n+1))
	to := arrow.Int32Traits.CastFromBytes(raw)
	if s.index == nil {
		from := v.offsets[v.off+s.start : v.off+s.start+n+1]
		rebase(to, from)
		return memory.NewBufferBytes(raw), rows{start: int(from[0]), n: int(to[n])}
	}
	inner.index = []int32{}
	for i, at := range s.index {
		if at >= 0 {
			for child := v.offsets[v.off+int(at)]; child < v.offsets[v.off+int(at)+1]; child++ {
				inner.index = append(inner.index, child)
			}
		}
		to[i+1] = int32(len(inner.index))
	}
	return memory.NewBufferBytes(raw), inner
}
