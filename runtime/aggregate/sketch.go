package aggregate

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// sketches are those of approx_count_distinct: HyperLogLog (Flajolet et al.,
// 2007) with the estimator of Ertl, "New cardinality estimation algorithms for
// HyperLogLog sketches" (2017), which needs no tables of corrections.
type sketches[T any] struct {
	kind  *kind[T]
	slots []sketch
	value []byte // of the row in hand
}

const (
	indexBits = 12 // registers are 2^12: a standard error of 1.04/√4096 = 1.6%
	registers = 1 << indexBits
	maxRank   = 64 - indexBits + 1
	// So many registers are kept as a list, which is smaller than all of them.
	maxSparse = registers / 8
)

// sketch has the highest rank seen for each register: as a list of those that
// have one, or all of them.
type sketch struct {
	sparse []register
	dense  []uint8
}

// register is one that has a rank.
type register struct{ index, rank uint16 }

func (x *sketches[T]) grow(slots int) { x.slots = resize(x.slots, slots) }
func (x *sketches[T]) reset()         { x.slots = emptied(x.slots) }

func (x *sketches[T]) add(rows *Rows, argument arrow.Array) {
	value, nulls := x.kind.reader(argument), argument.NullN() > 0
	for row, slot := range rows.Slots {
		if slot < 0 || nulls && argument.IsNull(row) {
			continue
		}
		x.value = x.kind.append(x.value[:0], value(row))
		h := hash(x.value)
		rank := bits.LeadingZeros64(h<<indexBits|1<<(indexBits-1)) + 1
		x.slots[slot].raise(uint16(h>>(64-indexBits)), uint16(rank))
	}
}

// hash is FNV-1a with the finalizer of MurmurHash3, for FNV's high bits are
// poor. It must never change: sketches of different versions merge.
func hash(value []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range value {
		h = (h ^ uint64(b)) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

func (s *sketch) raise(index, rank uint16) {
	if s.dense != nil {
		s.dense[index] = max(s.dense[index], uint8(rank))
		return
	}
	i, found := slices.BinarySearchFunc(s.sparse, index, func(r register, index uint16) int { return cmp.Compare(r.index, index) })
	if found {
		s.sparse[i].rank = max(s.sparse[i].rank, rank)
		return
	}
	if s.sparse = slices.Insert(s.sparse, i, register{index, rank}); len(s.sparse) <= maxSparse {
		return
	}
	s.dense = make([]uint8, registers)
	for _, r := range s.sparse {
		s.dense[r.index] = uint8(r.rank)
	}
	s.sparse = nil
}

func (x *sketches[T]) merge(into, from int) {
	a, b := &x.slots[into], &x.slots[from]
	for _, r := range b.sparse {
		a.raise(r.index, r.rank)
	}
	for i, rank := range b.dense {
		if rank > 0 {
			a.raise(uint16(i), uint16(rank))
		}
	}
}

func (x *sketches[T]) append(to []byte, slot int) []byte {
	s := &x.slots[slot]
	if to = appendFlag(to, s.dense != nil); s.dense != nil {
		return append(to, s.dense...)
	}
	to = binary.AppendUvarint(to, uint64(len(s.sparse)))
	for _, r := range s.sparse {
		to = append(binary.LittleEndian.AppendUint16(to, r.index), byte(r.rank))
	}
	return to
}

func (x *sketches[T]) load(slot int, data []byte) (rest []byte, err error) {
	s := &x.slots[slot]
	dense, rest, err := loadFlag(data)
	if err != nil {
		return nil, err
	}
	if dense {
		if len(rest) < registers {
			return nil, errShort
		}
		s.dense = slices.Clone(rest[:registers])
		if slices.Max(s.dense) > maxRank {
			return nil, errors.New("a register is out of range")
		}
		return rest[registers:], nil
	}
	n, rest, err := loadCount(rest)
	if err != nil || n == 0 {
		return rest, err
	}
	const size = 3
	if n > maxSparse || len(rest) < size*n {
		return nil, errShort
	}
	s.sparse = make([]register, n)
	for i := range s.sparse {
		r := register{binary.LittleEndian.Uint16(rest[size*i:]), uint16(rest[size*i+2])}
		if r.index >= registers || r.rank == 0 || r.rank > maxRank || i > 0 && r.index <= s.sparse[i-1].index {
			return nil, errors.New("registers are not in order")
		}
		s.sparse[i] = r
	}
	return rest[size*n:], nil
}

func (x *sketches[T]) result(slots []int, mem memory.Allocator) (arrow.Array, []Fault) {
	return longs(slots, mem, func(slot int) int64 { return x.slots[slot].estimate() }), nil
}

// estimate is Ertl's improved raw estimator. Products are rounded before they
// are added (float64(…)), so that every machine computes the same.
func (s *sketch) estimate() int64 {
	var ranks [maxRank + 1]int
	ranks[0] = registers - len(s.sparse)
	for _, r := range s.sparse {
		ranks[r.rank]++
	}
	if s.dense != nil {
		ranks[0] = 0
		for _, rank := range s.dense {
			ranks[rank]++
		}
	}
	if ranks[0] == registers {
		return 0
	}
	const m = float64(registers)
	z := m * tau(1-float64(ranks[maxRank])/m)
	for k := maxRank - 1; k >= 1; k-- {
		z = 0.5 * (z + float64(ranks[k]))
	}
	z += float64(m * sigma(float64(ranks[0])/m))
	return int64(math.Round(m * m / (2 * math.Ln2) / z))
}

func sigma(x float64) float64 {
	y, z := 1.0, x
	for {
		x *= x
		last := z
		z += float64(x * y)
		if y += y; z == last {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		last := z
		y *= 0.5
		z -= float64(float64((1-x)*(1-x)) * y)
		if z == last {
			return z / 3
		}
	}
}
