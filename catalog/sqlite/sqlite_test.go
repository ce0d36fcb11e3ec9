package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/calvelake/calve/catalog/server"
	"github.com/calvelake/calve/catalog/server/servertest"
	"github.com/calvelake/calve/catalog/sqlite"
)

func TestSQLiteKeepsTheContract(t *testing.T) {
	servertest.Run(t, func(t *testing.T) server.Storage {
		return open(t, filepath.Join(t.TempDir(), "new folder", "a?b#c%20.db"))
	})
}

func TestCatalogOutlivesItsProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	n := server.Namespace{"staging"}
	id := server.Identifier{Namespace: n, Name: "a"}
	first := open(t, path)
	if err := first.CreateNamespace(t.Context(), n, map[string]string{"owner": "me"}); err != nil {
		t.Fatal(err)
	}
	if err := first.Swap(t.Context(), []server.Change{{Table: id, UUID: "u", To: "m1"}}); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := open(t, path)
	defer second.Close()
	got, err := second.Table(t.Context(), id)
	if err != nil || got.Metadata != "m1" || got.UUID != "u" {
		t.Errorf("Table = %+v, %v, want what the first process left", got, err)
	}
}

// Handles do not share a lock in this process, so they stand for processes.
func TestSeveralProcessesShareAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	n := server.Namespace{"n"}
	id := server.Identifier{Namespace: n, Name: "counter"}
	const processes, commits = 4, 10
	setup := open(t, path)
	defer setup.Close()
	if err := setup.CreateNamespace(t.Context(), n, nil); err != nil {
		t.Fatal(err)
	}
	if err := setup.Swap(t.Context(), []server.Change{{Table: id, UUID: "u", To: "0"}}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range processes {
		wg.Go(func() {
			c, err := sqlite.Open(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for done := 0; done < commits; {
				err := increment(t, c, id)
				switch {
				case err == nil:
					done++
				case !errors.Is(err, server.ErrConflict):
					t.Errorf("Swap = %v, want nil or ErrConflict", err)
					return
				}
			}
		})
	}
	wg.Wait()
	got, err := setup.Table(t.Context(), id)
	if want := fmt.Sprint(processes * commits); err != nil || got.Metadata != want {
		t.Errorf("counter = %q, %v, want %s: no commit is lost", got.Metadata, err, want)
	}
}

func increment(t *testing.T, c *sqlite.Catalog, id server.Identifier) error {
	now, err := c.Table(t.Context(), id)
	if err != nil {
		return err
	}
	var count int
	if _, err := fmt.Sscan(now.Metadata, &count); err != nil {
		return err
	}
	return c.Swap(t.Context(), []server.Change{{Table: id, From: now.Metadata, To: fmt.Sprint(count + 1)}})
}

func TestFileOfALaterVersionIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	_, err = sqlite.Open(t.Context(), path)
	if err == nil || !strings.Contains(err.Error(), "newer calve") {
		t.Errorf("Open = %v, want it refused with what to do", err)
	}
}

func open(t *testing.T, path string) *sqlite.Catalog {
	t.Helper()
	c, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
