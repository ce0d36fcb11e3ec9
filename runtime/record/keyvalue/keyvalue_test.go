package keyvalue_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/calvelake/calve/runtime/record/keyvalue"
)

func TestTimesSortAsTheirBytes(t *testing.T) {
	times := []int64{math.MinInt64, -1 << 40, -1, 0, 1, 1 << 40, math.MaxInt64}
	var written [][]byte
	for _, at := range times {
		data := keyvalue.AppendTime(nil, at)
		if got := keyvalue.Time(data); got != at {
			t.Errorf("time %d: got %d back", at, got)
		}
		written = append(written, data)
	}
	if !slices.IsSortedFunc(written, bytes.Compare) {
		t.Errorf("the bytes of %d do not sort: %x", times, written)
	}
}

func TestBehindAPrefix(t *testing.T) {
	for _, test := range []struct{ prefix, want []byte }{
		{[]byte("ab"), []byte("ac")},
		{[]byte{1, 0xff}, []byte{2}},
		{[]byte{0xff, 0xff}, nil},
		{nil, nil},
	} {
		if got := keyvalue.Behind(test.prefix); !bytes.Equal(got, test.want) || (got == nil) != (test.want == nil) {
			t.Errorf("behind %x: got %x, want %x", test.prefix, got, test.want)
		}
	}
}

// written is one of each part.
func written() []byte {
	data := append([]byte(nil), 7)
	data = binary.AppendVarint(data, -300)
	data = binary.AppendUvarint(data, 300)
	data = keyvalue.AppendTime(data, -5)
	return keyvalue.AppendBytes(data, []byte("text"))
}

func TestReaderReadsWhatWasWritten(t *testing.T) {
	r := keyvalue.NewReader(written())
	b, v, u, at, text := r.Byte(), r.Varint(), r.Uvarint(), r.Time(), r.Bytes()
	r.End()
	if b != 7 || v != -300 || u != 300 || at != -5 || string(text) != "text" || r.Err() != nil {
		t.Errorf("got %d %d %d %d %q, error %v", b, v, u, at, text, r.Err())
	}
}

func TestReaderRefusesWhatWasNot(t *testing.T) {
	whole := written()
	for n := range whole {
		r := keyvalue.NewReader(whole[:n])
		r.Byte()
		r.Varint()
		r.Uvarint()
		r.Time()
		if text := r.Bytes(); text != nil || !errors.Is(r.Err(), keyvalue.ErrCorrupt) {
			t.Errorf("the first %d bytes: got %q and error %v, want ErrCorrupt", n, text, r.Err())
		}
	}
	r := keyvalue.NewReader([]byte{1, 2})
	r.Byte()
	if r.End(); !errors.Is(r.Err(), keyvalue.ErrCorrupt) {
		t.Errorf("a byte behind the end: got error %v, want ErrCorrupt", r.Err())
	}
	r = keyvalue.NewReader(binary.AppendUvarint(nil, 1<<60))
	if n := r.Count(); n != 0 || !errors.Is(r.Err(), keyvalue.ErrCorrupt) {
		t.Errorf("a number of things that there is no room for: got %d and error %v, want ErrCorrupt", n, r.Err())
	}
}
