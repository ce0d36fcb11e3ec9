package keyvalue

import (
	"encoding/binary"
	"fmt"
)

// Reader reads the parts of a value in order, until one is wrong. Then Err says
// so, and whatever is read is zero.
type Reader struct {
	data []byte
	err  error // ErrCorrupt
}

// NewReader returns a reader of a value, whose bytes it does not copy.
func NewReader(data []byte) *Reader { return &Reader{data: data} }

// Err is the first fault, as ErrCorrupt.
func (r *Reader) Err() error { return r.err }

// Rest is what was not read.
func (r *Reader) Rest() []byte { return r.data }

// Fail makes what follows unreadable; the first reason counts.
func (r *Reader) Fail(why string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrCorrupt, why)
	}
	r.data = nil
}

// End fails if something was not read.
func (r *Reader) End() {
	if len(r.data) > 0 {
		r.Fail("there are bytes behind the end")
	}
}

func (r *Reader) short() { r.Fail("it ends too early") }

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.data) == 0 {
		r.short()
		return 0
	}
	b := r.data[0]
	r.data = r.data[1:]
	return b
}

// Varint reads a signed number as binary.AppendVarint writes it.
func (r *Reader) Varint() int64 {
	v, n := binary.Varint(r.data)
	if n <= 0 {
		r.short()
		return 0
	}
	r.data = r.data[n:]
	return v
}

// Uvarint reads an unsigned number as binary.AppendUvarint writes it.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 {
		r.short()
		return 0
	}
	r.data = r.data[n:]
	return v
}

// Time reads what AppendTime wrote.
func (r *Reader) Time() int64 {
	data := r.Take(8)
	if data == nil {
		return 0
	}
	return Time(data)
}

// Count reads the number of things that have a byte each at least.
func (r *Reader) Count() int {
	n := r.Uvarint()
	if n > uint64(len(r.data)) {
		r.short()
		return 0
	}
	return int(n)
}

// Bytes reads what AppendBytes wrote: a part of the value, nil after a fault.
func (r *Reader) Bytes() []byte {
	n := r.Count()
	if r.err != nil {
		return nil
	}
	return r.Take(n)
}

// Take reads n bytes, nil if there are fewer.
func (r *Reader) Take(n int) []byte {
	if r.err != nil || n > len(r.data) {
		r.short()
		return nil
	}
	data := r.data[:n:n]
	r.data = r.data[n:]
	return data
}
