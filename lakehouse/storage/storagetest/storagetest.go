// Package storagetest holds the contract of storage.Store as tests, and a
// server that speaks enough of S3 to run them without a network.
package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/calvelake/calve/lakehouse/storage"
)

// Run checks that the stores which open returns keep the contract. Each call
// of open must give an empty store.
func Run(t *testing.T, open func(t *testing.T) storage.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, storage.Store)
	}{
		{"what is put reads back", putReadsBack},
		{"a second put of one name is refused", secondPutRefused},
		{"of sixteen racing puts one wins", racingPuts},
		{"of sixteen racing writers one wins", racingWriters},
		{"an object appears when it is committed", appearsWhole},
		{"an aborted object leaves nothing", abortLeavesNothing},
		{"an abort after a commit does nothing", abortAfterCommit},
		{"a finished writer refuses more", finishedWriter},
		{"an object of many parts reads back", largeObject},
		{"ranges read as of a file", ranges},
		{"what does not exist is said not to", notExist},
		{"listings are in order and keep to their prefix", listing},
		{"deletes take what is there", deletes},
		{"a deleted name can be used again", recreated},
		{"locations outside the root are refused", outside},
		{"an ended context ends work", cancelled},
		{"the probe accepts it and leaves nothing", probe},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

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

func ranges(t *testing.T, s storage.Store) {
	body := "0123456789"
	at := s.Root() + "/ranges"
	mustPut(t, s, at, body)
	r, err := s.Open(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := r.Size(); got != int64(len(body)) {
		t.Errorf("Size = %d, want %d", got, len(body))
	}
	for _, test := range []struct {
		offset int64
		length int
		want   string
		eof    bool
	}{
		{0, 10, "0123456789", false},
		{3, 4, "3456", false},
		{9, 1, "9", false},
		{5, 0, "", false},
		{8, 5, "89", true},
		{10, 1, "", true},
		{50, 1, "", true},
	} {
		p := make([]byte, test.length)
		n, err := r.ReadAt(p, test.offset)
		if string(p[:n]) != test.want || (err != nil && err != io.EOF) || (test.eof && err != io.EOF) {
			t.Errorf("ReadAt(%d bytes, %d) = %q, %v, want %q, end of file %v",
				test.length, test.offset, p[:n], err, test.want, test.eof)
		}
	}
	if _, err := r.ReadAt(make([]byte, 1), -1); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("ReadAt(-1) = %v, want an error", err)
	}
}

func notExist(t *testing.T, s storage.Store) {
	mustPut(t, s, s.Root()+"/folder/object", "x")
	for _, name := range []string{"/nothing", "/no/folder", "/folder/object2"} {
		if _, err := s.Get(t.Context(), s.Root()+name); !errors.Is(err, storage.ErrNotExist) {
			t.Errorf("Get(%s) = %v, want ErrNotExist", name, err)
		}
		if _, err := s.Open(t.Context(), s.Root()+name); !errors.Is(err, storage.ErrNotExist) {
			t.Errorf("Open(%s) = %v, want ErrNotExist", name, err)
		}
	}
}

func listing(t *testing.T, s storage.Store) {
	names := []string{
		"a", "a.b", "a/b", "a/c/d", "a0", "b/0001", "b/0002", "b/0010", "b/01", "b.x/1", "c=1/d=2/e",
	}
	for i, name := range names {
		if name == "a" { // a folder and an object of one name do not go together on a disk
			continue
		}
		mustPut(t, s, s.Root()+"/"+name, strings.Repeat("x", i))
	}
	for _, test := range []struct {
		prefix string
		want   []string
	}{
		{"", []string{"a.b", "a/b", "a/c/d", "a0", "b.x/1", "b/0001", "b/0002", "b/0010", "b/01", "c=1/d=2/e"}},
		{"/", []string{"a.b", "a/b", "a/c/d", "a0", "b.x/1", "b/0001", "b/0002", "b/0010", "b/01", "c=1/d=2/e"}},
		{"/a", []string{"a.b", "a/b", "a/c/d", "a0"}},
		{"/a/", []string{"a/b", "a/c/d"}},
		{"/b/00", []string{"b/0001", "b/0002", "b/0010"}},
		{"/b/0002", []string{"b/0002"}},
		{"/nothing/", nil},
	} {
		var want []string
		for _, name := range test.want {
			want = append(want, s.Root()+"/"+name)
		}
		if got := mustList(t, s, s.Root()+test.prefix); !slices.Equal(got, want) {
			t.Errorf("List(%q) = %q, want %q", test.prefix, got, want)
		}
	}
	for object, err := range s.List(t.Context(), s.Root()+"/b/0010") {
		if err != nil || object.Size != int64(slices.Index(names, "b/0010")) || object.Modified.IsZero() {
			t.Errorf("listed %+v, %v, want the size %d and a time", object, err, slices.Index(names, "b/0010"))
		}
	}
	count := 0
	for range s.List(t.Context(), s.Root()) {
		if count++; count == 3 {
			break
		}
	}
	if count != 3 {
		t.Errorf("a listing that is left early gave %d objects, want 3", count)
	}
}

func deletes(t *testing.T, s storage.Store) {
	var all []string
	for i := range 25 {
		at := fmt.Sprintf("%s/d/%03d", s.Root(), i)
		mustPut(t, s, at, "x")
		all = append(all, at)
	}
	gone := append(slices.Clone(all[:20]), s.Root()+"/d/never", s.Root()+"/no/such/folder")
	for range 2 {
		if err := s.Delete(t.Context(), gone...); err != nil {
			t.Fatalf("Delete = %v, want nil", err)
		}
	}
	if got := mustList(t, s, s.Root()); !slices.Equal(got, all[20:]) {
		t.Errorf("left are %q, want %q", got, all[20:])
	}
	if err := s.Delete(t.Context()); err != nil {
		t.Errorf("Delete of nothing = %v, want nil", err)
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

func outside(t *testing.T, s storage.Store) {
	ctx := t.Context()
	for _, at := range []string{
		s.Root(), s.Root() + "/", s.Root() + "2/x", s.Root() + "/../x", s.Root() + "/a/../../x", s.Root() + "/a/./x",
		s.Root() + "//x", s.Root() + "/a/", "x", "", "other://bucket/x",
	} {
		if err := s.Put(ctx, at, nil); !errors.Is(err, storage.ErrOutside) {
			t.Errorf("Put(%q) = %v, want ErrOutside", at, err)
		}
		if w, err := s.Create(ctx, at); !errors.Is(err, storage.ErrOutside) {
			t.Errorf("Create(%q) = %v, %v, want ErrOutside", at, w, err)
		}
		if _, err := s.Get(ctx, at); !errors.Is(err, storage.ErrOutside) {
			t.Errorf("Get(%q) = %v, want ErrOutside", at, err)
		}
		if _, err := s.Open(ctx, at); !errors.Is(err, storage.ErrOutside) {
			t.Errorf("Open(%q) = %v, want ErrOutside", at, err)
		}
		if err := s.Delete(ctx, at); !errors.Is(err, storage.ErrOutside) {
			t.Errorf("Delete(%q) = %v, want ErrOutside", at, err)
		}
	}
	for _, prefix := range []string{s.Root() + "2", s.Root() + "/../", "", "other://bucket/"} {
		listed := false
		for object, err := range s.List(ctx, prefix) {
			listed = true
			if !errors.Is(err, storage.ErrOutside) {
				t.Errorf("List(%q) = %v, %v, want ErrOutside", prefix, object, err)
			}
		}
		if !listed {
			t.Errorf("List(%q) gave nothing, want ErrOutside", prefix)
		}
	}
}

func cancelled(t *testing.T, s storage.Store) {
	at := s.Root() + "/there"
	mustPut(t, s, at, "x")
	ctx, cancel := context.WithCancel(t.Context())
	w, err := s.Create(ctx, s.Root()+"/begun")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	mustWrite(t, w, "begun")
	cancel()
	check := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context = %v, want context.Canceled", what, err)
		}
	}
	check("Put", s.Put(ctx, s.Root()+"/new", nil))
	_, err = s.Create(ctx, s.Root()+"/new")
	check("Create", err)
	_, err = s.Get(ctx, at)
	check("Get", err)
	_, err = s.Open(ctx, at)
	check("Open", err)
	check("Delete", s.Delete(ctx, at))
	check("Commit", w.Commit())
	for _, err := range s.List(ctx, s.Root()) {
		check("List", err)
	}
	if got := mustList(t, s, s.Root()); !slices.Equal(got, []string{at}) {
		t.Errorf("objects = %q, want only %q", got, at)
	}
}

func probe(t *testing.T, s storage.Store) {
	if err := storage.Probe(t.Context(), s, s.Root()+"/_calve"); err != nil {
		t.Fatalf("Probe = %v, want nil", err)
	}
	if got := mustList(t, s, s.Root()); len(got) != 0 {
		t.Errorf("the probe left %q", got)
	}
}

func mustPut(t *testing.T, s storage.Store, at, body string) {
	t.Helper()
	if err := s.Put(t.Context(), at, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

func mustGet(t *testing.T, s storage.Store, at string) string {
	t.Helper()
	body, err := s.Get(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func mustCreate(t *testing.T, s storage.Store, at string) storage.Writer {
	t.Helper()
	w, err := s.Create(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// mustCreateAnyway begins an object whose name is taken: a store may refuse at
// once or when it is committed.
func mustCreateAnyway(t *testing.T, s storage.Store, at string) storage.Writer {
	t.Helper()
	w, err := s.Create(t.Context(), at)
	if err == nil {
		return w
	}
	if !errors.Is(err, storage.ErrExists) {
		t.Errorf("Create over an object = %v, want ErrExists", err)
	}
	return nil
}

func mustWrite(t *testing.T, w io.Writer, body string) {
	t.Helper()
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
}

func mustCommit(t *testing.T, w storage.Writer) {
	t.Helper()
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}

func mustList(t *testing.T, s storage.Store, prefix string) []string {
	t.Helper()
	var locations []string
	for object, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		locations = append(locations, object.Location)
	}
	return locations
}
