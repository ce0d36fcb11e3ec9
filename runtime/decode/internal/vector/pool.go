package vector

import (
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Pool makes the sets of a schema out of the memory of batches that were
// released, so that a decoder neither clears memory for each batch nor leaves it
// to the garbage collector. It is safe for concurrent use.
//
// A set comes back when all buffers of its batch are released; one that is
// never released, or of which a slice is kept, is collected like other memory,
// and so are sets that nobody takes for a while, but for one. What a batch's reader keeps
// must be a copy, or be retained: the bytes behind an array's strings are
// written again. Builds with the tag poison overwrite them at once.
type Pool struct {
	schema *arrow.Schema
	held   atomic.Pointer[Set] // one of maxHeld bytes, whatever the garbage collector does
	free   sync.Pool           // of *Set
}

// NewPool makes the pool of a schema.
func NewPool(schema *arrow.Schema) *Pool { return &Pool{schema: schema} }

// Set makes a set, with room for rows. Memory that was used before holds any
// bytes: each row of each column is to be written, as always.
func (p *Pool) Set(rows int) (*Set, error) {
	s := p.held.Swap(nil)
	if s == nil {
		s, _ = p.free.Get().(*Set)
	}
	if s == nil {
		s, err := NewSet(p.schema, rows, 0)
		if err != nil {
			return nil, err
		}
		s.pool = p
		return s, nil
	}
	for _, v := range s.Columns {
		v.Reserve(rows, 0)
	}
	s.room = 0
	return s, nil
}

// maxHeld bounds the bytes of a set that is kept for good, and maxPooled of one
// that is kept until the garbage collector takes it.
const (
	maxHeld   = 8 << 20
	maxPooled = 64 << 20
)

// put takes a set back.
func (p *Pool) put(s *Set) {
	size := 0
	for _, v := range s.Columns {
		size += v.reset()
	}
	s.Row = 0
	if size <= maxHeld && p.held.CompareAndSwap(nil, s) {
		return
	}
	if size <= maxPooled {
		p.free.Put(s)
	}
}

// reset makes a vector ready for other rows and returns the bytes of its memory.
func (v *Vector) reset() int {
	if v.valid != nil {
		v.spare, v.valid = v.valid[:0], nil
	}
	v.Len, v.Data = 0, v.Data[:0]
	if poison {
		v.overwrite()
	}
	size := cap(v.Bits) + 4*cap(v.I32) + 8*cap(v.I64) + 4*cap(v.F32) + 8*cap(v.F64) + 16*cap(v.Decimals) + 4*cap(v.Offsets) + cap(v.Data) + cap(v.spare)
	for _, kid := range v.Kids {
		size += kid.reset()
	}
	return size
}

// overwrite makes what is read of released memory stand out.
func (v *Vector) overwrite() {
	const b = 0xdb
	fill := func(s []byte) {
		for i := range s {
			s[i] = b
		}
	}
	fill(v.Bits)
	fill(arrow.Int32Traits.CastToBytes(v.I32))
	fill(arrow.Int64Traits.CastToBytes(v.I64))
	fill(arrow.Float32Traits.CastToBytes(v.F32))
	fill(arrow.Float64Traits.CastToBytes(v.F64))
	fill(arrow.Decimal128Traits.CastToBytes(v.Decimals))
	fill(v.Data[:cap(v.Data)])
	fill(v.spare[:cap(v.spare)])
	if len(v.Offsets) > 0 { // the first is 0 in every batch
		fill(arrow.Int32Traits.CastToBytes(v.Offsets[1:]))
	}
}

// lease is the memory of a batch: its buffers are freed one by one, the set
// with the last. As a memory.Allocator it makes none.
type lease struct {
	memory.Allocator
	set     *Set
	buffers atomic.Int64
}

// Free implements memory.Allocator.
func (l *lease) Free([]byte) {
	if l.buffers.Add(-1) == 0 {
		l.set.pool.put(l.set)
	}
}

// buffer wraps memory of the set; l is nil for a set without a pool.
func (l *lease) buffer(b []byte) *memory.Buffer {
	if l == nil {
		return memory.NewBufferBytes(b)
	}
	l.buffers.Add(1)
	return memory.NewBufferWithAllocator(b, l)
}
