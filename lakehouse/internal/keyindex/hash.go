package keyindex

import "hash/maphash"

// Hash stands for a key. Two keys of a table of n have the same one with odds
// of n²/2¹²⁹: of 10⁸ keys, 10⁻²³. The seeds are random and never leave the
// process, so that nobody can choose keys that collide.
type Hash [2]uint64

// Hasher computes hashes that are comparable with each other, and with no other
// Hasher's. Safe for concurrent use.
type Hasher struct{ high, low maphash.Seed }

// NewHasher returns a Hasher with seeds of its own.
func NewHasher() Hasher { return Hasher{maphash.MakeSeed(), maphash.MakeSeed()} }

// Sum is the hash of an encoded key: two hashes of 64 bits with independent
// seeds.
func (h Hasher) Sum(key []byte) Hash {
	return Hash{maphash.Bytes(h.high, key), maphash.Bytes(h.low, key)}
}

// less orders hashes.
func (h Hash) less(other Hash) bool {
	return h[0] < other[0] || h[0] == other[0] && h[1] < other[1]
}
