package calve

// bitmap is Arrow's: a bit a row, least significant first. nil means all set.
type bitmap []byte

func bitmapBytes(n int) int { return (n + 7) >> 3 }

func (b bitmap) get(i int) bool { return b == nil || b[i>>3]>>(i&7)&1 == 1 }

func (b bitmap) set(i int) { b[i>>3] |= 1 << (i & 7) }

func (b bitmap) clear(i int) { b[i>>3] &^= 1 << (i & 7) }

// setAll sets the first n bits.
func (b bitmap) setAll(n int) {
	for i := range n >> 3 {
		b[i] = 0xff
	}
	if n&7 != 0 {
		b[n>>3] |= 1<<(n&7) - 1
	}
}

// resize returns b with n bits; new ones are 0, and so are those in the last
// byte beyond n.
func (b bitmap) resize(n int) bitmap {
	b = resize(b, bitmapBytes(n))
	if n&7 != 0 {
		b[n>>3] &= 1<<(n&7) - 1
	}
	return b
}

// resize returns s with length n; what is new is zero. Capacity doubles, so
// that setting row by row stays linear.
func resize[T any](s []T, n int) []T {
	if n <= len(s) {
		return s[:n]
	}
	if n <= cap(s) {
		old := len(s)
		s = s[:n]
		clear(s[old:])
		return s
	}
	grown := make([]T, n, max(n, 2*cap(s)))
	copy(grown, s)
	return grown
}
