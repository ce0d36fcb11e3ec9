package lakehouse

import (
	"fmt"
	"math/bits"
)

// smallFanIn is how many small files of about one size become one. A row is thus
// written log₁₆(n) times more where n epochs each add some, and a table of that
// many epochs has at most 15·log₁₆(n) small files of a kind in a partition.
const smallFanIn = 16

// addSmall adds to the files that are rewritten those that are small and have
// become many: rows that were added epoch by epoch and never changed since, as
// history is.
func (h *keyedHead) addSmall(groups touched, target int64) {
	alike := map[string][]string{}
	for location, f := range h.files.at {
		size := f.data.FileSizeBytes()
		if _, ok := groups[location]; ok || size >= target/2 {
			continue
		}
		kind := h.kind(f, size)
		alike[kind] = append(alike[kind], location)
	}
	for _, locations := range alike {
		if len(locations) < smallFanIn {
			continue
		}
		for _, location := range locations {
			groups[location] = map[int]bool{}
		}
	}
}

// kind is the same of files that can become one: of about that size, with rows of
// one kind, in one partition.
func (h *keyedHead) kind(f liveFile, size int64) string {
	return fmt.Sprint(bits.Len64(uint64(size))/4, h.holdsCurrent(f), describePartition(f.data))
}

// holdsCurrent tells whether a file has current rows, by its bounds.
func (h *keyedHead) holdsCurrent(f liveFile) bool {
	field, ok := h.table.schema.FindFieldByName(h.table.current)
	if !ok {
		return false
	}
	upper := f.data.UpperBoundValues()[field.ID]
	return len(upper) == 1 && upper[0] == 1
}
