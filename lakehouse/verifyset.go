package lakehouse

import "math/bits"

// rowSet is a set of rows of one TopicPartition: (offset, ordinal) pairs, kept
// as one bit each in pages of 4096 offsets. It answers exactly whether a row
// was there already and how many there are in a range of offsets.
type rowSet struct {
	pages map[int64]*rowPage
	// The newest page, since rows come nearly in order of offset.
	lastID int64
	last   *rowPage
}

const (
	pageBits  = 12
	pageWords = 1 << pageBits / 64
)

type pageSet [pageWords]uint64

// rowPage holds the rows of 4096 offsets: a bit an offset for ordinal 0, and
// more such bits for each ordinal above that occurs.
type rowPage struct {
	first pageSet
	above map[int32]*pageSet
}

func newRowSet() *rowSet { return &rowSet{pages: map[int64]*rowPage{}} }

// add adds a row, and reports whether it was not there before. Neither offset
// nor ordinal may be negative.
func (s *rowSet) add(offset int64, ordinal int32) bool {
	id := offset >> pageBits
	if s.last == nil || s.lastID != id {
		p := s.pages[id]
		if p == nil {
			p = &rowPage{}
			s.pages[id] = p
		}
		s.last, s.lastID = p, id
	}
	set := s.last.set(ordinal)
	word, bit := wordOf(offset)
	if set[word]&bit != 0 {
		return false
	}
	set[word] |= bit
	return true
}

func (p *rowPage) set(ordinal int32) *pageSet {
	if ordinal == 0 {
		return &p.first
	}
	if p.above == nil {
		p.above = map[int32]*pageSet{}
	}
	set := p.above[ordinal]
	if set == nil {
		set = &pageSet{}
		p.above[ordinal] = set
	}
	return set
}

// any is the offsets of a word that have a row of whatever ordinal.
func (p *rowPage) any(word int) uint64 {
	w := p.first[word]
	for _, set := range p.above {
		w |= set[word]
	}
	return w
}

func wordOf(offset int64) (word int, bit uint64) {
	within := offset & (1<<pageBits - 1)
	return int(within >> 6), 1 << (within & 63)
}

// rowCount is what a range of offsets holds.
type rowCount struct {
	offsets int64 // with any row
	rows    int64
}

// within counts the rows of offsets [from, to), leaving out the offsets that
// have a row in without, which may be nil.
func (s *rowSet) within(from, to int64, without *rowSet) rowCount {
	var c rowCount
	s.each(from, to, func(id int64, p *rowPage) {
		var other *rowPage
		if without != nil {
			other = without.pages[id]
		}
		for word := range pageWords {
			mask := maskOf(id<<pageBits+int64(word)<<6, from, to)
			if mask == 0 {
				continue
			}
			if other != nil {
				mask &^= other.any(word)
			}
			c.offsets += int64(bits.OnesCount64(p.any(word) & mask))
			c.rows += int64(bits.OnesCount64(p.first[word] & mask))
			for _, set := range p.above {
				c.rows += int64(bits.OnesCount64(set[word] & mask))
			}
		}
	})
	return c
}

// each visits the pages that overlap [from, to), in no order.
func (s *rowSet) each(from, to int64, visit func(id int64, p *rowPage)) {
	if from >= to {
		return
	}
	first, last := from>>pageBits, (to-1)>>pageBits
	if last-first >= int64(len(s.pages)) {
		for id, p := range s.pages {
			if id >= first && id <= last {
				visit(id, p)
			}
		}
		return
	}
	for id := first; id <= last; id++ {
		if p := s.pages[id]; p != nil {
			visit(id, p)
		}
	}
}

// maskOf is the bits of the 64 offsets from start on that lie in [from, to).
func maskOf(start, from, to int64) uint64 {
	low, high := max(from-start, 0), min(to-start, 64)
	if low >= high {
		return 0
	}
	return ^uint64(0) << low & (^uint64(0) >> (64 - high))
}

// has tells whether a row is there.
func (s *rowSet) has(offset int64, ordinal int32) bool {
	p := s.pages[offset>>pageBits]
	if p == nil {
		return false
	}
	set := &p.first
	if ordinal != 0 {
		if set = p.above[ordinal]; set == nil {
			return false
		}
	}
	word, bit := wordOf(offset)
	return set[word]&bit != 0
}

// count is how many rows an offset has.
func (s *rowSet) count(offset int64) (n int64) {
	p := s.pages[offset>>pageBits]
	if p == nil {
		return 0
	}
	word, bit := wordOf(offset)
	if p.first[word]&bit != 0 {
		n++
	}
	for _, set := range p.above {
		if set[word]&bit != 0 {
			n++
		}
	}
	return n
}

// at is the ordinals of a word of offsets; zero if it has none of that ordinal.
func (p *rowPage) at(ordinal int32, word int) uint64 {
	switch {
	case p == nil:
		return 0
	case ordinal == 0:
		return p.first[word]
	case p.above[ordinal] == nil:
		return 0
	}
	return p.above[ordinal][word]
}

// lowest finds the lowest (offset, ordinal) of s that pick leaves of a word of
// an ordinal's bits.
func (s *rowSet) lowest(pick func(id int64, ordinal int32, word int, bits uint64) uint64) (offset int64, ordinal int32, found bool) {
	for id, p := range s.pages {
		ordinals := []int32{0}
		for o := range p.above {
			ordinals = append(ordinals, o)
		}
		for _, o := range ordinals {
			for word := range pageWords {
				left := p.at(o, word)
				if left != 0 {
					left = pick(id, o, word, left)
				}
				if left == 0 {
					continue
				}
				at := id<<pageBits + int64(word)<<6 + int64(bits.TrailingZeros64(left))
				if !found || at < offset || at == offset && o < ordinal {
					offset, ordinal, found = at, o, true
				}
				break
			}
		}
	}
	return offset, ordinal, found
}

// missingIn returns the lowest row of s that none of the others has.
func (s *rowSet) missingIn(others ...*rowSet) (offset int64, ordinal int32, found bool) {
	return s.lowest(func(id int64, o int32, word int, left uint64) uint64 {
		for _, other := range others {
			left &^= other.pages[id].at(o, word)
		}
		return left
	})
}

// offsetMissingIn returns the lowest offset of s that has no row in other.
func (s *rowSet) offsetMissingIn(other *rowSet) (offset int64, found bool) {
	offset, _, found = s.lowest(func(id int64, _ int32, word int, left uint64) uint64 {
		if p := other.pages[id]; p != nil {
			left &^= p.any(word)
		}
		return left
	})
	return offset, found
}

// offsetIn returns the lowest offset that s and other both have a row of.
func (s *rowSet) offsetIn(other *rowSet) (offset int64, found bool) {
	offset, _, found = s.lowest(func(id int64, _ int32, word int, left uint64) uint64 {
		if p := other.pages[id]; p != nil {
			return left & p.any(word)
		}
		return 0
	})
	return offset, found
}
