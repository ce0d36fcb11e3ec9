package registry_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/decode/registry"
)

func TestParseSplitsTheWireFormat(t *testing.T) {
	for _, c := range []struct {
		name  string
		value string
		id    int
		rest  string
	}{
		{"a schema and data", "\x00\x00\x00\x01\x02abc", 258, "abc"},
		{"no data", "\x00\x00\x00\x00\x07", 7, ""},
		{"the largest id", "\x00\x7f\xff\xff\xffx", math.MaxInt32, "x"},
	} {
		id, rest, err := registry.Parse([]byte(c.value))
		if err != nil || id != c.id || string(rest) != c.rest {
			t.Errorf("%s: got %d, %q, %v, want %d, %q", c.name, id, rest, err, c.id, c.rest)
		}
	}
}

func TestParseSaysWhatItFound(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"nothing", "", "it is empty"},
		{"JSON", `{"a": 1}`, "it begins with byte 0x7b"},
		{"JSON may have its schema in a header", `{"a": 1}`, "__value_schema_id"},
		{"a GUID", "\x01" + strings.Repeat("g", 16), "it begins with byte 1, which a schema's GUID follows"},
		{"too short", "\x00\x00\x00", "it has 3 of the 5 bytes"},
		{"a negative id", "\x00\xff\xff\xff\xfe", "0xfffffffe"},
	} {
		_, _, err := registry.Parse([]byte(c.value))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", c.name, err, c.want)
		}
	}
}

func TestIndexesAreAPathOfZigzagVarints(t *testing.T) {
	for _, c := range []struct {
		name, data string
		path       []int
		rest       string
	}{
		{"short for the first message", "\x00\x08\x01", []int{0}, "\x08\x01"},
		{"the first message in full", "\x02\x00x", []int{0}, "x"},
		{"the second message", "\x02\x02x", []int{1}, "x"},
		{"the third nested in the second", "\x04\x02\x04", []int{1, 2}, ""},
		{"a number of two bytes", "\x02\x80\x02x", []int{128}, "x"},
	} {
		path, rest, err := registry.Indexes([]byte(c.data))
		if err != nil || !slices.Equal(path, c.path) || string(rest) != c.rest {
			t.Errorf("%s: got %v, %q, %v, want %v, %q", c.name, path, rest, err, c.path, c.rest)
		}
	}
}

func TestIndexesAreBounded(t *testing.T) {
	varints := func(numbers ...int64) (data []byte) {
		for _, n := range numbers {
			data = binary.AppendVarint(data, n)
		}
		return data
	}
	for _, c := range []struct {
		name, want string
		data       []byte
	}{
		{"nothing", "the count of its message indexes is no varint", nil},
		{"a count that does not end", "the count of its message indexes is no varint", bytes.Repeat([]byte{0xff}, 20)},
		{"a negative count", "it has -1 message indexes", varints(-1)},
		{"a huge count", "it has 1000000000 message indexes", varints(1e9, 0)},
		{"fewer than counted", "message index 2 of 3 is no varint", varints(3, 0)},
		{"a negative index", "message index 2 of 2 is -5", varints(2, 0, -5)},
		{"an index beyond all files", "message index 1 of 1 is 2147483648", varints(1, 1<<31)},
	} {
		_, _, err := registry.Indexes(c.data)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", c.name, err, c.want)
		}
	}
}

func FuzzWireFormat(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x07\x04\x02\x04payload"))
	f.Add([]byte("\x00\x00\x00\x00\x07\x00payload"))
	f.Add([]byte("\x01"))
	f.Fuzz(func(t *testing.T, value []byte) {
		id, rest, err := registry.Parse(value)
		if err != nil {
			return
		}
		if back := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), rest...); !bytes.Equal(back, value) {
			t.Fatalf("parse %x: got id %d and %x", value, id, rest)
		}
		path, after, err := registry.Indexes(rest)
		if err != nil {
			return
		}
		if len(path) == 0 || len(path) > 64 || slices.Min(path) < 0 || !bytes.HasSuffix(rest, after) {
			t.Fatalf("indexes of %x: got %v and %x", rest, path, after)
		}
	})
}
