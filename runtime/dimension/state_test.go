package dimension

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
	"github.com/calvelake/calve/runtime/record/recordtest"
)

// countingStore counts scans.
type countingStore struct {
	*keyvaluetest.Memory
	scans int
}

func (s *countingStore) Scan(from, to []byte, visit func(key, value []byte) (bool, error)) error {
	s.scans++
	return s.Memory.Scan(from, to, visit)
}

func TestChangesInOrderOfAHotMemberAreCheap(t *testing.T) {
	spec, s, tb := customersSpec(), &countingStore{Memory: keyvaluetest.New()}, recordtest.Table{}
	o := open(t, spec, s)
	offset := int64(0)
	change := func() {
		for range 50 {
			offset++
			take(t, o, record.NoTime, customer(offset, "u", offset, "Ann", fmt.Sprint(offset/10), nil))
		}
		end(t, o, tb, record.NoTime)
	}
	for range 20 {
		change()
	}
	gets, writes, scans := s.Gets, s.Writes, s.scans
	change()
	if gets, writes, scans := s.Gets-gets, s.Writes-writes, s.scans-scans; gets > 1 || writes > 50+5+2 || scans > 0 {
		t.Errorf("an epoch of 50 changes: %d keys read, %d written, %d scans", gets, writes, scans)
	}
	// A late one looks at what came after it alone.
	offset++
	scans = s.scans
	take(t, o, record.NoTime, customer(offset, "u", offset-45, "Ann", "late", nil))
	end(t, o, tb, record.NoTime)
	if s.scans-scans > 2 {
		t.Errorf("a late change: %d scans", s.scans-scans)
	}
	if key := tb["x"]; key != "" || len(tb) < 100 {
		t.Errorf("%d rows", len(tb))
	}
}

func TestChangesAreForgottenInTime(t *testing.T) {
	spec, s, tb := customersSpec(), keyvaluetest.New(), recordtest.Table{}
	o := open(t, spec, s)
	for offset := range int64(300) {
		take(t, o, record.NoTime, customer(offset, "u", offset, "Ann", fmt.Sprint(offset%3), nil))
	}
	end(t, o, tb, record.NoTime)
	if n := s.Len("c"); n < 250 || s.Len("t") != 1 {
		t.Errorf("%d changes and %d timers, want most of 300, and one", n, s.Len("t"))
	}
	end(t, o, tb, 250)
	if n := s.Len("c"); n > 150 || n < 100 || s.Len("t") != 1 {
		t.Errorf("%d changes and %d timers are left of those after 150", n, s.Len("t"))
	}
	end(t, o, tb, 1000)
	if s.Len("c") != 0 || s.Len("t") != 0 || s.Len("v") != 299 {
		t.Errorf("%d changes, %d timers and %d versions are left, want all versions alone", s.Len("c"), s.Len("t"), s.Len("v"))
	}
}

func TestLatenessCanBeRaisedWithoutMissingWhatWasForgotten(t *testing.T) {
	spec, s, tb := customersSpec(), keyvaluetest.New(), recordtest.Table{}
	o := open(t, spec, s)
	take(t, o, 10_000, customer(1, "c", int64(100), "Ann", "Austin", nil))
	end(t, o, tb, 10_000)
	spec.LateChanges = time.Hour
	o = open(t, spec, s)
	if rejects := take(t, o, 10_000, customer(2, "c", int64(50), "Ann", "Boston", nil)); len(rejects) != 1 {
		t.Errorf("got %+v, want it late: what follows it was forgotten", rejects)
	}
}

func TestDamagedStateIsTold(t *testing.T) {
	spec, s := customersSpec(), keyvaluetest.New()
	o := open(t, spec, s)
	for i := range int64(40) {
		take(t, o, record.NoTime, customer(i, "u", i, "Ann", fmt.Sprint(i), nil))
	}
	end(t, o, recordtest.Table{}, record.NoTime)
	var keys [][]byte
	err := s.Scan([]byte("a"), nil, func(key, value []byte) (bool, error) {
		if len(value) > 0 {
			keys = append(keys, slices.Clone(key))
		}
		return true, nil
	})
	if err != nil || len(keys) < 60 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	kinds := map[byte]bool{}
	for _, key := range keys {
		if kinds[key[0]] {
			continue
		}
		kinds[key[0]] = true
		damaged := s.Clone()
		if key[0] == spaceVersions || key[0] == spaceChanges { // all of them, for one may not be read
			for _, other := range keys {
				if other[0] == key[0] {
					damage(t, damaged, other)
				}
			}
		} else {
			damage(t, damaged, key)
		}
		if err := workOn(t, spec, damaged); !errors.Is(err, keyvalue.ErrCorrupt) {
			t.Errorf("%q: got %v, want ErrCorrupt", key, err)
		}
	}
	if len(kinds) != 4 {
		t.Errorf("damaged %v", kinds)
	}
}

func damage(t *testing.T, s *keyvaluetest.Memory, key []byte) {
	t.Helper()
	values, err := s.Get([][]byte{key})
	if err != nil || values[0] == nil {
		t.Fatalf("%q: %v", key, err)
	}
	if err := s.Write([]keyvalue.Change{{Key: key, Value: values[0][:len(values[0])-1]}}); err != nil {
		t.Fatal(err)
	}
}

func workOn(t *testing.T, spec Spec, s keyvalue.Store) error {
	t.Helper()
	o, err := New(spec, s)
	if err != nil {
		return err
	}
	if _, err := o.Resolve(lookups([]ask{{"ann", 7, 5}})); err != nil {
		return err
	}
	take(t, o, record.NoTime, customer(50, "u", int64(3), "Ann", "late", nil))
	log, _, err := o.End(t.Context(), record.NoTime)
	log.Release()
	return err
}
