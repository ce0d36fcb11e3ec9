package cdata

import (
	"bytes"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"

	"github.com/calvelake/calve/sdk/abi"
)

// Batch is the input of one call.
type Batch struct {
	Rows      arrow.RecordBatch
	State     arrow.RecordBatch // nil: none
	Absent    []bool            // rows of State that are null; nil: none
	InPlace   InPlace
	Meta      Meta
	ID        int64
	Watermark int64
}

// InPlace says which columns of a batch the guest may change: those of fixed
// width get a validity bitmap in any case.
type InPlace int

const (
	InPlaceNone InPlace = iota
	InPlaceRows
	InPlaceState
)

// Meta is where the rows came from. The zero value is nowhere.
type Meta struct {
	Topic      string
	Partition  int32
	Offsets    []int64 // of each row
	Timestamps []int64 // of each row, µs since 1970-01-01 UTC
}

// BatchBytes is the size of the arena that a batch needs.
func BatchBytes(b Batch) int64 {
	w := &writer{}
	w.batch(b)
	return w.pos
}

// WriteBatch writes a batch into an arena of BatchBytes bytes at that address
// and returns the address of its batch struct, and what the columns are there.
func WriteBatch(arena []byte, address uint32, b Batch) (uint32, Input) {
	w := &writer{mem: arena, base: address, input: make(Input, b.Rows.NumCols())}
	return w.batch(b), w.input
}

// Input is the columns of a batch by the addresses of their ArrowArrays: what a
// guest passes through is known by it.
type Input map[uint32]inputColumn

type inputColumn struct {
	array arrow.Array
	as    []byte // the ArrowArray and its pointers as they were written
}

// SchemaBytes is the size of the arena that a schema needs.
func SchemaBytes(s *arrow.Schema) (int64, error) {
	w := &writer{}
	_, err := w.schema(arrow.Field{Type: arrow.StructOf(s.Fields()...)})
	return w.pos, err
}

// WriteSchema writes a schema as SchemaBytes sized it.
func WriteSchema(arena []byte, address uint32, s *arrow.Schema) (uint32, error) {
	w := &writer{mem: arena, base: address}
	return w.schema(arrow.Field{Type: arrow.StructOf(s.Fields()...)})
}

func (w *writer) batch(b Batch) uint32 {
	p := w.zeroed(abi.BatchSize)
	p.u32(abi.BatchStructSize, abi.BatchSize)
	p.i64(abi.BatchID, b.ID)
	p.i64(abi.BatchWatermark, b.Watermark)
	columns := make([]uint32, b.Rows.NumCols())
	w.bitmaps = b.InPlace == InPlaceRows
	for i, c := range b.Rows.Columns() {
		columns[i] = w.array(c)
		w.remember(columns[i], c)
	}
	p.u32(abi.BatchArray, w.table(b.Rows.NumRows(), columns))
	if b.State != nil {
		w.bitmaps = b.InPlace == InPlaceState
		p.u32(abi.BatchState, w.state(b))
	}
	w.bitmaps = false
	if b.Meta.Offsets != nil {
		p.u32(abi.BatchMeta, w.meta(b.Meta))
	}
	return p.address
}

// remember keeps the ArrowArray that was written last, whose pointers follow it.
func (w *writer) remember(address uint32, c arrow.Array) {
	if w.input != nil {
		w.input[address] = inputColumn{array: c, as: bytes.Clone(w.mem[address-w.base : w.pos])}
	}
}

// table writes a struct array without nulls.
func (w *writer) table(rows int64, columns []uint32) uint32 {
	return w.structure(layout{length: rows, buffers: []uint32{0}, children: columns})
}

// state writes a struct array whose rows may be null.
func (w *writer) state(b Batch) uint32 {
	l := layout{length: b.State.NumRows(), buffers: []uint32{0}}
	for _, c := range b.State.Columns() {
		l.children = append(l.children, w.array(c))
	}
	if b.Absent != nil {
		p := w.buffer(bitutil.BytesForBits(l.length))
		clear(p.bytes)
		for i, absent := range b.Absent {
			if absent {
				l.nulls++
			} else if p.bytes != nil {
				bitutil.SetBit(p.bytes, i)
			}
		}
		l.buffers[0] = p.address
	}
	return w.structure(l)
}

func (w *writer) meta(m Meta) uint32 {
	n := len(m.Offsets)
	topics, offsets := w.buffer(int64(n*len(m.Topic))), w.buffer(4*int64(n+1))
	partitions, positions, times := w.buffer(4*int64(n)), w.buffer(8*int64(n)), w.buffer(8*int64(n))
	if w.mem != nil {
		for i := range n {
			copy(topics.bytes[i*len(m.Topic):], m.Topic)
			offsets.u32(4*i, uint32(i*len(m.Topic)))
			partitions.u32(4*i, uint32(m.Partition))
		}
		offsets.u32(4*n, uint32(n*len(m.Topic)))
		copy(positions.bytes, arrow.Int64Traits.CastToBytes(m.Offsets))
		copy(times.bytes, arrow.Int64Traits.CastToBytes(m.Timestamps))
	}
	columns := make([]uint32, abi.MetaColumns)
	columns[abi.MetaTopic] = w.structure(layout{length: int64(n), buffers: []uint32{0, offsets.address, topics.address}})
	columns[abi.MetaPartition] = w.structure(layout{length: int64(n), buffers: []uint32{0, partitions.address}})
	columns[abi.MetaOffset] = w.structure(layout{length: int64(n), buffers: []uint32{0, positions.address}})
	columns[abi.MetaTimestamp] = w.structure(layout{length: int64(n), buffers: []uint32{0, times.address}})
	return w.table(int64(n), columns)
}

// layout is an ArrowArray to be written.
type layout struct {
	length, nulls     int64
	buffers, children []uint32
}

func (w *writer) structure(l layout) uint32 {
	p := w.zeroed(abi.ArraySize)
	p.i64(abi.ArrayLength, l.length)
	p.i64(abi.ArrayNullCount, l.nulls)
	p.i64(abi.ArrayNBuffers, int64(len(l.buffers)))
	p.i64(abi.ArrayNChildren, int64(len(l.children)))
	p.u32(abi.ArrayBuffers, w.pointers(l.buffers))
	p.u32(abi.ArrayChildren, w.pointers(l.children))
	return p.address
}

// array writes a column at offset 0, whatever slice of its buffers it is.
func (w *writer) array(a arrow.Array) uint32 {
	l := layout{length: int64(a.Len()), nulls: int64(a.NullN()), buffers: []uint32{w.validity(a)}}
	data := a.Data()
	switch a := a.(type) {
	case *array.Boolean:
		l.buffers = append(l.buffers, w.bits(data, 1))
	case *array.String, *array.Binary:
		first, last, offsets := w.offsets(data)
		bytes := w.buffer(int64(last - first))
		if bytes.bytes != nil && last > first {
			copy(bytes.bytes, data.Buffers()[2].Bytes()[first:last])
		}
		l.buffers = append(l.buffers, offsets, bytes.address)
	case *array.Map:
		first, last, offsets := w.offsets(data)
		l.buffers = append(l.buffers, offsets)
		l.children = []uint32{w.slice(a.ListValues(), first, last)}
	case *array.List:
		first, last, offsets := w.offsets(data)
		l.buffers = append(l.buffers, offsets)
		l.children = []uint32{w.slice(a.ListValues(), first, last)}
	case *array.Struct:
		for i := range a.NumField() {
			l.children = append(l.children, w.array(a.Field(i)))
		}
	default:
		l.buffers = append(l.buffers, w.fixed(data))
	}
	return w.structure(l)
}

func (w *writer) slice(a arrow.Array, first, last int32) uint32 {
	s := array.NewSlice(a, int64(first), int64(last))
	defer s.Release()
	return w.array(s)
}

// validity is 0 where there are no nulls, unless the guest may make some.
func (w *writer) validity(a arrow.Array) uint32 {
	switch _, fixed := a.DataType().(arrow.FixedWidthDataType); {
	case a.NullN() > 0:
		return w.bits(a.Data(), 0)
	case w.bitmaps && fixed:
		p := w.buffer(bitutil.BytesForBits(int64(a.Len())))
		for i := range p.bytes {
			p.bytes[i] = 0xff
		}
		return p.address
	}
	return 0
}

// bits copies a bitmap, buffer number buffer, to bit offset 0.
func (w *writer) bits(d arrow.ArrayData, buffer int) uint32 {
	p := w.buffer(bitutil.BytesForBits(int64(d.Len())))
	if p.bytes != nil && d.Len() > 0 {
		clear(p.bytes)
		bitutil.CopyBitmap(d.Buffers()[buffer].Bytes(), d.Offset(), d.Len(), p.bytes, 0)
	}
	return p.address
}

func (w *writer) fixed(d arrow.ArrayData) uint32 {
	width := d.DataType().(arrow.FixedWidthDataType).BitWidth() / 8
	p := w.buffer(int64(d.Len() * width))
	if p.bytes != nil && d.Len() > 0 {
		copy(p.bytes, d.Buffers()[1].Bytes()[d.Offset()*width:])
	}
	return p.address
}

// offsets copies the offsets of strings or lists so that they begin at 0, and
// returns where the values began and ended.
func (w *writer) offsets(d arrow.ArrayData) (first, last int32, address uint32) {
	p := w.buffer(4 * int64(d.Len()+1))
	if d.Len() == 0 {
		p.u32(0, 0)
		return 0, 0, p.address
	}
	from := arrow.Int32Traits.CastFromBytes(d.Buffers()[1].Bytes())[d.Offset() : d.Offset()+d.Len()+1]
	first, last = from[0], from[d.Len()]
	if p.bytes != nil {
		rebase(arrow.Int32Traits.CastFromBytes(p.bytes), from)
	}
	return first, last, p.address
}

// rebase copies offsets so that they begin at 0.
func rebase(to, from []int32) {
	first := from[0]
	if first == 0 {
		copy(to, from)
		return
	}
	for i, o := range from {
		to[i] = o - first
	}
}

func (w *writer) schema(f arrow.Field) (uint32, error) {
	format, err := writtenFormat(f.Type)
	if err != nil {
		return 0, fmt.Errorf("column %q: %w", f.Name, err)
	}
	p := w.zeroed(abi.SchemaSize)
	p.u32(abi.SchemaFormat, w.text(format).address)
	p.u32(abi.SchemaName, w.text(f.Name).address)
	if f.Nullable {
		p.i64(abi.SchemaFlags, abi.FlagNullable)
	}
	var below []uint32
	for _, c := range children(f.Type) {
		child, err := w.schema(c)
		if err != nil {
			return 0, err
		}
		below = append(below, child)
	}
	p.i64(abi.SchemaNChildren, int64(len(below)))
	p.u32(abi.SchemaChildren, w.pointers(below))
	return p.address, nil
}
