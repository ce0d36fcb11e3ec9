package session

import (
	"encoding/hex"
	"errors"
	"math"
	"testing"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
)

// filled is state of a few sessions, and the spec it is of.
func filled(t testing.TB, plugin bool) (Spec, *keyvaluetest.Memory) {
	t.Helper()
	spec := visitsSpec(t)
	if plugin {
		spec = withTally(t, spec)
	}
	spec.Lateness = 50 * us
	state := keyvaluetest.New()
	o := open(t, spec, state)
	bob := at(3, "b")
	bob.user, bob.page, bob.bytes = "bob", nil, nil
	take(t, o, record.NoTime, at(0, "a"), at(7, "bc"), at(30, "c"), at(60, "d"), bob)
	end(t, o, 25)
	return spec, state
}

// contents is all that a store has.
func contents(t testing.TB, state keyvalue.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := state.Scan(nil, nil, func(key, value []byte) (bool, error) {
		all[string(key)] = string(value)
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func put(t testing.TB, state keyvalue.Store, key, value string) {
	t.Helper()
	if err := state.Write([]keyvalue.Change{{Key: []byte(key), Value: []byte(value)}}); err != nil {
		t.Fatal(err)
	}
}

// Three sessions: 0 to 7, closed and emitted, 30 and 60. The timer is at 40.
// Of each: flags, start, length, rows, start in the key; count(), sum, first;
// last, count_distinct; count_if, count.
const stateOfAnn = "015003" +
	"0700070200" + "02" + "020107" + "010001740000000161" + "010e0174000e00026263" + "000202016103026263" + "00" + "02" +
	"003c0001" + "01" + "01011e" + "013c0174003c000163" + "013c0174003c000163" + "0001020163" + "00" + "01" +
	"00780001" + "01" + "01013c" + "017801740078000164" + "017801740078000164" + "0001020164" + "01" + "01"

// The bytes are part of the format of state: those that write others must have
// another stateFormat.
func TestTheEncodingOfStateIsPinned(t *testing.T) {
	_, filled := filled(t, false)
	state := contents(t, filled)
	for key, want := range map[string]string{
		"m": "01040804",
		"s\x03ann\x00\x00\x00\x00\x00\x00\x00\x00":                                 stateOfAnn,
		"t\x80\x00\x00\x00\x00\x00\x00\x28\x03ann\x00\x00\x00\x00\x00\x00\x00\x00": "",
	} {
		got, ok := state[key]
		if !ok || hex.EncodeToString([]byte(got)) != want {
			t.Errorf("%q: got %x, %v, want %s", key, got, ok, want)
		}
	}
}

func TestCorruptStateIsRefused(t *testing.T) {
	for _, plugin := range []bool{false, true} {
		spec, state := filled(t, plugin)
		for key, value := range contents(t, state) {
			if key[0] == spaceTimers {
				continue
			}
			for n := range value {
				broken := state.Clone()
				put(t, broken, key, value[:n])
				o, err := New(spec, broken)
				if err == nil {
					_, _, err = o.End(t.Context(), math.MaxInt64)
				}
				if !errors.Is(err, keyvalue.ErrCorrupt) {
					t.Fatalf("%q with %d of %d bytes: got %v, want ErrCorrupt", key, n, len(value), err)
				}
			}
		}
	}
}

func TestStateOfAnotherFormatIsRefused(t *testing.T) {
	spec, state := filled(t, false)
	for key, value := range contents(t, state) {
		if value == "" {
			continue
		}
		other := state.Clone()
		put(t, other, key, "\x02"+value[1:])
		o, err := New(spec, other)
		if err == nil {
			_, _, err = o.End(t.Context(), math.MaxInt64)
		}
		if !errors.Is(err, keyvalue.ErrCorrupt) {
			t.Errorf("%q: got %v, want ErrCorrupt", key, err)
		}
	}
}

// FuzzLoadEntry reads any bytes as the sessions of a key: what is read can be
// written, taken into and ended.
func FuzzLoadEntry(f *testing.F) {
	for _, plugin := range []bool{false, true} {
		_, state := filled(f, plugin)
		for key, value := range contents(f, state) {
			if key[0] == spaceSessions {
				f.Add(plugin, []byte(value))
			}
		}
	}
	f.Fuzz(func(t *testing.T, plugin bool, data []byte) {
		spec := visitsSpec(t)
		if plugin {
			spec = withTally(t, spec)
		}
		o := open(t, spec, keyvaluetest.New())
		e := entry{head: -1, recent: -1, timer: noTimer}
		if o.loadEntry(&e, data) != nil {
			return
		}
		again := open(t, spec, keyvaluetest.New())
		written := o.appendEntry(nil, &e)
		f := entry{head: -1, recent: -1, timer: noTimer}
		if err := again.loadEntry(&f, written); err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if twice := again.appendEntry(nil, &f); string(twice) != string(written) {
			t.Fatalf("state %x is %x when it was read again", written, twice)
		}
		if e.timer == noTimer {
			return
		}
		name := []byte("\x03ann\x00\x00\x00\x00\x00\x00\x00\x00")
		state := keyvaluetest.New()
		put(t, state, string(sessionsKey(nil, name)), string(written))
		put(t, state, string(timerKey(nil, e.timer, name)), "")
		o = open(t, spec, state)
		b := batchOf([]event{at(0, "a"), at(40, "b")})
		defer b.Release()
		if _, _, err := o.Take(t.Context(), b, record.NoTime); err != nil {
			if errors.Is(err, keyvalue.ErrCorrupt) {
				return // the plugin's own state is no row
			}
			t.Fatal(err)
		}
	})
}
