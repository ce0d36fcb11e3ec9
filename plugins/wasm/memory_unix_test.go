//go:build unix

package wasm

import (
	"math"
	"testing"
	"unsafe"
)

func TestMemoryGrowsInPlaceUpToItsLimit(t *testing.T) {
	m := reserve(0, 4*pageBytes)
	defer m.Free()
	small := m.Reallocate(pageBytes)
	small[pageBytes-1] = 7
	large := m.Reallocate(4 * pageBytes)
	if unsafe.SliceData(small) != unsafe.SliceData(large) || large[pageBytes-1] != 7 || len(large) != 4*pageBytes {
		t.Errorf("the memory moved: %p, then %p", small, large)
	}
	large[4*pageBytes-1] = 1
	if got := m.Reallocate(5 * pageBytes); got != nil {
		t.Errorf("got %d bytes beyond the limit", len(got))
	}
}

func TestReservationThatIsImpossibleGivesNothing(t *testing.T) {
	m := reserve(0, math.MaxInt64)
	defer m.Free()
	if got := m.Reallocate(pageBytes); got != nil {
		t.Errorf("got %d bytes", len(got))
	}
}
