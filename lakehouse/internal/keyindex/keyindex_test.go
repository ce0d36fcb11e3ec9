package keyindex

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// hashOf spreads n over the hash; small ranges of n give equal high halves, as
// clusters and near collisions need.
func hashOf(n uint64, clustered bool) Hash {
	if clustered {
		return Hash{n / 8 << 56, n}
	}
	rng := rand.New(rand.NewPCG(n, 7))
	return Hash{rng.Uint64(), rng.Uint64()}
}

// check compares the table with what it should hold, and its shards with what
// searches rely on.
func check(t *testing.T, table *Table, want map[Hash]uint32) {
	t.Helper()
	if table.Len() != len(want) {
		t.Fatalf("%d entries, want %d", table.Len(), len(want))
	}
	for h, number := range want {
		if got := table.Get(h); got != number {
			t.Fatalf("hash %x has %d, want %d", h, got, number)
		}
	}
	for i := range table.shards {
		s := &table.shards[i]
		for at, number := range s.numbers {
			switch {
			case number == 0:
			case at == len(s.numbers)-1:
				t.Fatal("the last place is taken")
			case s.home(s.hashes[at]) > at:
				t.Fatal("an entry lies before its home")
			case at > s.home(s.hashes[at]) && s.numbers[at-1] == 0:
				t.Fatal("a free place lies between an entry and its home")
			case at > 0 && s.numbers[at-1] != 0 && !s.hashes[at-1].less(s.hashes[at]):
				t.Fatal("entries are out of order")
			}
		}
	}
}

func TestTableIsAMap(t *testing.T) {
	for _, clustered := range []bool{false, true} {
		rng := rand.New(rand.NewPCG(1, 2))
		var table Table
		want := map[Hash]uint32{}
		for step := range 60_000 {
			h := hashOf(rng.Uint64N(4000), clustered)
			switch rng.IntN(5) {
			case 0, 1, 2:
				number := 1 + rng.Uint32N(9)
				if got := table.Put(h, number); got != want[h] {
					t.Fatalf("put replaced %d, want %d", got, want[h])
				}
				want[h] = number
			case 3:
				if got := table.Delete(h); got != want[h] {
					t.Fatalf("delete took %d, want %d", got, want[h])
				}
				delete(want, h)
			case 4:
				if got := table.Get(h); got != want[h] {
					t.Fatalf("get found %d, want %d", got, want[h])
				}
			}
			if step%10_000 == 9_999 {
				check(t, &table, want)
				gone := 1 + rng.Uint32N(9)
				table.Retain(func(number uint32) bool { return number != gone })
				for h, number := range want {
					if number == gone {
						delete(want, h)
					}
				}
				check(t, &table, want)
			}
		}
	}
}

func TestEmptyTableFindsNothing(t *testing.T) {
	var table Table
	if table.Get(Hash{1, 2}) != 0 || table.Delete(Hash{1, 2}) != 0 || table.Len() != 0 || table.Bytes() != 0 {
		t.Error("an empty table holds something")
	}
	table.Put(Hash{1, 2}, 3)
	table.Retain(func(uint32) bool { return false })
	if table.Get(Hash{1, 2}) != 0 || table.Len() != 0 || table.Bytes() != 0 {
		t.Error("a table that retained nothing holds something")
	}
}

func TestKeysTakeAboutTwentyThreeBytes(t *testing.T) {
	var table Table
	hasher := NewHasher()
	var key [8]byte
	const keys = 1 << 20
	for n := range uint64(keys) {
		binary.LittleEndian.PutUint64(key[:], n)
		if table.Put(hasher.Sum(key[:]), 1) != 0 {
			t.Fatalf("key %d has the hash of another", n)
		}
	}
	if got := float64(table.Bytes()) / keys; got > 26 {
		t.Errorf("%.1f bytes a key, want about 23", got)
	}
}

func TestHashersDiffer(t *testing.T) {
	a, b := NewHasher(), NewHasher()
	key := []byte("key")
	if again := a.Sum([]byte("key")); a.Sum(key) != again {
		t.Error("a hasher gives a key two hashes")
	}
	if a.Sum(key) == b.Sum(key) {
		t.Error("two hashers agree: their seeds are not random")
	}
	if h := a.Sum(key); h[0] == h[1] {
		t.Error("the halves are of one seed")
	}
}

func BenchmarkTable(b *testing.B) {
	const keys = 1 << 20
	var table Table
	hashes := make([]Hash, keys)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range hashes {
		hashes[i] = Hash{rng.Uint64(), rng.Uint64()}
		table.Put(hashes[i], uint32(i+1))
	}
	b.Run("get", func(b *testing.B) {
		for i := range b.N {
			if table.Get(hashes[i&(keys-1)]) == 0 {
				b.Fatal("lost")
			}
		}
		b.ReportMetric(float64(table.Bytes())/keys, "bytes/key")
	})
	b.Run("put", func(b *testing.B) {
		var fresh Table
		for i := range b.N {
			fresh.Put(hashes[i&(keys-1)], 1)
		}
	})
}
