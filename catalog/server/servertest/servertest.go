// Package servertest holds the contract of server.Storage as tests.
package servertest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/calvelake/calve/catalog/server"
)

// Run checks that the storages which open returns keep the contract. Each call
// of open must give an empty storage.
func Run(t *testing.T, open func(t *testing.T) server.Storage) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, server.Storage)
	}{
		{"namespaces keep their properties", namespaceProperties},
		{"namespaces have parents", namespaceParents},
		{"namespaces that hold something stay", namespaceNotEmpty},
		{"listings come in pages", pages},
		{"a table is created, moved, renamed and dropped", tableLife},
		{"a change from another state is a conflict", conflicts},
		{"of several changes all happen or none", allOrNone},
		{"of sixteen racing swaps one wins", racingSwaps},
		{"a table made again is a new one", recreated},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			defer s.Close()
			test.run(t, s)
		})
	}
}

var (
	top   = server.Namespace{"top"}
	under = server.Namespace{"top", "under"}
)

func table(n server.Namespace, name string) server.Identifier {
	return server.Identifier{Namespace: n, Name: name}
}

func namespaceProperties(t *testing.T, s server.Storage) {
	ctx := t.Context()
	if _, err := s.Namespace(ctx, top); !errors.Is(err, server.ErrNoSuchNamespace) {
		t.Errorf("Namespace before = %v, want ErrNoSuchNamespace", err)
	}
	err := s.UpdateNamespace(ctx, top, nil, map[string]string{"a": "1"})
	if !errors.Is(err, server.ErrNoSuchNamespace) {
		t.Errorf("UpdateNamespace before = %v, want ErrNoSuchNamespace", err)
	}
	must(t, s.CreateNamespace(ctx, top, map[string]string{"a": "1", "b": "2"}))
	if err := s.CreateNamespace(ctx, top, nil); !errors.Is(err, server.ErrNamespaceExists) {
		t.Errorf("CreateNamespace again = %v, want ErrNamespaceExists", err)
	}
	must(t, s.UpdateNamespace(ctx, top, []string{"a", "never"}, map[string]string{"b": "3", "c": "ü'"}))
	got, err := s.Namespace(ctx, top)
	if want := map[string]string{"b": "3", "c": "ü'"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("properties = %v, %v, want %v", got, err, want)
	}
	must(t, s.DropNamespace(ctx, top))
	if err := s.DropNamespace(ctx, top); !errors.Is(err, server.ErrNoSuchNamespace) {
		t.Errorf("DropNamespace again = %v, want ErrNoSuchNamespace", err)
	}
	must(t, s.CreateNamespace(ctx, top, nil))
	if got, err := s.Namespace(ctx, top); err != nil || got == nil || len(got) != 0 {
		t.Errorf("properties of a new namespace = %v, %v, want none", got, err)
	}
}

func namespaceParents(t *testing.T, s server.Storage) {
	ctx := t.Context()
	if err := s.CreateNamespace(ctx, under, nil); !errors.Is(err, server.ErrNoSuchNamespace) {
		t.Errorf("CreateNamespace without its parent = %v, want ErrNoSuchNamespace", err)
	}
	if _, err := s.Namespaces(ctx, top, server.Page{}); !errors.Is(err, server.ErrNoSuchNamespace) {
		t.Errorf("Namespaces of a missing parent = %v, want ErrNoSuchNamespace", err)
	}
	must(t, s.CreateNamespace(ctx, top, nil))
	must(t, s.CreateNamespace(ctx, under, nil))
	must(t, s.CreateNamespace(ctx, server.Namespace{"topmost"}, nil))
	for _, test := range []struct{ parent, want server.Namespace }{{nil, server.Namespace{"top", "topmost"}}, {top, server.Namespace{"top.under"}}, {under, nil}} {
		found, err := s.Namespaces(ctx, test.parent, server.Page{})
		var got server.Namespace
		for _, n := range found {
			got = append(got, n.String())
		}
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("Namespaces(%s) = %q, %v, want %q", test.parent, got, err, test.want)
		}
	}
	if err := s.DropNamespace(ctx, top); !errors.Is(err, server.ErrNamespaceNotEmpty) {
		t.Errorf("DropNamespace of a parent = %v, want ErrNamespaceNotEmpty", err)
	}
}

func namespaceNotEmpty(t *testing.T, s server.Storage) {
	ctx := t.Context()
	must(t, s.CreateNamespace(ctx, top, nil))
	create(t, s, table(top, "a"), "m1")
	if err := s.DropNamespace(ctx, top); !errors.Is(err, server.ErrNamespaceNotEmpty) {
		t.Errorf("DropNamespace = %v, want ErrNamespaceNotEmpty", err)
	}
	must(t, s.Swap(ctx, []server.Change{{Table: table(top, "a"), From: "m1"}}))
	must(t, s.DropNamespace(ctx, top))
	err := s.Swap(ctx, []server.Change{{Table: table(top, "a"), UUID: "u", To: "m1"}})
	if !errors.Is(err, server.ErrNoSuchNamespace) {
		t.Errorf("create in a dropped namespace = %v, want ErrNoSuchNamespace", err)
	}
	if _, err := s.Tables(ctx, top, server.Page{}); !errors.Is(err, server.ErrNoSuchNamespace) {
		t.Errorf("Tables of a dropped namespace = %v, want ErrNoSuchNamespace", err)
	}
}

func pages(t *testing.T, s server.Storage) {
	ctx := t.Context()
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("n%d", i)
		want = append(want, name)
		must(t, s.CreateNamespace(ctx, server.Namespace{name}, nil))
		create(t, s, table(server.Namespace{"n0"}, name), "m")
	}
	for _, size := range []int{0, 1, 3, 7, 10} {
		var namespaces, tables []string
		for page := (server.Page{Size: size}); ; {
			found, err := s.Namespaces(ctx, nil, page)
			must(t, err)
			for _, n := range found {
				namespaces = append(namespaces, n.String())
			}
			if size == 0 || len(found) < size {
				break
			}
			page.After = found[len(found)-1].String()
		}
		for page := (server.Page{Size: size}); ; {
			found, err := s.Tables(ctx, server.Namespace{"n0"}, page)
			must(t, err)
			for _, id := range found {
				tables = append(tables, id.Name)
			}
			if size == 0 || len(found) < size {
				break
			}
			page.After = found[len(found)-1].Name
		}
		if !slices.Equal(namespaces, want) || !slices.Equal(tables, want) {
			t.Errorf("pages of %d: namespaces %q, tables %q, want %q", size, namespaces, tables, want)
		}
	}
}

func tableLife(t *testing.T, s server.Storage) {
	ctx := t.Context()
	must(t, s.CreateNamespace(ctx, top, nil))
	must(t, s.CreateNamespace(ctx, under, nil))
	a, b := table(top, "a"), table(under, "b")
	if _, err := s.Table(ctx, a); !errors.Is(err, server.ErrNoSuchTable) {
		t.Errorf("Table before = %v, want ErrNoSuchTable", err)
	}
	must(t, s.Swap(ctx, []server.Change{{Table: a, UUID: "uuid", To: "m1"}}))
	wantTable(t, s, a, "uuid", "m1")
	must(t, s.Swap(ctx, []server.Change{{Table: a, From: "m1", To: "m2"}}))
	wantTable(t, s, a, "uuid", "m2")
	must(t, s.Swap(ctx, []server.Change{{Table: a, From: "m2", To: "m2", NewName: &b}}))
	wantTable(t, s, b, "uuid", "m2")
	if _, err := s.Table(ctx, a); !errors.Is(err, server.ErrNoSuchTable) {
		t.Errorf("Table under its old name = %v, want ErrNoSuchTable", err)
	}
	must(t, s.Swap(ctx, []server.Change{{Table: b, From: "m2"}}))
	if _, err := s.Table(ctx, b); !errors.Is(err, server.ErrNoSuchTable) {
		t.Errorf("Table after its drop = %v, want ErrNoSuchTable", err)
	}
}

func conflicts(t *testing.T, s server.Storage) {
	ctx := t.Context()
	must(t, s.CreateNamespace(ctx, top, nil))
	a, b := table(top, "a"), table(top, "b")
	create(t, s, a, "m1")
	create(t, s, b, "m1")
	nowhere := table(server.Namespace{"nowhere"}, "a")
	for _, test := range []struct {
		name   string
		change server.Change
		want   error
		found  string
	}{
		{"create over a table", server.Change{Table: a, UUID: "u", To: "m2"}, server.ErrTableExists, ""},
		{"create in no namespace", server.Change{Table: nowhere, UUID: "u", To: "m2"}, server.ErrNoSuchNamespace, ""},
		{"commit from elsewhere", server.Change{Table: a, From: "m0", To: "m2"}, server.ErrConflict, "m1"},
		{"commit of no table", server.Change{Table: table(top, "c"), From: "m1", To: "m2"}, server.ErrConflict, ""},
		{"drop from elsewhere", server.Change{Table: a, From: "m0"}, server.ErrConflict, "m1"},
		{"rename over a table", server.Change{Table: a, From: "m1", To: "m1", NewName: &b}, server.ErrTableExists, ""},
		{"rename into no namespace", server.Change{Table: a, From: "m1", To: "m1", NewName: &nowhere}, server.ErrNoSuchNamespace, ""},
	} {
		err := s.Swap(ctx, []server.Change{test.change})
		if !errors.Is(err, test.want) {
			t.Errorf("%s = %v, want %v", test.name, err, test.want)
		}
		var conflict *server.ConflictError
		if errors.As(err, &conflict) && (conflict.Found != test.found || conflict.Table.Name != test.change.Table.Name) {
			t.Errorf("%s: conflict on %s at %q, want %s at %q",
				test.name, conflict.Table, conflict.Found, test.change.Table, test.found)
		}
		wantTable(t, s, a, "uuid of a", "m1")
		wantTable(t, s, b, "uuid of b", "m1")
	}
}

func allOrNone(t *testing.T, s server.Storage) {
	ctx := t.Context()
	must(t, s.CreateNamespace(ctx, top, nil))
	a, b, c := table(top, "a"), table(top, "b"), table(top, "c")
	create(t, s, a, "m1")
	create(t, s, b, "m1")
	err := s.Swap(ctx, []server.Change{
		{Table: a, From: "m1", To: "m2"},
		{Table: c, UUID: "u", To: "m1"},
		{Table: b, From: "other", To: "m2"},
	})
	var conflict *server.ConflictError
	if !errors.As(err, &conflict) || conflict.Table.Name != "b" {
		t.Errorf("Swap = %v, want a conflict on b", err)
	}
	wantTable(t, s, a, "uuid of a", "m1")
	if _, err := s.Table(ctx, c); !errors.Is(err, server.ErrNoSuchTable) {
		t.Errorf("c after a failed swap = %v, want ErrNoSuchTable", err)
	}
	must(t, s.Swap(ctx, []server.Change{
		{Table: a, From: "m1", To: "m2"}, {Table: c, UUID: "uuid of c", To: "m1"}, {Table: b, From: "m1"},
	}))
	wantTable(t, s, a, "uuid of a", "m2")
	wantTable(t, s, c, "uuid of c", "m1")
}

func racingSwaps(t *testing.T, s server.Storage) {
	must(t, s.CreateNamespace(t.Context(), top, nil))
	a, b := table(top, "a"), table(top, "b")
	create(t, s, a, "m1")
	create(t, s, b, "m1")
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wg.Go(func() {
			to := fmt.Sprintf("of %d", i)
			errs[i] = s.Swap(t.Context(), []server.Change{{Table: a, From: "m1", To: to}, {Table: b, From: "m1", To: to}})
		})
	}
	wg.Wait()
	winner := ""
	for i, err := range errs {
		switch {
		case err == nil && winner == "":
			winner = fmt.Sprintf("of %d", i)
		case err == nil:
			t.Errorf("%d won beside %s", i, winner)
		case !errors.Is(err, server.ErrConflict):
			t.Errorf("%d = %v, want ErrConflict", i, err)
		}
	}
	wantTable(t, s, a, "uuid of a", winner)
	wantTable(t, s, b, "uuid of b", winner)
}

func recreated(t *testing.T, s server.Storage) {
	ctx := t.Context()
	must(t, s.CreateNamespace(ctx, top, nil))
	a := table(top, "a")
	create(t, s, a, "m1")
	must(t, s.Swap(ctx, []server.Change{{Table: a, From: "m1"}}))
	must(t, s.Swap(ctx, []server.Change{{Table: a, UUID: "second", To: "m9"}}))
	wantTable(t, s, a, "second", "m9")
}

func create(t *testing.T, s server.Storage, id server.Identifier, metadata string) {
	t.Helper()
	must(t, s.Swap(t.Context(), []server.Change{{Table: id, UUID: "uuid of " + id.Name, To: metadata}}))
}

func wantTable(t *testing.T, s server.Storage, id server.Identifier, uuid, metadata string) {
	t.Helper()
	got, err := s.Table(t.Context(), id)
	if err != nil || got.UUID != uuid || got.Metadata != metadata || got.Identifier.String() != id.String() {
		t.Errorf("Table(%s) = %+v, %v, want uuid %q at %q", id, got, err, uuid, metadata)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
