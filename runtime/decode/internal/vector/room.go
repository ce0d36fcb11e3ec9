package vector

import (
	"strings"
	"unsafe"
)

// Room returns an empty slice with room for n bytes. What make would set to
// zero first is left as it is, which saves a fast decoder a tenth of its time.
//
// It is safe: the bytes are the buffer of a Builder that nothing else refers
// to, and the string that is made of its first byte is dropped here, so that
// writing to them changes no string.
func Room(n int) []byte {
	var b strings.Builder
	b.Grow(max(n, 1))
	b.WriteByte(0)
	return unsafe.Slice(unsafe.StringData(b.String()), b.Cap())[:0]
}
