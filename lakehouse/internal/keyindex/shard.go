package keyindex

import "math/bits"

const (
	// A shard is at most 92 % full: a search then looks at 7 entries on
	// average, and an eighth more places at each growth keep it 86 % full.
	maxLoad  = 0.92
	growth   = 1.125
	minSlots = 16
)

// shard is a hash table with open addressing whose entries are sorted. An entry
// lies at its home or behind, with no free place between.
type shard struct {
	hashes  []Hash
	numbers []uint32 // 0: the place is free; the last always is
	slots   uint64   // homes; behind them is room for entries that are pushed out
	len     int
}

// home is where a hash asks to be: monotone, so that order by hash is order by
// home.
func (s *shard) home(h Hash) int {
	high, _ := bits.Mul64(h[0]<<shardBits|h[1]>>(64-shardBits), s.slots)
	return int(high)
}

// find is the place of a hash, or the one where it would have to be put.
func (s *shard) find(h Hash) (at int, found bool) {
	at = s.home(h)
	for s.numbers[at] != 0 && s.hashes[at].less(h) {
		at++
	}
	return at, s.numbers[at] != 0 && s.hashes[at] == h
}

func (s *shard) get(h Hash) uint32 {
	if s.len == 0 {
		return 0
	}
	if at, found := s.find(h); found {
		return s.numbers[at]
	}
	return 0
}

func (s *shard) put(h Hash, number uint32) (before uint32) {
	if s.slots == 0 {
		s.grow()
	}
	at, found := s.find(h)
	if found {
		before, s.numbers[at] = s.numbers[at], number
		return before
	}
	free := at
	for s.numbers[free] != 0 {
		free++
	}
	if free == len(s.numbers)-1 || float64(s.len) >= maxLoad*float64(s.slots) {
		s.grow()
		return s.put(h, number)
	}
	copy(s.hashes[at+1:free+1], s.hashes[at:free])
	copy(s.numbers[at+1:free+1], s.numbers[at:free])
	s.hashes[at], s.numbers[at] = h, number
	s.len++
	return 0
}

// remove closes the gap by those behind that are not at home.
func (s *shard) remove(h Hash) (before uint32) {
	if s.len == 0 {
		return 0
	}
	at, found := s.find(h)
	if !found {
		return 0
	}
	before = s.numbers[at]
	end := at + 1
	for s.numbers[end] != 0 && s.home(s.hashes[end]) < end {
		end++
	}
	copy(s.hashes[at:], s.hashes[at+1:end])
	copy(s.numbers[at:], s.numbers[at+1:end])
	s.numbers[end-1] = 0
	s.len--
	return before
}

func (s *shard) grow() {
	s.resize(uint64(max(minSlots, float64(s.slots)*growth)), func(uint32) bool { return true })
}

// rebuild keeps some entries in no more places than they need.
func (s *shard) rebuild(keep func(number uint32) bool) {
	kept := 0
	for _, number := range s.numbers {
		if number != 0 && keep(number) {
			kept++
		}
	}
	if kept == 0 {
		*s = shard{}
		return
	}
	s.resize(uint64(max(minSlots, float64(kept)/maxLoad*growth)), keep)
}

// resize moves entries to another number of places. Those that find no room
// behind the last home ask for more.
func (s *shard) resize(slots uint64, keep func(number uint32) bool) {
	for ; ; slots += slots/16 + 1 {
		places := slots + slots/64 + minSlots
		next := shard{slots: slots, hashes: make([]Hash, places), numbers: make([]uint32, places)}
		if next.load(s, keep) {
			*s = next
			return
		}
	}
}

// load takes over entries in their order; false if they do not fit.
func (s *shard) load(from *shard, keep func(number uint32) bool) bool {
	at := 0
	for i, number := range from.numbers {
		if number == 0 || !keep(number) {
			continue
		}
		if at = max(at, s.home(from.hashes[i])); at >= len(s.numbers)-1 {
			return false
		}
		s.hashes[at], s.numbers[at] = from.hashes[i], number
		at++
		s.len++
	}
	return true
}
