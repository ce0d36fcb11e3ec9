// Package storagetest holds the contract of storage.Store as tests, and a
// server that speaks enough of S3 to run them without a network.
package storagetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
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
