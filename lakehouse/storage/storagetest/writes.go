package storagetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/calvelake/calve/lakehouse/storage"
)

func putReadsBack(t *testing.T, s storage.Store) {
	for _, body := range []string{"", "a", strings.Repeat("long ", 100_000)} {
		at := s.Root() + "/deep/in/folders/" + fmt.Sprint(len(body)) + "=x y+z%20ä.bin"
		mustPut(t, s, at, body)
		if got := mustGet(t, s, at); got != body {
			t.Errorf("Get(%s) = %d bytes, want the %d put", at, len(got), len(body))
		}
	}
}

func secondPutRefused(t *testing.T, s storage.Store) {
	at := s.Root() + "/once"
	mustPut(t, s, at, "first")
	for _, body := range []string{"second", "first"} {
		if err := s.Put(t.Context(), at, []byte(body)); !errors.Is(err, storage.ErrExists) {
			t.Errorf("second Put of %q = %v, want ErrExists", body, err)
		}
	}
	if got := mustGet(t, s, at); got != "first" {
		t.Errorf("object holds %q, want %q", got, "first")
	}
}

func racingPuts(t *testing.T, s storage.Store) {
	at := s.Root() + "/race/put"
	race(t, s, at, func(body string) error { return s.Put(t.Context(), at, []byte(body)) })
}

func racingWriters(t *testing.T, s storage.Store) {
	at := s.Root() + "/race/create"
	race(t, s, at, func(body string) error {
		w, err := s.Create(t.Context(), at)
		if err != nil {
			return err
		}
		defer w.Abort()
		if _, err := io.WriteString(w, body); err != nil {
			return err
		}
		return w.Commit()
	})
}

func race(t *testing.T, s storage.Store, at string, write func(body string) error) {
	t.Helper()
	const writers = 16
	errs := make([]error, writers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			<-start
			errs[i] = write(fmt.Sprintf("writer %d", i))
		})
	}
	close(start)
	wg.Wait()
	var winners []string
	for i, err := range errs {
		switch {
		case err == nil:
			winners = append(winners, fmt.Sprintf("writer %d", i))
		case !errors.Is(err, storage.ErrExists):
			t.Errorf("writer %d: %v, want nil or ErrExists", i, err)
		}
	}
	if len(winners) != 1 {
		t.Fatalf("winners = %q, want one", winners)
	}
	if got := mustGet(t, s, at); got != winners[0] {
		t.Errorf("object holds %q, want that of the winner, %q", got, winners[0])
	}
}

func appearsWhole(t *testing.T, s storage.Store) {
	at := s.Root() + "/data/part"
	w := mustCreate(t, s, at)
	defer w.Abort()
	for _, piece := range []string{"one ", "two ", "three"} {
		mustWrite(t, w, piece)
		if _, err := s.Get(t.Context(), at); !errors.Is(err, storage.ErrNotExist) {
			t.Fatalf("Get before Commit = %v, want ErrNotExist", err)
		}
		if got := mustList(t, s, s.Root()); len(got) != 0 {
			t.Fatalf("listing before Commit = %q, want nothing", got)
		}
	}
	mustCommit(t, w)
	if got := mustGet(t, s, at); got != "one two three" {
		t.Errorf("object holds %q, want %q", got, "one two three")
	}
}

func abortLeavesNothing(t *testing.T, s storage.Store) {
	at := s.Root() + "/data/aborted"
	w := mustCreate(t, s, at)
	mustWrite(t, w, strings.Repeat("x", 9<<20))
	w.Abort()
	if _, err := s.Get(t.Context(), at); !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("Get after Abort = %v, want ErrNotExist", err)
	}
	if got := mustList(t, s, s.Root()); len(got) != 0 {
		t.Errorf("listing after Abort = %q, want nothing", got)
	}
	mustPut(t, s, at, "the name is free")
}

func abortAfterCommit(t *testing.T, s storage.Store) {
	at := s.Root() + "/kept"
	w := mustCreate(t, s, at)
	mustWrite(t, w, "kept")
	mustCommit(t, w)
	w.Abort()
	if got := mustGet(t, s, at); got != "kept" {
		t.Errorf("object holds %q, want %q", got, "kept")
	}
}

func finishedWriter(t *testing.T, s storage.Store) {
	committed := mustCreate(t, s, s.Root()+"/committed")
	mustCommit(t, committed)
	aborted := mustCreate(t, s, s.Root()+"/aborted")
	aborted.Abort()
	for name, w := range map[string]storage.Writer{"committed": committed, "aborted": aborted} {
		if _, err := w.Write([]byte("more")); err == nil {
			t.Errorf("%s writer took more", name)
		}
		if err := w.Commit(); err == nil {
			t.Errorf("%s writer committed again", name)
		}
	}
	if got := mustGet(t, s, s.Root()+"/committed"); got != "" {
		t.Errorf("object holds %q, want nothing", got)
	}
}

func largeObject(t *testing.T, s storage.Store) {
	body := make([]byte, 20<<20+12345)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range body {
		body[i] = byte(random.Uint32())
	}
	at := s.Root() + "/data/large"
	w := mustCreate(t, s, at)
	defer w.Abort()
	for rest := body; len(rest) > 0; {
		n := min(len(rest), 1+random.IntN(3<<20))
		if _, err := w.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	mustCommit(t, w)
	got, err := s.Get(t.Context(), at)
	if err != nil || !bytes.Equal(got, body) {
		t.Fatalf("Get = %d bytes, %v, want the %d written", len(got), err, len(body))
	}
	second := mustCreateAnyway(t, s, at)
	if second == nil {
		return
	}
	defer second.Abort()
	if _, err := second.Write(body[:10<<20]); err == nil {
		err = second.Commit()
		if !errors.Is(err, storage.ErrExists) {
			t.Errorf("Commit over an object = %v, want ErrExists", err)
		}
	} else if !errors.Is(err, storage.ErrExists) {
		t.Errorf("Write over an object = %v, want ErrExists", err)
	}
}

func recreated(t *testing.T, s storage.Store) {
	at := s.Root() + "/again"
	mustPut(t, s, at, "one")
	if err := s.Delete(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, at, "two")
	if got := mustGet(t, s, at); got != "two" {
		t.Errorf("object holds %q, want %q", got, "two")
	}
}
