package catalog_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse/storage"
)

var ids = catalog.Identifier{Namespace: "staging", Name: "web_requests"}

var schema = iceberg.NewSchema(0,
	iceberg.NestedField{ID: 1, Name: "id", Type: iceberg.PrimitiveTypes.Int64, Required: true},
	iceberg.NestedField{ID: 2, Name: "at", Type: iceberg.PrimitiveTypes.TimestampTz},
)

// kinds open the same catalog in both ways: as the embedded one, and as a REST
// catalog over HTTP that is an embedded one behind a port.
var kinds = map[string]func(t *testing.T, store storage.Store) *catalog.Catalog{
	"embedded": func(t *testing.T, store storage.Store) *catalog.Catalog {
		return openEmbedded(t, filepath.Join(t.TempDir(), "catalog.db"), store)
	},
	"rest": func(t *testing.T, store storage.Store) *catalog.Catalog {
		behind := openEmbedded(t, filepath.Join(t.TempDir(), "catalog.db"), store)
		server := httptest.NewServer(behind.Handler())
		t.Cleanup(server.Close)
		return openREST(t, catalog.Config{URI: server.URL, Store: store})
	},
}

func TestTableIsCreatedLoadedCommittedAndDropped(t *testing.T) {
	for kind, open := range kinds {
		t.Run(kind, func(t *testing.T) {
			c := open(t, storage.NewMemory("mem://lake"))
			if _, err := c.Load(t.Context(), ids); !errors.Is(err, catalog.ErrNoSuchTable) {
				t.Errorf("Load before = %v, want ErrNoSuchTable", err)
			}
			if _, err := c.Create(t.Context(), ids, catalog.CreateSpec{Schema: schema}); !errors.Is(err, catalog.ErrNoSuchNamespace) {
				t.Errorf("Create without a namespace = %v, want ErrNoSuchNamespace", err)
			}
			created := create(t, c, ids)
			if _, err := c.Create(t.Context(), ids, catalog.CreateSpec{Schema: schema}); !errors.Is(err, catalog.ErrTableExists) {
				t.Errorf("Create again = %v, want ErrTableExists", err)
			}
			if !strings.HasPrefix(created.Location(), "mem://lake/staging/web_requests-") {
				t.Errorf("location = %s, want it below the warehouse by its names", created.Location())
			}
			if err := c.Commit(t.Context(), []table.TableCommit{set(created, "k", "v")}); err != nil {
				t.Fatal(err)
			}
			loaded := load(t, c, ids)
			if got := loaded.Properties()["k"]; got != "v" || loaded.Metadata().TableUUID() != created.Metadata().TableUUID() {
				t.Errorf("property k = %q of table %s, want v of the same table", got, loaded.Metadata().TableUUID())
			}
			if got := loaded.Properties()["made"]; got != "by test" {
				t.Errorf("property made = %q, want that of the creation", got)
			}
			if spec := loaded.Spec(); spec.NumFields() != 1 || spec.Field(0).Transform.String() != "day" {
				t.Errorf("partition spec = %v, want day", spec)
			}
			if err := c.Drop(t.Context(), ids); err != nil {
				t.Fatal(err)
			}
			again := create(t, c, ids)
			if again.Location() == created.Location() {
				t.Errorf("a table made again has its predecessor's location %s", again.Location())
			}
		})
	}
}

func TestListings(t *testing.T) {
	for kind, open := range kinds {
		t.Run(kind, func(t *testing.T) {
			c := open(t, storage.NewMemory("mem://lake"))
			if got, err := c.List(t.Context(), "staging"); err != nil || len(got) != 0 {
				t.Errorf("List of no namespace = %v, %v, want nothing", got, err)
			}
			var want []catalog.Identifier
			for i := range 25 { // more than a page of the client
				id := catalog.Identifier{Namespace: "staging", Name: fmt.Sprintf("t%02d", i)}
				create(t, c, id)
				want = append(want, id)
			}
			for range 2 {
				if err := c.EnsureNamespace(t.Context(), "marts"); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := c.List(t.Context(), "staging"); err != nil || !slices.Equal(got, want) {
				t.Errorf("List = %v, %v, want %v", got, err, want)
			}
			if got, err := c.Namespaces(t.Context()); err != nil || !slices.Equal(got, []string{"marts", "staging"}) {
				t.Errorf("Namespaces = %v, %v, want marts and staging", got, err)
			}
		})
	}
}

func TestCommitOfSeveralTablesIsAllOrNothing(t *testing.T) {
	for kind, open := range kinds {
		t.Run(kind, func(t *testing.T) {
			c := open(t, storage.NewMemory("mem://lake"))
			if !c.Atomic() {
				t.Fatal("Atomic = false, want true")
			}
			a := create(t, c, catalog.Identifier{Namespace: "n", Name: "a"})
			b := create(t, c, catalog.Identifier{Namespace: "n", Name: "b"})
			if err := c.Commit(t.Context(), []table.TableCommit{set(a, "k", "1"), set(b, "k", "1")}); err != nil {
				t.Fatal(err)
			}
			stale := set(b, "k", "2")
			stale.Requirements = append(stale.Requirements, table.AssertTableUUID(uuid.New()))
			err := c.Commit(t.Context(), []table.TableCommit{set(a, "k", "2"), stale})
			if !errors.Is(err, catalog.ErrConflict) || !errors.Is(err, table.ErrCommitFailed) {
				t.Errorf("Commit with a requirement that fails = %v, want ErrConflict", err)
			}
			for _, name := range []string{"a", "b"} {
				if got := load(t, c, catalog.Identifier{Namespace: "n", Name: name}).Properties()["k"]; got != "1" {
					t.Errorf("%s has k = %q, want that of the commit before, 1", name, got)
				}
			}
		})
	}
}

func TestConcurrentCommittersLoseNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	store := storage.NewMemory("mem://lake")
	first := openEmbedded(t, path, store)
	created := create(t, first, ids)
	second := openEmbedded(t, path, store.Another()) // another process, on the same file
	const each = 8
	var wg sync.WaitGroup
	for i, c := range []*catalog.Catalog{first, second, first, second} {
		wg.Go(func() {
			for j := range each {
				key := fmt.Sprintf("k%d.%d", i, j)
				err := c.Commit(t.Context(), []table.TableCommit{set(created, key, "x")})
				for errors.Is(err, catalog.ErrConflict) {
					err = c.Commit(t.Context(), []table.TableCommit{set(created, key, "x")})
				}
				if err != nil {
					t.Errorf("commit %s: %v", key, err)
				}
			}
		})
	}
	wg.Wait()
	loaded := load(t, second, ids)
	for i := range 4 {
		for j := range each {
			if key := fmt.Sprintf("k%d.%d", i, j); loaded.Properties()[key] != "x" {
				t.Errorf("the commit of %s is lost", key)
			}
		}
	}
}

func TestEmbeddedCatalogOutlivesItsProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	store, err := storage.OpenLocal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	first := openEmbedded(t, path, store)
	created := create(t, first, ids)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := openEmbedded(t, path, store)
	if got := load(t, second, ids); got.Metadata().TableUUID() != created.Metadata().TableUUID() ||
		got.MetadataLocation() != created.MetadataLocation() {
		t.Errorf("loaded %s, want %s", got.MetadataLocation(), created.MetadataLocation())
	}
}

func TestLostReplyOfMetadataWriteCommitsNothing(t *testing.T) {
	store := storage.NewMemory("mem://lake")
	c := kinds["embedded"](t, store)
	created := create(t, c, ids)
	remove := store.Inject(storage.Fault{
		Mode: storage.FaultAfter, Match: storage.On(storage.OpPut, "/metadata/"), Err: errors.New("reply lost"),
	})
	err := c.Commit(t.Context(), []table.TableCommit{set(created, "k", "v")})
	if err == nil || errors.Is(err, catalog.ErrConflict) {
		t.Errorf("Commit = %v, want an error other than ErrConflict", err)
	}
	remove()
	if got := load(t, c, ids); got.MetadataLocation() != created.MetadataLocation() {
		t.Errorf("the table moved to %s", got.MetadataLocation())
	}
	if err := c.Commit(t.Context(), []table.TableCommit{set(created, "k", "v")}); err != nil {
		t.Errorf("Commit after it = %v, want nil", err)
	}
}

func TestWarehouseWithoutSpaceOrPermission(t *testing.T) {
	for fault, want := range map[error]string{storage.ErrNoSpace: "no space left", storage.ErrPermission: "permission denied"} {
		store := storage.NewMemory("mem://lake")
		c := kinds["embedded"](t, store)
		if err := c.EnsureNamespace(t.Context(), ids.Namespace); err != nil {
			t.Fatal(err)
		}
		store.Inject(storage.Fault{Match: storage.On(storage.OpPut, "/metadata/"), Err: fault})
		_, err := c.Create(t.Context(), ids, catalog.CreateSpec{Schema: schema})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Create = %v, want it to tell of %q", err, want)
		}
	}
}

func TestTableOutsideTheWarehouseIsRefused(t *testing.T) {
	store := storage.NewMemory("mem://lake")
	behind := kinds["embedded"](t, store)
	create(t, behind, ids)
	server := httptest.NewServer(behind.Handler())
	defer server.Close()
	c := openREST(t, catalog.Config{URI: server.URL, Store: storage.NewMemory("mem://another")})
	_, err := c.Load(t.Context(), ids)
	if !errors.Is(err, storage.ErrOutside) || !strings.Contains(err.Error(), "set the warehouse") {
		t.Errorf("Load = %v, want ErrOutside and what to do", err)
	}
	_, err = behind.Create(t.Context(), catalog.Identifier{Namespace: "staging", Name: "b"},
		catalog.CreateSpec{Schema: schema, Location: "mem://another/b"})
	if err == nil || !strings.Contains(err.Error(), "not below the warehouse") {
		t.Errorf("Create elsewhere = %v, want it refused", err)
	}
}

func TestTableWritesAndReadsThroughTheStore(t *testing.T) {
	for kind, open := range kinds {
		t.Run(kind, func(t *testing.T) {
			store := storage.NewMemory("mem://lake")
			c := open(t, store)
			created := create(t, c, ids)
			tx := created.NewTransaction()
			if err := tx.SetProperties(iceberg.Properties{"via": "transaction"}); err != nil {
				t.Fatal(err)
			}
			committed, err := tx.Commit(t.Context())
			if err != nil || committed.Properties()["via"] != "transaction" {
				t.Fatalf("Commit = %v, want the property set", err)
			}
			if err := created.Refresh(t.Context()); err != nil || created.Properties()["via"] != "transaction" {
				t.Errorf("Refresh = %v, want the property seen", err)
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	store := storage.NewMemory("mem://lake")
	for name, c := range map[string]catalog.Config{
		"no warehouse":    {Type: catalog.Embedded, Path: "x"},
		"no type":         {Store: store},
		"no path":         {Type: catalog.Embedded, Store: store},
		"no uri":          {Type: catalog.REST, Store: store},
		"uri, no scheme":  {Type: catalog.REST, Store: store, URI: "host:8181/hush"},
		"wrong token uri": {Type: catalog.REST, Store: store, URI: "http://h", OAuth2ServerURI: "x"},
	} {
		if opened, err := catalog.Open(t.Context(), c); err == nil || opened != nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("Open with %s = %v, %v, want an error", name, opened, err)
		}
	}
}

func TestIdentifiers(t *testing.T) {
	if got, err := catalog.ParseIdentifier("staging.web_requests"); err != nil || got != ids {
		t.Errorf("ParseIdentifier = %v, %v, want %v", got, err, ids)
	}
	for _, text := range []string{"", "a", "a.", ".a", "a.b.c"} {
		if got, err := catalog.ParseIdentifier(text); err == nil {
			t.Errorf("ParseIdentifier(%q) = %v, want an error", text, got)
		}
	}
}

func openEmbedded(t *testing.T, path string, store storage.Store) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(t.Context(), catalog.Config{Type: catalog.Embedded, Path: path, Store: store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func openREST(t *testing.T, config catalog.Config) *catalog.Catalog {
	t.Helper()
	config.Type = catalog.REST
	c, err := catalog.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func create(t *testing.T, c *catalog.Catalog, id catalog.Identifier) *table.Table {
	t.Helper()
	if err := c.EnsureNamespace(t.Context(), id.Namespace); err != nil {
		t.Fatal(err)
	}
	spec := iceberg.NewPartitionSpec(iceberg.PartitionField{
		SourceIDs: []int{2}, FieldID: 1000, Name: "at_day", Transform: iceberg.DayTransform{},
	})
	created, err := c.Create(t.Context(), id, catalog.CreateSpec{
		Schema: schema, Spec: &spec, Properties: map[string]string{"made": "by test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func load(t *testing.T, c *catalog.Catalog, id catalog.Identifier) *table.Table {
	t.Helper()
	loaded, err := c.Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// set is a commit that sets a property of a table whatever its state.
func set(t *table.Table, key, value string) table.TableCommit {
	return table.TableCommit{
		Identifier:   t.Identifier(),
		Requirements: []table.Requirement{table.AssertTableUUID(t.Metadata().TableUUID())},
		Updates:      []table.Update{table.NewSetPropertiesUpdate(iceberg.Properties{key: value})},
	}
}
