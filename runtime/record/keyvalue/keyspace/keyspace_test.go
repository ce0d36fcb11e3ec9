package keyspace_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyspace"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
)

func TestKeysBeginWithTheirSpace(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{string(keyspace.Key('o', "ann")), "oann"},
		{string(keyspace.Key('f', []byte("group"), nil, []byte("id"))), "fgroupid"},
		{string(keyspace.Key[string]('m')), "m"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestTimersSortByTime(t *testing.T) {
	times := []int64{-1 << 63, -5, 0, 7, 1<<63 - 1}
	var keys [][]byte
	for _, at := range times {
		key := keyspace.Timer('t', at, "member")
		if key[0] != 't' || keyvalue.Time(key[1:]) != at || string(key[keyspace.TimerBytes:]) != "member" {
			t.Errorf("timer at %d: got %x", at, key)
		}
		keys = append(keys, key)
	}
	if !slices.IsSortedFunc(keys, bytes.Compare) {
		t.Errorf("got %x", keys)
	}
}

func TestManyChangesAreWrittenSomeAtATime(t *testing.T) {
	const many = 40_000
	changes := make([]keyvalue.Change, many)
	for i := range changes {
		changes[i] = keyvalue.Change{Key: binary.BigEndian.AppendUint32([]byte{'k'}, uint32(i)), Value: []byte{1}}
	}
	store := &widest{Memory: keyvaluetest.New(), most: -1}
	if err := keyspace.Write(store, changes); err != nil {
		t.Fatal(err)
	}
	if store.Len("k") != many || store.widest >= many {
		t.Errorf("got %d keys, up to %d at once", store.Len("k"), store.widest)
	}
	store.most = 1
	if err := keyspace.Write(store, changes); !errors.Is(err, errFull) || !strings.HasPrefix(err.Error(), "write ") {
		t.Errorf("got %v", err)
	}
	if err := keyspace.Write(store, nil); err != nil {
		t.Errorf("no changes: got %v", err)
	}
}

var errFull = errors.New("the disk is full")

// widest is a store that knows how many changes it was given at once, and takes some
// writes only; any number for -1.
type widest struct {
	*keyvaluetest.Memory
	widest, most int
}

func (w *widest) Write(changes []keyvalue.Change) error {
	if w.most == 0 {
		return errFull
	}
	w.most--
	w.widest = max(w.widest, len(changes))
	return w.Memory.Write(changes)
}
