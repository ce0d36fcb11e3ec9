package meter

import "fmt"

// reader walks the binary format. The first problem sticks in err; afterwards
// every method returns zero.
type reader struct {
	data []byte
	pos  int
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
	}
}

func (r *reader) done() bool { return r.err != nil || r.pos >= len(r.data) }

func (r *reader) byte() byte {
	if r.err != nil {
		return 0
	}
	if r.pos >= len(r.data) {
		r.fail("unexpected end")
		return 0
	}
	b := r.data[r.pos]
	r.pos++
	return b
}

func (r *reader) skip(n int) {
	if r.err == nil && (n < 0 || n > len(r.data)-r.pos) {
		r.fail("unexpected end")
	}
	if r.err == nil {
		r.pos += n
	}
}

func (r *reader) bytes(n int) []byte {
	start := r.pos
	r.skip(n)
	if r.err != nil {
		return nil
	}
	return r.data[start:r.pos]
}

// u32 reads an unsigned LEB128 of at most 32 bits.
func (r *reader) u32() uint32 {
	var v uint64
	for shift := 0; ; shift += 7 {
		b := r.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 || r.err != nil {
			break
		}
		if shift == 28 {
			r.fail("number longer than 32 bits")
			return 0
		}
	}
	if v > 1<<32-1 {
		r.fail("number longer than 32 bits")
		return 0
	}
	return uint32(v)
}

// signed reads a signed LEB128 of at most n bytes.
func (r *reader) signed(n int) int64 {
	var v int64
	for i := range n {
		b := r.byte()
		v |= int64(b&0x7f) << (7 * i)
		if b < 0x80 || r.err != nil {
			if shift := 7 * (i + 1); shift < 64 && b&0x40 != 0 {
				v |= -1 << shift
			}
			return v
		}
	}
	r.fail("number too long")
	return 0
}

// count reads the length of a vector, at most limit; what says of what.
func (r *reader) count(limit int, what string) int {
	n := r.u32()
	if r.err == nil && int64(n) > int64(limit) {
		r.err = fmt.Errorf("%w: %d %s, at most %d are allowed", ErrTooLarge, n, what, limit)
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

func (r *reader) name() string { return string(r.bytes(int(r.u32()))) }

func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendS64(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func appendName(b []byte, name string) []byte {
	return append(appendU32(b, uint32(len(name))), name...)
}
