package bridge

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyspace"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
	"github.com/calvelake/calve/runtime/upstream"
)

// someHistory has a base, a change that lacks a column, and a deletion.
func someHistory() history {
	return history{
		last: 3,
		base: &base{at: 10, row: []byte("row"), id: []byte("id"), open: []open{{"a", 5, upstream.Stamp{Recorded: 1, Ingested: 2}}}},
		changes: []change{
			{at: 11, order: []byte("o"), stamp: upstream.Stamp{Recorded: 3, Ingested: 4}, row: []byte("r"), holes: []int{1}},
			{at: 12, order: []byte("p"), id: []byte("i"), stamp: upstream.NoStamp, gone: true},
		},
	}
}

// The bytes are part of the format of state: those that write others must have
// another stateFormat.
func TestTheEncodingOfStateIsPinned(t *testing.T) {
	h := someHistory()
	data := h.append(nil)
	if got := hex.EncodeToString(data); got != stateOfSome {
		t.Errorf("got  %s\nwant %s", got, stateOfSome)
	}
	var again history
	if err := again.load(data, 2); err != nil {
		t.Fatal(err)
	}
	if twice := again.append(nil); string(twice) != string(data) {
		t.Errorf("read again it is %x, want %x", twice, data)
	}
}

const stateOfSome = "0101031403726f770269640101610a0204020016016f00060801720101011801700169ffffffffffffffffff01ffffffffffffffffff010000"

func TestCorruptStateIsRefused(t *testing.T) {
	h := someHistory()
	data := h.append(nil)
	for n := range data {
		if err := new(history).load(data[:n], 2); !errors.Is(err, keyvalue.ErrCorrupt) {
			t.Fatalf("%d of %d bytes: got %v, want ErrCorrupt", n, len(data), err)
		}
	}
	for name, wrong := range map[string]func(h *history, data []byte) []byte{
		"another format":   func(_ *history, data []byte) []byte { data[0] = 2; return data },
		"other flags":      func(_ *history, data []byte) []byte { data[1] = 4; return data },
		"a byte too many":  func(_ *history, data []byte) []byte { return append(data, 0) },
		"a column too far": func(h *history, _ []byte) []byte { h.changes[0].holes[0] = 2; return h.append(nil) },
		"an order backwards": func(h *history, _ []byte) []byte {
			h.changes[1].at = 11
			h.changes[1].order = nil
			return h.append(nil)
		},
		"a base alone":        func(h *history, _ []byte) []byte { h.changes = nil; return h.append(nil) },
		"before the base":     func(h *history, _ []byte) []byte { h.changes[0].at = 10; return h.append(nil) },
		"a row of a deletion": func(h *history, _ []byte) []byte { h.changes[1].row = []byte("x"); return h.append(nil) },
	} {
		h := someHistory()
		if err := new(history).load(wrong(&h, h.append(nil)), 2); !errors.Is(err, keyvalue.ErrCorrupt) {
			t.Errorf("%s: got %v, want ErrCorrupt", name, err)
		}
	}
}

func TestARowThatIsNoneIsCorrupt(t *testing.T) {
	for name, h := range map[string]history{
		"a row":                {changes: []change{{at: 1, row: []byte("no row")}}},
		"a row with holes":     {changes: []change{{at: 1, row: []byte("no")}, {at: 2, row: []byte("row"), holes: []int{0}}}},
		"what is not in force": {base: &base{at: 1, row: []byte{0, 0, 0, 0, 0}, open: []open{{keys: "a"}}}, changes: []change{{at: 2, gone: true}}},
	} {
		state := keyvaluetest.New()
		o := start(t, hostsSpec(t, staging(true)), state)
		owner := hashed("x") + separator + hashed(1)
		if err := state.Write([]keyvalue.Change{{Key: keyspace.Key(spaceOwners, owner), Value: h.append(nil)}}); err != nil {
			t.Fatal(err)
		}
		take(t, o, record.NoTime, stream{id: "x", host: int64(1), n: int64(1), at: int64(5), op: "u"})
		if _, err := o.End(t.Context(), record.NoTime); !errors.Is(err, keyvalue.ErrCorrupt) {
			t.Errorf("%s: got %v, want ErrCorrupt", name, err)
		}
	}
}

func FuzzLoadHistory(f *testing.F) {
	h := someHistory()
	f.Add(h.append(nil))
	f.Add((&history{}).append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		var h history
		if h.load(data, 2) != nil {
			return
		}
		var again history
		written := h.append(nil)
		if err := again.load(written, 2); err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if twice := again.append(nil); string(twice) != string(written) {
			t.Fatalf("%x is %x when it was read again", written, twice)
		}
	})
}
