package lakehouse

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/calvelake/calve/lakehouse/storage"
)

func TestRequestsAreListedInOrderOfTime(t *testing.T) {
	w := newWorld(t)
	requests := w.lake("x").Requests()
	at := time.Date(2026, 3, 1, 9, 59, 59, 999999000, time.UTC)
	var want []string
	for i := range 3 {
		r := NewLetterRequest(RequestReplay, LetterFilter{Models: []string{"events"}, Since: 5}, "me@here", at.Add(time.Duration(i)*time.Microsecond))
		if err := requests.Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		got, err := requests.Read(t.Context(), r.ID)
		if err != nil || got.Filter.Models[0] != "events" || got.Filter.Since != 5 || got.CreatedAt != r.CreatedAt || got.Kind != RequestReplay {
			t.Errorf("read %+v (%v), want %+v", got, err, r)
		}
		want = append(want, r.ID)
	}
	if got, err := requests.List(t.Context()); err != nil || !slices.Equal(got, want) {
		t.Errorf("listed %v (%v), want %v", got, err, want)
	}
	if err := requests.Remove(t.Context(), want[:2]...); err != nil {
		t.Fatal(err)
	}
	if got, err := requests.List(t.Context()); err != nil || !slices.Equal(got, want[2:]) {
		t.Errorf("listed %v (%v), want %v", got, err, want[2:])
	}
}

func TestRequestWhoseReplyIsLostIsPutOnce(t *testing.T) {
	w := newWorld(t)
	requests := w.lake("x").Requests()
	lost := 0
	w.store.Inject(storage.Fault{Mode: storage.FaultAfter, Err: errors.New("connection reset"), Match: func(c storage.Call) bool {
		lost++
		return c.Op == storage.OpPut && lost == 1
	}})
	r := NewLetterRequest(RequestDiscard, LetterFilter{}, "me@here", time.Now())
	if err := requests.Put(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if got, err := requests.List(t.Context()); err != nil || !slices.Equal(got, []string{r.ID}) {
		t.Errorf("listed %v (%v), want %v", got, err, r.ID)
	}
	if err := requests.Put(t.Context(), r); !errors.Is(err, storage.ErrExists) {
		t.Errorf("put again: %v, want ErrExists", err)
	}
}

func TestRequestsThatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	requests := w.lake("x").Requests()
	for id, c := range map[string]struct{ body, says string }{
		"newer":   {`{"version":2,"id":"newer","kind":"replay","unheard":1}`, "run the newer calve"},
		"unknown": {`{"version":1,"id":"unknown","kind":"replay","filter":{"colour":"red"}}`, "ask again"},
		"kind":    {`{"version":1,"id":"kind","kind":"burn"}`, `asks for "burn"`},
		"other":   {`{"version":1,"id":"another","kind":"replay"}`, `says that its id is "another"`},
		"broken":  {`{"version`, "ask again"},
	} {
		if err := w.store.Put(t.Context(), requests.Location(id), []byte(c.body)); err != nil {
			t.Fatal(err)
		}
		if _, err := requests.Read(t.Context(), id); !errors.Is(err, ErrRequest) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want ErrRequest saying %q", id, err, c.says)
		}
	}
	if _, err := requests.Read(t.Context(), "absent"); !errors.Is(err, ErrNoRequest) {
		t.Errorf("got %v, want ErrNoRequest", err)
	}
}

// meanwhile lets another process act before the store's next call of a kind.
func meanwhile(w *world, op storage.Operation, part string, act func(another *storage.Memory)) {
	another := w.store.Another()
	acted := false
	w.store.Hook(func(e storage.Event) {
		if !e.After && !acted && storage.On(op, part)(e.Call) {
			acted = true
			act(another)
		}
	})
}

func TestRequestThatGoesWhileItIsRead(t *testing.T) {
	w := newWorld(t)
	requests := w.lake("x").Requests()
	for _, id := range []string{"a", "b"} {
		if err := requests.Put(t.Context(), LetterRequest{Version: RequestVersion, ID: id, Kind: RequestReplay}); err != nil {
			t.Fatal(err)
		}
	}
	ids, err := requests.List(t.Context())
	if err != nil || len(ids) != 2 {
		t.Fatalf("listed %v (%v), want a and b", ids, err)
	}
	meanwhile(w, storage.OpGet, "/requests/a", func(another *storage.Memory) {
		if err := another.Delete(t.Context(), requests.Location("a")); err != nil {
			t.Error(err)
		}
	})
	if _, err := requests.Read(t.Context(), "a"); !errors.Is(err, ErrNoRequest) {
		t.Errorf("got %v, want ErrNoRequest", err)
	}
	w.store.Inject(storage.Fault{Mode: storage.FaultBefore, Err: errors.New("connection reset"), Times: 1, Match: storage.On(storage.OpGet, "/requests/b")})
	if _, err := requests.Read(t.Context(), "b"); err == nil || errors.Is(err, ErrNoRequest) || errors.Is(err, ErrRequest) {
		t.Errorf("got %v, want an error that does not say that the request is gone or damaged", err)
	}
	if _, err := requests.Read(t.Context(), "b"); err != nil {
		t.Error(err)
	}
}

func TestFollowARequest(t *testing.T) {
	w := lakeWith(t, deadEpoch)
	l := w.lake("w2")
	s, err := l.Start(t.Context(), eventDefinitions)
	if err != nil {
		t.Fatal(err)
	}
	progress := w.lake("follower").Follow("r")
	look := func(want *Request) {
		t.Helper()
		got, err := progress.Look(t.Context())
		if err != nil || (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("got %+v (%v), want %+v", got, err, want)
		}
	}
	look(nil)
	var last *Epoch
	for i, c := range goodReplays() {
		e := &Epoch{Number: s.Last + 1, Pipeline: "shop", Writer: l.nonce, Host: "h", Readers: positionsAfter(s.Readers)}
		e.Requests = []Request{{ID: "other"}, {ID: "r", Cursor: RequestResult{Replayed: int64(i)}.Encode(), Done: i == 1}}
		e.Changes = w.files(l, s, e.Number, *c)
		last = w.decide(l, s, e)
		if i == 1 {
			look(nil) // decided, not committed
		}
		w.commit(l, last)
		look(&e.Requests[1])
	}
	progress = w.lake("follower").Follow("r")
	meanwhile(w, storage.OpGet, "/epochs/", func(*storage.Memory) { // the record goes between its listing and its reading
		if err := l.Log().Prune(t.Context(), last, DoneRequest{ID: "r", Cursor: last.Requests[1].Cursor, DoneAt: last.DecidedAt}); err != nil {
			t.Error(err)
		}
	})
	look(nil)
	look(&last.Requests[1]) // of the floor
	again, err := w.lake("w3").Start(t.Context(), eventDefinitions)
	if err != nil || len(again.Requests) != 1 || again.Requests[0].ID != "r" {
		t.Errorf("a start knows requests %+v (%v), want r", again.Requests, err)
	}
}
