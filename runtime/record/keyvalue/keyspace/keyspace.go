// Package keyspace makes the keys of operators that keep several things in one
// store: a key begins with a byte that says what it is, its space.
package keyspace

import (
	"fmt"
	"slices"

	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// Key is a key of a space: its parts, one behind the other.
func Key[Part ~string | ~[]byte](space byte, parts ...Part) []byte {
	n := 1
	for _, p := range parts {
		n += len(p)
	}
	to := append(make([]byte, 0, n), space)
	for _, p := range parts {
		to = append(to, p...)
	}
	return to
}

// TimerBytes is where what a timer is of begins in its key.
const TimerBytes = 1 + 8

// Timer is the key of a space whose keys sort by time, µs since 1970 UTC: that
// something of of is due then.
func Timer[Of ~string | ~[]byte](space byte, at int64, of Of) []byte {
	return append(keyvalue.AppendTime(append(make([]byte, 0, TimerBytes+len(of)), space), at), of...)
}

// writeAtOnce is how many changes are written at once.
const writeAtOnce = 16 << 10

// Write writes changes in order, some at a time.
func Write(state keyvalue.Store, changes []keyvalue.Change) error {
	for part := range slices.Chunk(changes, writeAtOnce) {
		if err := state.Write(part); err != nil {
			return fmt.Errorf("write %d changes: %w", len(part), err)
		}
	}
	return nil
}
