package wasm

import (
	"fmt"

	"github.com/calvelake/calve/sdk/abi"
)

// Limits bound a plugin. A zero field is the default of the package sdk/abi, if
// it has one.
type Limits struct {
	MemoryBytes int64 // linear memory of one instance; rounded down to 64 KiB
	Budget      int64 // work of one call, in checks (see abi.DefaultBudget)
	OutputBytes int64 // returned by one call
	OutputRows  int64 // of one output
	LogBytes    int64 // logged by one call; the rest is cut
	// EpochLogBytes bounds what one opened plugin logs between two calls of
	// NextEpoch; the rest is cut. 0 is 1 MiB.
	EpochLogBytes int64
}

const defaultEpochLogBytes = 1 << 20

const (
	pageBytes = 64 << 10
	maxPages  = 1<<16 - 1 // 4 GiB less a page: wazero reports the size as 32 bits
)

// withDefaults fills zero fields, and refuses what no plugin can run in.
func (l Limits) withDefaults() (Limits, error) {
	for _, f := range []struct {
		name  string
		value *int64
		def   int64
	}{
		{"memory", &l.MemoryBytes, abi.DefaultMemoryBytes},
		{"budget", &l.Budget, abi.DefaultBudget},
		{"output bytes", &l.OutputBytes, abi.DefaultOutputBytes},
		{"output rows", &l.OutputRows, abi.DefaultOutputRows},
		{"log bytes", &l.LogBytes, abi.DefaultLogBytes},
		{"log bytes of an epoch", &l.EpochLogBytes, defaultEpochLogBytes},
	} {
		if *f.value < 0 {
			return l, fmt.Errorf("plugin limits: %s is %d, it cannot be negative", f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.def
		}
	}
	if l.MemoryBytes < pageBytes {
		return l, fmt.Errorf("plugin limits: memory is %d bytes, it must be at least %d", l.MemoryBytes, pageBytes)
	}
	return l, nil
}

func (l Limits) pages() uint32 { return uint32(min(l.MemoryBytes/pageBytes, maxPages)) }
