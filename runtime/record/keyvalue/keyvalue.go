// Package keyvalue is how operators of keyed models keep what outlives an epoch:
// sorted keys with values, read and written some at a time, and the parts that
// keys and values are made of.
package keyvalue

import (
	"encoding/binary"
	"errors"
)

// ErrCorrupt: what is kept is not what was written.
var ErrCorrupt = errors.New("keyed state is corrupt")

// Store is the keys of one model.
type Store interface {
	// Get returns the values of keys, in their order; nil where there is none.
	// Keys need not be sorted. The values are the caller's.
	Get(keys [][]byte) ([][]byte, error)
	// Write carries out changes in order; Get and Scan see them at once.
	Write(changes []Change) error
	// Scan visits the keys from from up to, but without, to, in order; to is nil
	// for no end. Key and value may be used during visit only.
	Scan(from, to []byte, visit func(key, value []byte) (more bool, err error)) error
}

// Change sets a key, or deletes it when Value is nil.
type Change struct {
	Key   []byte
	Value []byte
}

// AppendTime writes a time, µs since 1970 UTC, as eight bytes that sort.
func AppendTime(to []byte, at int64) []byte {
	return binary.BigEndian.AppendUint64(to, uint64(at)^1<<63)
}

// Time reads what AppendTime wrote; data has eight bytes at least.
func Time(data []byte) int64 { return int64(binary.BigEndian.Uint64(data) ^ 1<<63) }

// AppendBytes writes bytes behind their length.
func AppendBytes(to, data []byte) []byte {
	return append(binary.AppendUvarint(to, uint64(len(data))), data...)
}

// Behind is the first key behind all that begin with a prefix, nil for none.
func Behind(prefix []byte) []byte {
	next := append([]byte(nil), prefix...)
	for i := len(next) - 1; i >= 0; i-- {
		if next[i]++; next[i] != 0 {
			return next[:i+1]
		}
	}
	return nil
}
