package cdata

import (
	"encoding/binary"

	"github.com/calvelake/calve/sdk/abi"
)

// writer lays things out in the guest's arena, one after another. Without
// memory it only counts, so that the same code sizes the arena and fills it.
type writer struct {
	mem  []byte // the arena; nil: count
	base uint32 // its address in the guest
	pos  int64  // bytes used

	input   Input // nil while counting
	bitmaps bool  // write validity where there are no nulls
}

// piece is a place in the arena.
type piece struct {
	address uint32
	bytes   []byte // nil while counting
}

func (w *writer) alloc(n int64, align int64) piece {
	w.pos = (w.pos + align - 1) &^ (align - 1)
	p := piece{address: w.base + uint32(w.pos)}
	if w.mem != nil {
		p.bytes = w.mem[w.pos : w.pos+n : w.pos+n]
	}
	w.pos += n
	return p
}

// buffer makes room for the bytes of a column, with the slack that guests may
// read beyond them. The slack is zeroed: what a guest reads there must not
// depend on earlier batches.
func (w *writer) buffer(n int64) piece {
	p := w.alloc(n+abi.BufferSlack, abi.BufferAlign)
	if p.bytes != nil {
		clear(p.bytes[n:])
		p.bytes = p.bytes[:n:n]
	}
	return p
}

// zeroed makes room for a struct of zeros.
func (w *writer) zeroed(n int64) piece {
	p := w.alloc(n, 8)
	clear(p.bytes)
	return p
}

func (w *writer) text(s string) piece {
	p := w.alloc(int64(len(s))+1, 1)
	if p.bytes != nil {
		copy(p.bytes, s)
		p.bytes[len(s)] = 0
	}
	return p
}

func (w *writer) pointers(addresses []uint32) uint32 {
	p := w.alloc(4*int64(len(addresses)), 8)
	for i, a := range addresses {
		p.u32(4*i, a)
	}
	return p.address
}

func (p piece) u32(offset int, v uint32) {
	if p.bytes != nil {
		binary.LittleEndian.PutUint32(p.bytes[offset:], v)
	}
}

func (p piece) i64(offset int, v int64) {
	if p.bytes != nil {
		binary.LittleEndian.PutUint64(p.bytes[offset:], uint64(v))
	}
}
