// Package keyindex maps the keys of a table to small numbers in about 23 bytes
// a key, without a pointer that the garbage collector would follow: 10⁸ keys
// take 2.3 GB.
//
// A key is stood for by a hash of 128 bits. Entries lie in 256 shards, by the
// top byte of the hash, and in each in the order of their hashes, as near as
// possible to the place that the hash's value asks for: a search ends at the
// first greater hash, so that a full table finds nothing as fast as something,
// and a shard grows by one pass over its entries.
package keyindex

const (
	shardBits = 8
	shards    = 1 << shardBits
)

// Table maps hashes to numbers from 1. The zero Table is empty and ready. Not
// safe for concurrent use.
type Table struct {
	shards [shards]shard
	len    int
}

// Get returns the number of a hash, 0 if it has none.
func (t *Table) Get(h Hash) uint32 { return t.shard(h).get(h) }

// Put gives a hash a number above 0, and returns the one that it had, 0 if
// none.
func (t *Table) Put(h Hash, number uint32) (before uint32) {
	if number == 0 {
		panic("BUG: 0 stands for no number")
	}
	if before = t.shard(h).put(h, number); before == 0 {
		t.len++
	}
	return before
}

// Delete takes out a hash, and returns the number that it had, 0 if none.
func (t *Table) Delete(h Hash) (before uint32) {
	if before = t.shard(h).remove(h); before != 0 {
		t.len--
	}
	return before
}

// Retain takes out what keep does not want, and gives memory back.
func (t *Table) Retain(keep func(number uint32) bool) {
	t.len = 0
	for i := range t.shards {
		t.shards[i].rebuild(keep)
		t.len += t.shards[i].len
	}
}

// Len is how many hashes have a number.
func (t *Table) Len() int { return t.len }

// Bytes is how much memory the entries take.
func (t *Table) Bytes() int64 {
	var bytes int64
	for i := range t.shards {
		bytes += int64(cap(t.shards[i].hashes))*16 + int64(cap(t.shards[i].numbers))*4
	}
	return bytes
}

func (t *Table) shard(h Hash) *shard { return &t.shards[h[0]>>(64-shardBits)] }
