package session

import (
	"fmt"
	"testing"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
)

// widest notes how many keys are read at once.
type widest struct {
	*keyvaluetest.Memory
	keys int
}

func (w *widest) Get(keys [][]byte) ([][]byte, error) {
	w.keys = max(w.keys, len(keys))
	return w.Memory.Get(keys)
}

func TestSessionsThatAreAllOverAtOnceAreReadSomeAtATime(t *testing.T) {
	for _, emit := range []Emit{EmitOnClose, EmitEarly} {
		t.Run(string(emit), func(t *testing.T) {
			const users, atOnce = 100, 7
			spec := visitsSpec(t)
			spec.Emit = emit
			state := &widest{Memory: keyvaluetest.New()}
			o := open(t, spec, state)
			o.dueAtOnce = atOnce
			for i := range int64(users) {
				take(t, o, record.NoTime, event{user: fmt.Sprint("u", i), at: 100 + i%5, topic: "t", offset: i})
			}
			tb := table{}
			changes, _ := end(t, o, 50)
			tb.apply(t, changes)
			state.keys = 0
			take(t, o, 50, event{user: "u3", at: int64(101), topic: "t", offset: 1000}, event{user: "new", at: int64(500), topic: "t", offset: 1001})
			changes, failed := end(t, o, 400)
			tb.apply(t, changes)
			want := users // closed ones
			if emit == EmitEarly {
				want++ // and the new one
			}
			if len(tb) != want || len(failed) != 0 {
				t.Errorf("%d rows, %d failed; want %d rows", len(tb), len(failed), want)
			}
			if state.keys > atOnce {
				t.Errorf("%d keys were read at once, want at most %d", state.keys, atOnce)
			}
			if got, want := o.Stats(), (Stats{Open: 1, Sessions: 1, Keys: 1}); got != want {
				t.Errorf("stats: got %+v, want %+v", got, want)
			}
			if got := open(t, spec, state).Stats(); got != o.Stats() {
				t.Errorf("stats of another process: got %+v, want %+v", got, o.Stats())
			}
			if n := state.Len(string(spaceTimers)); n != 1 {
				t.Errorf("%d timers are left, want that of the open session", n)
			}
		})
	}
}
