package storage_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/calvelake/calve/lakehouse/storage"
)

var errFault = errors.New("fault")

const at = "mem://w/a"

func TestMemoryFaultsOfWrites(t *testing.T) {
	for _, test := range []struct {
		name          string
		mode          storage.FaultMode
		there, landed bool
	}{
		{"before: nothing happens", storage.FaultBefore, false, false},
		{"after: it happened", storage.FaultAfter, true, true},
		{"late: it happens later", storage.FaultLate, false, true},
		{"partial: a name is all or nothing", storage.FaultPartial, false, false},
	} {
		for op, put := range map[storage.Operation]func(storage.Store) error{
			storage.OpPut:    func(s storage.Store) error { return s.Put(context.Background(), at, []byte("x")) },
			storage.OpCommit: func(s storage.Store) error { return write(s, at, []byte("x")) },
		} {
			t.Run(test.name+"/"+string(op), func(t *testing.T) {
				m := storage.NewMemory("mem://w")
				m.Inject(storage.Fault{Mode: test.mode, Match: storage.On(op, "/a"), Err: errFault, Times: 1})
				if err := put(m); !errors.Is(err, errFault) {
					t.Fatalf("write = %v, want the fault", err)
				}
				if there := exists(t, m); there != test.there {
					t.Errorf("object there: %v, want %v", there, test.there)
				}
				m.LandLate()
				if there := exists(t, m); there != test.landed {
					t.Errorf("object there in the end: %v, want %v", there, test.landed)
				}
				if err := put(m); (err == nil) == test.landed {
					t.Errorf("second write = %v, want no fault any more", err)
				}
			})
		}
	}
}

func TestMemoryLateWriteLosesToAnEarlierOne(t *testing.T) {
	m := storage.NewMemory("mem://w")
	m.Inject(storage.Fault{Mode: storage.FaultLate, Err: errFault, Times: 1})
	if err := m.Put(t.Context(), at, []byte("late")); !errors.Is(err, errFault) {
		t.Fatal(err)
	}
	next := m.Crash()
	if err := next.Put(t.Context(), at, []byte("successor")); err != nil {
		t.Fatal(err)
	}
	if won := next.LandLate(); won != 0 {
		t.Errorf("%d late writes won, want 0", won)
	}
	if got, _ := next.Get(t.Context(), at); string(got) != "successor" {
		t.Errorf("object = %q, want that of the successor", got)
	}
}

func TestMemoryPartialFaults(t *testing.T) {
	m := storage.NewMemory("mem://w")
	for _, name := range []string{"a", "b", "c"} {
		if err := m.Put(t.Context(), "mem://w/"+name, []byte("0123456789")); err != nil {
			t.Fatal(err)
		}
	}
	defer m.Inject(storage.Fault{Mode: storage.FaultPartial, Limit: 2, Err: errFault})()
	if got, err := m.Get(t.Context(), at); string(got) != "01" || !errors.Is(err, errFault) {
		t.Errorf("Get = %q, %v, want %q and the fault", got, err, "01")
	}
	var listed []string
	for object, err := range m.List(t.Context(), "mem://w") {
		if err != nil {
			if !errors.Is(err, errFault) {
				t.Errorf("List = %v, want the fault", err)
			}
			continue
		}
		listed = append(listed, object.Location)
	}
	if want := []string{"mem://w/a", "mem://w/b"}; !slices.Equal(listed, want) {
		t.Errorf("listed %q, want %q", listed, want)
	}
}

func TestMemoryNoSpace(t *testing.T) {
	m := storage.NewMemory("mem://w")
	m.Inject(storage.Fault{Match: storage.On(storage.OpWrite, "data"), Err: storage.ErrNoSpace})
	if err := write(m, "mem://w/data/x", []byte("x")); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("write = %v, want ErrNoSpace", err)
	}
	if err := m.Put(t.Context(), "mem://w/other", nil); err != nil {
		t.Errorf("Put elsewhere = %v, want nil", err)
	}
}

func TestMemorySlowOperationWaits(t *testing.T) {
	m := storage.NewMemory("mem://w")
	release := make(chan struct{})
	m.Inject(storage.Fault{Mode: storage.FaultSlow, Release: release, Times: 2})
	begun := make(chan struct{}, 4)
	m.Hook(func(e storage.Event) {
		if !e.After {
			begun <- struct{}{}
		}
	})
	done := make(chan error, 1)
	go func() { done <- m.Put(context.Background(), at, nil) }()
	<-begun
	if exists(t, m.Another()) {
		t.Error("the object is there while its put waits")
	}
	close(release)
	if err := <-done; err != nil {
		t.Errorf("Put = %v, want nil after its release", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Put(ctx, "mem://w/b", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Put = %v, want context.Canceled", err)
	}
}

func TestMemoryCrashDropsWhatIsUnfinished(t *testing.T) {
	m := storage.NewMemory("mem://w")
	if err := m.Put(t.Context(), at, []byte("kept")); err != nil {
		t.Fatal(err)
	}
	w, err := m.Create(t.Context(), "mem://w/unfinished")
	if err != nil {
		t.Fatal(err)
	}
	next := m.Crash()
	if _, err := w.Write([]byte("x")); !errors.Is(err, storage.ErrCrashed) {
		t.Errorf("Write of the dead = %v, want ErrCrashed", err)
	}
	if err := w.Commit(); !errors.Is(err, storage.ErrCrashed) {
		t.Errorf("Commit of the dead = %v, want ErrCrashed", err)
	}
	if !exists(t, next) || exists(t, next, "mem://w/unfinished") {
		t.Error("after a crash, want the finished object and not the other")
	}
}

func TestMemoryHookCrashesAtAnyPoint(t *testing.T) {
	for _, after := range []bool{false, true} {
		m := storage.NewMemory("mem://w")
		m.Hook(func(e storage.Event) {
			if e.Op == storage.OpPut && e.After == after {
				m.Crash()
			}
		})
		if err := m.Put(t.Context(), at, nil); !errors.Is(err, storage.ErrCrashed) {
			t.Errorf("Put = %v, want ErrCrashed", err)
		}
		if there := exists(t, m.Another()); there != after {
			t.Errorf("crash with after = %v: object there %v, want %v", after, there, after)
		}
	}
}

func TestMemoryCloneIsIndependent(t *testing.T) {
	m := storage.NewMemory("mem://w")
	c := m.Clone()
	if err := c.Put(t.Context(), at, nil); err != nil {
		t.Fatal(err)
	}
	if exists(t, m) {
		t.Error("a write to the clone reached the original")
	}
}

func TestMemoryTellsOfItsCalls(t *testing.T) {
	m := storage.NewMemory("mem://w")
	if err := write(m, at, []byte("abc")); err != nil {
		t.Fatal(err)
	}
	_ = m.Put(t.Context(), at, nil)
	var got []storage.Operation
	for _, c := range m.Calls() {
		got = append(got, c.Op)
	}
	want := []storage.Operation{storage.OpCreate, storage.OpWrite, storage.OpCommit, storage.OpPut}
	if !slices.Equal(got, want) {
		t.Errorf("calls = %q, want %q", got, want)
	}
	if last := m.Calls()[3]; !errors.Is(last.Err, storage.ErrExists) {
		t.Errorf("last call's error = %v, want ErrExists", last.Err)
	}
}

func exists(t *testing.T, s storage.Store, location ...string) bool {
	t.Helper()
	_, err := s.Get(context.Background(), append(location, at)[0])
	if err != nil && !errors.Is(err, storage.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}
