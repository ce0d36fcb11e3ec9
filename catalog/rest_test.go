package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse/storage"
)

func TestBearerTokenIsNeeded(t *testing.T) {
	store := storage.NewMemory("mem://lake")
	behind, err := catalog.Open(t.Context(), catalog.Config{
		Type: catalog.Embedded, Path: filepath.Join(t.TempDir(), "c.db"), Store: store, Token: "right",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer behind.Close()
	create(t, behind, ids)
	server := httptest.NewServer(behind.Handler())
	defer server.Close()
	load(t, openREST(t, catalog.Config{URI: server.URL, Store: store, Token: "right"}), ids)
	for _, token := range []string{"", "wrong"} {
		_, err := catalog.Open(t.Context(), catalog.Config{Type: catalog.REST, URI: server.URL, Store: store, Token: token})
		if !errors.Is(err, catalog.ErrUnauthorized) {
			t.Errorf("Open with token %q = %v, want ErrUnauthorized", token, err)
		}
	}
}

func TestOAuth2ClientCredentials(t *testing.T) {
	store := storage.NewMemory("mem://lake")
	behind, err := catalog.Open(t.Context(), catalog.Config{
		Type: catalog.Embedded, Path: filepath.Join(t.TempDir(), "c.db"), Store: store, Token: "issued",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer behind.Close()
	create(t, behind, ids)
	server := httptest.NewServer(behind.Handler())
	defer server.Close()
	var scope atomic.Value
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scope.Store(r.FormValue("scope"))
		w.Header().Set("Content-Type", "application/json")
		if r.FormValue("client_id") != "me" || r.FormValue("client_secret") != "s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client","error_description":"who are you"}`)
			return
		}
		fmt.Fprint(w, `{"access_token":"issued","token_type":"bearer","expires_in":3600}`)
	}))
	defer tokens.Close()
	config := catalog.Config{
		Type: catalog.REST, URI: server.URL, Store: store,
		Credential: "me:s3cret", OAuth2ServerURI: tokens.URL + "/tokens", Scope: "PRINCIPAL_ROLE:ALL",
	}
	load(t, openREST(t, config), ids)
	if got := scope.Load(); got != "PRINCIPAL_ROLE:ALL" {
		t.Errorf("scope = %v, want that of the configuration", got)
	}
	config.Credential = "me:hush"
	_, err = catalog.Open(t.Context(), config)
	if !errors.Is(err, catalog.ErrUnauthorized) || strings.Contains(err.Error(), "hush") {
		t.Errorf("Open with a wrong secret = %v, want ErrUnauthorized without the secret", err)
	}
}

func TestUnreachableCatalogs(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	silent := listener.Addr().String() // takes connections and never answers
	defer listener.Close()
	conn, err := net.Dial("tcp", silent)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	refused := conn.LocalAddr().String() // nobody listens there, and nobody else can
	for name, address := range map[string]string{"refuses": refused, "silent": silent} {
		_, err := catalog.Open(t.Context(), catalog.Config{
			Type: catalog.REST, URI: "http://user:hush@" + address + "/api?key=hush", Timeout: 50 * time.Millisecond,
			Store: storage.NewMemory("mem://lake"),
		})
		if !errors.Is(err, catalog.ErrUnreachable) || !strings.Contains(err.Error(), address+"/api") ||
			strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: Open = %v, want ErrUnreachable naming %s and no secret", name, err, address)
		}
	}
}

func TestCatalogThatStopsAnsweringIsUnreachable(t *testing.T) {
	store := storage.NewMemory("mem://lake")
	behind := kinds["embedded"](t, store)
	created := create(t, behind, ids)
	server := httptest.NewServer(behind.Handler())
	c := openREST(t, catalog.Config{URI: server.URL, Store: store})
	server.Close()
	if _, err := c.Load(t.Context(), ids); !errors.Is(err, catalog.ErrUnreachable) {
		t.Errorf("Load = %v, want ErrUnreachable", err)
	}
	if err := c.Commit(t.Context(), []table.TableCommit{set(created, "k", "v")}); !errors.Is(err, catalog.ErrUnreachable) {
		t.Errorf("Commit = %v, want ErrUnreachable", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := behind.Load(ctx, ids); !errors.Is(err, context.Canceled) || errors.Is(err, catalog.ErrUnreachable) {
		t.Errorf("Load by a caller who gave up = %v, want context.Canceled alone", err)
	}
}

func TestCatalogWithoutTransactionsCommitsOneTableACall(t *testing.T) {
	store := storage.NewMemory("mem://lake")
	behind := kinds["embedded"](t, store)
	a := create(t, behind, catalog.Identifier{Namespace: "n", Name: "a"})
	b := create(t, behind, catalog.Identifier{Namespace: "n", Name: "b"})
	for name, config := range map[string]string{
		"lists endpoints without it": `{"defaults":{},"overrides":{},"endpoints":["GET /v1/{prefix}/namespaces/{namespace}/tables/{table}","POST /v1/{prefix}/namespaces/{namespace}/tables/{table}"]}`,
		"lists no endpoints":         `{"defaults":{},"overrides":{}}`,
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/config" {
					w.Header().Set("Content-Type", "application/json")
					fmt.Fprint(w, config)
					return
				}
				behind.Handler().ServeHTTP(w, r)
			}))
			defer server.Close()
			c := openREST(t, catalog.Config{URI: server.URL, Store: store})
			if c.Atomic() {
				t.Error("Atomic = true, want false")
			}
			if err := c.Commit(t.Context(), []table.TableCommit{set(a, "k", name)}); err != nil {
				t.Fatal(err)
			}
			if got := load(t, c, catalog.Identifier{Namespace: "n", Name: "a"}).Properties()["k"]; got != name {
				t.Errorf("k = %q, want %q", got, name)
			}
			if err := c.Commit(t.Context(), []table.TableCommit{set(a, "k", "no"), set(b, "k", "no")}); err == nil {
				t.Error("Commit of two tables = nil, want it refused")
			}
			stale := set(a, "k", "no")
			stale.Requirements = append(stale.Requirements, table.AssertTableUUID(uuid.New()))
			if err := c.Commit(t.Context(), []table.TableCommit{stale}); !errors.Is(err, catalog.ErrConflict) {
				t.Errorf("stale Commit = %v, want ErrConflict", err)
			}
		})
	}
}
