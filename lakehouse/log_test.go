package lakehouse

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/calvelake/calve/lakehouse/storage"
)

// testLog is a log that does not wait between attempts, at most 10 of them.
func testLog(store storage.Store, nonce string) *Log {
	l := NewLog(store, "shop", nonce, slog.New(slog.DiscardHandler))
	l.pause = func(ctx context.Context, attempt int) error {
		if attempt >= 10 {
			return context.DeadlineExceeded
		}
		return ctx.Err()
	}
	return l
}

func numbered(n int64, writer string) *Epoch {
	return &Epoch{Number: n, Pipeline: "shop", Writer: writer, Host: "host-" + writer, Readers: []Reader{}, Changes: []TableChange{}, Tables: []TableState{}}
}

func TestLogReadsBackWhatWasAppended(t *testing.T) {
	ctx := t.Context()
	l := testLog(storage.NewMemory("s3://lake"), "w1")
	for n := int64(1); n <= 12; n++ {
		if err := l.Append(ctx, numbered(n, "w1")); err != nil {
			t.Fatal(err)
		}
	}
	tail, err := l.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if tail.Last() != 12 || len(tail.Epochs) != 12 || tail.Epochs[0].Number != 1 {
		t.Errorf("tail ends at %d with %d records, want 12 and 12", tail.Last(), len(tail.Epochs))
	}
}

func TestSecondWriterOfANumberIsFenced(t *testing.T) {
	ctx := t.Context()
	store := storage.NewMemory("s3://lake")
	if err := testLog(store, "w1").Append(ctx, numbered(1, "w1")); err != nil {
		t.Fatal(err)
	}
	err := testLog(store, "w2").Append(ctx, numbered(1, "w2"))
	if !errors.Is(err, ErrFenced) {
		t.Fatalf("got %v, want ErrFenced", err)
	}
	if !strings.Contains(err.Error(), "writer w1 on host-w1") {
		t.Errorf("the message does not name the other writer: %v", err)
	}
}

func TestAppendWithLostReplyIsDecidedOnce(t *testing.T) {
	ctx := t.Context()
	store := storage.NewMemory("s3://lake")
	store.Inject(storage.Fault{Match: storage.On(storage.OpPut, "epochs/"), Mode: storage.FaultAfter, Err: errors.New("connection reset"), Times: 1})
	if err := testLog(store, "w1").Append(ctx, numbered(1, "w1")); err != nil {
		t.Fatalf("the record landed, got %v", err)
	}
}

func TestAppendThatNeverReachesTheStoreIsUndecided(t *testing.T) {
	ctx := t.Context()
	store := storage.NewMemory("s3://lake")
	store.Inject(storage.Fault{Match: storage.On(storage.OpPut, "epochs/"), Mode: storage.FaultBefore, Err: errors.New("no route")})
	if err := testLog(store, "w1").Append(ctx, numbered(1, "w1")); !errors.Is(err, ErrUndecided) {
		t.Errorf("got %v, want ErrUndecided", err)
	}
}

func TestAppendWithoutPermissionFailsAtOnce(t *testing.T) {
	store := storage.NewMemory("s3://lake")
	store.Inject(storage.Fault{Match: storage.On(storage.OpPut, "epochs/"), Mode: storage.FaultBefore, Err: storage.ErrPermission})
	err := testLog(store, "w1").Append(t.Context(), numbered(1, "w1"))
	if !errors.Is(err, storage.ErrPermission) || errors.Is(err, ErrUndecided) {
		t.Errorf("got %v, want ErrPermission", err)
	}
	if n := len(store.Calls()); n > 2 {
		t.Errorf("%d calls, a definite refusal must not be repeated", n)
	}
}

func TestReadRefusesAHole(t *testing.T) {
	ctx := t.Context()
	store := storage.NewMemory("s3://lake")
	l := testLog(store, "w1")
	for n := int64(1); n <= 4; n++ {
		if err := l.Append(ctx, numbered(n, "w1")); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Delete(ctx, l.location("epochs", 2)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(ctx); !errors.Is(err, ErrHole) || !strings.Contains(err.Error(), "record 2") {
		t.Errorf("got %v, want ErrHole naming record 2", err)
	}
}

func TestPruneKeepsTheOutcomeInTheFloor(t *testing.T) {
	ctx := t.Context()
	store := storage.NewMemory("s3://lake")
	l := testLog(store, "w1")
	var last *Epoch
	for n := int64(1); n <= 5; n++ {
		last = numbered(n, "w1")
		last.Readers = []Reader{{Name: "main", Models: []string{"m"}, Ranges: []Range{{Topic: "t", From: n - 1, To: n, Delivered: 1}}}}
		if err := l.Append(ctx, last); err != nil {
			t.Fatal(err)
		}
		if n == 3 {
			if err := l.Prune(ctx, last); err != nil {
				t.Fatal(err)
			}
		}
	}
	tail, err := l.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if tail.Floor.Number != 3 || len(tail.Epochs) != 2 || tail.Last() != 5 {
		t.Errorf("floor %d, %d records, last %d; want 3, 2, 5", tail.Floor.Number, len(tail.Epochs), tail.Last())
	}
	if r := tail.Floor.Positions[0].Ranges[0]; r.From != 3 || r.To != 3 || r.Delivered != 0 {
		t.Errorf("floor's position is [%d,%d), want [3,3)", r.From, r.To)
	}
}

func TestWriterThatSleptThroughPruningIsFenced(t *testing.T) {
	ctx := t.Context()
	store := storage.NewMemory("s3://lake")
	successor := testLog(store, "w2")
	for n := int64(1); n <= 3; n++ {
		e := numbered(n, "w2")
		if err := successor.Append(ctx, e); err != nil {
			t.Fatal(err)
		}
		if err := successor.Prune(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	// Number 2 is free again; the zombie's PUT succeeds and must not count.
	if err := testLog(store, "w1").Append(ctx, numbered(2, "w1")); !errors.Is(err, ErrFenced) {
		t.Fatalf("got %v, want ErrFenced", err)
	}
	tail, err := testLog(store, "w3").Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(tail.Epochs) != 0 || tail.Last() != 3 {
		t.Errorf("%d records, last %d: the zombie's record must be ignored", len(tail.Epochs), tail.Last())
	}
}

func TestReadDuringPruningSeesNoHole(t *testing.T) {
	ctx := t.Context()
	store := storage.NewMemory("s3://lake")
	l := testLog(store, "w1")
	var epochs []*Epoch
	for n := int64(1); n <= 6; n++ {
		e := numbered(n, "w1")
		epochs = append(epochs, e)
		if err := l.Append(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	pruned := false
	other := testLog(store.Another(), "w1")
	reader := store.Another()
	reader.Hook(func(ev storage.Event) {
		// After the reader has listed the records and before it reads them.
		if !pruned && !ev.After && ev.Op == storage.OpGet && strings.Contains(ev.Location, "epochs/") {
			pruned = true
			if err := other.Prune(ctx, epochs[4]); err != nil {
				t.Error(err)
			}
		}
	})
	tail, err := testLog(reader, "w2").Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !pruned || tail.Last() != 6 || tail.Floor.Number != 5 {
		t.Errorf("pruned %v, last %d, floor %d; want true, 6, 5", pruned, tail.Last(), tail.Floor.Number)
	}
}

func TestNamesNeverRepeat(t *testing.T) {
	l := New(Config{Pipeline: "shop", Nonce: "w1", Logger: slog.New(slog.DiscardHandler)}, storage.NewMemory("s3://lake"), nil)
	seen := map[string]bool{}
	for range 3 {
		names := l.Names(4)
		for range 3 {
			name := names.Next()
			if seen[name] || !strings.HasPrefix(name, "4-w1-") {
				t.Fatalf("name %q", name)
			}
			seen[name] = true
		}
	}
}
