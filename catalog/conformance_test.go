package catalog_test

import (
	"net/http/httptest"
	"path/filepath"
	"testing"

	icebergcatalog "github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/catalogtest"
	"github.com/apache/iceberg-go/catalog/rest"

	"github.com/calvelake/calve/lakehouse/storage"
)

// The suite that iceberg-go runs on all its catalogs, by its own REST client.
func TestEmbeddedCatalogConformsToIcebergGo(t *testing.T) {
	catalogtest.RunCatalogTests(t, catalogtest.Config{
		SupportsNamespaceProperties: true,
		NewCatalog: func(t *testing.T) icebergcatalog.Catalog {
			behind := openEmbedded(t, filepath.Join(t.TempDir(), "catalog.db"), storage.NewMemory("mem://lake"))
			server := httptest.NewServer(behind.Handler())
			t.Cleanup(server.Close)
			client, err := rest.NewCatalog(t.Context(), "test", server.URL)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = client.Close() })
			return client
		},
	})
}
