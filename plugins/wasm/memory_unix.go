//go:build unix

package wasm

import (
	"math"

	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"
)

// newAllocator returns the allocator of linear memories: address space is
// reserved up to the limit and made usable as the memory grows, so that the
// base never moves, growing copies nothing, and the Go heap does not count it.
func newAllocator() experimental.MemoryAllocator {
	return experimental.MemoryAllocatorFunc(reserve)
}

// reservation is a linear memory.
type reservation struct {
	space []byte // all that is reserved
	size  uint64 // of it, what is usable
}

func reserve(_, most uint64) experimental.LinearMemory {
	if most > math.MaxInt {
		return &reservation{}
	}
	space, err := unix.Mmap(-1, 0, int(most), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return &reservation{} // Reallocate reports it
	}
	return &reservation{space: space}
}

// Reallocate returns nil when the memory cannot have that size: memory.grow
// then fails in the guest, and an instance cannot be made.
func (m *reservation) Reallocate(size uint64) []byte {
	if size > uint64(len(m.space)) {
		return nil
	}
	if size > m.size {
		// wazero sizes memories in pages of 64 KiB, a multiple of the system's.
		if unix.Mprotect(m.space[m.size:size], unix.PROT_READ|unix.PROT_WRITE) != nil {
			return nil
		}
		m.size = size
	}
	return m.space[:size:size]
}

// Free gives the memory back. Nothing may touch it afterwards: the owner of an
// instance closes it only when no call runs and no view is held.
func (m *reservation) Free() {
	if m.space != nil {
		// It was mapped by reserve, whole, so unmapping it cannot fail.
		_ = unix.Munmap(m.space)
		m.space, m.size = nil, 0
	}
}
