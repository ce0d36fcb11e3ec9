package session

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// keyTable numbers the keys that are held, from 0: an open hash table over
// encoded keys, which are kept one behind the other. Adding a key allocates
// nothing but now and then for all of them.
type keyTable struct {
	seed  maphash.Seed
	bytes []byte
	keys  []heldKey
	slots []int32 // number + 1, by hash; a power of two of them
}

type heldKey struct {
	hash uint64
	end  int // in bytes; a key begins where the one before ends
}

func newKeyTable() keyTable { return keyTable{seed: maphash.MakeSeed()} }

func (t *keyTable) reset() {
	t.bytes, t.keys = t.bytes[:0], t.keys[:0]
	clear(t.slots)
}

func (t *keyTable) key(id int32) []byte {
	from := 0
	if id > 0 {
		from = t.keys[id-1].end
	}
	return t.bytes[from:t.keys[id].end:t.keys[id].end]
}

// id is the number of a key; fresh tells that it is new.
func (t *keyTable) id(key []byte) (id int32, fresh bool) {
	if 2*len(t.keys) >= len(t.slots) {
		t.grow()
	}
	h := maphash.Bytes(t.seed, key)
	mask := uint64(len(t.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		have := t.slots[i]
		if have == 0 {
			t.bytes = append(t.bytes, key...)
			t.keys = append(t.keys, heldKey{h, len(t.bytes)})
			t.slots[i] = int32(len(t.keys))
			return int32(len(t.keys) - 1), true
		}
		if t.keys[have-1].hash == h && bytes.Equal(t.key(have-1), key) {
			return have - 1, false
		}
	}
}

func (t *keyTable) grow() {
	t.slots = make([]int32, max(1024, 2*len(t.slots)))
	mask := uint64(len(t.slots) - 1)
	for id, k := range t.keys {
		i := k.hash & mask
		for t.slots[i] != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = int32(id + 1)
	}
}

// keyPart appends the part of a row's key that a column has. Parts know their
// own length, so that keys are equal when all of their parts are.
type keyPart func(to []byte, row int) []byte

func keyPartOf(column arrow.Array) keyPart {
	switch a := column.(type) {
	case *array.String:
		return func(to []byte, row int) []byte {
			return append(binary.AppendUvarint(to, uint64(a.ValueLen(row))), a.Value(row)...)
		}
	case *array.Int32:
		return func(to []byte, row int) []byte { return binary.BigEndian.AppendUint32(to, uint32(a.Value(row))) }
	case *array.Date32:
		return func(to []byte, row int) []byte { return binary.BigEndian.AppendUint32(to, uint32(a.Value(row))) }
	case *array.Int64:
		return func(to []byte, row int) []byte { return binary.BigEndian.AppendUint64(to, uint64(a.Value(row))) }
	case *array.Timestamp:
		return func(to []byte, row int) []byte { return binary.BigEndian.AppendUint64(to, uint64(a.Value(row))) }
	case *array.Boolean:
		return func(to []byte, row int) []byte {
			if a.Value(row) {
				return append(to, 1)
			}
			return append(to, 0)
		}
	}
	panic("BUG: a key has a part of " + column.DataType().String())
}

// loadKey appends the parts of a key to the columns' builders.
func loadKey(key []byte, builders []array.Builder) error {
	for _, b := range builders {
		size := 1
		switch b.(type) {
		case *array.StringBuilder:
			n, head := binary.Uvarint(key)
			if head <= 0 || n > uint64(len(key)-head) {
				return errKey
			}
			key, size = key[head:], int(n)
		case *array.Int32Builder, *array.Date32Builder:
			size = 4
		case *array.Int64Builder, *array.TimestampBuilder:
			size = 8
		}
		if len(key) < size {
			return errKey
		}
		appendPart(b, key[:size])
		key = key[size:]
	}
	if len(key) > 0 {
		return errKey
	}
	return nil
}

var errKey = fmt.Errorf("%w: a key does not have the parts of the model's key", keyvalue.ErrCorrupt)

func appendPart(b array.Builder, v []byte) {
	switch b := b.(type) {
	case *array.StringBuilder:
		b.BinaryBuilder.Append(v)
	case *array.Int32Builder:
		b.Append(int32(binary.BigEndian.Uint32(v)))
	case *array.Date32Builder:
		b.Append(arrow.Date32(binary.BigEndian.Uint32(v)))
	case *array.Int64Builder:
		b.Append(int64(binary.BigEndian.Uint64(v)))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(binary.BigEndian.Uint64(v)))
	case *array.BooleanBuilder:
		b.Append(v[0] != 0)
	default:
		panic("BUG: a key has a part of " + b.Type().String())
	}
}
