package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/calvelake/calve/catalog/server"
	"github.com/calvelake/calve/lakehouse/storage"
)

const (
	schemaJSON = `{"type":"struct","schema-id":0,"fields":[{"id":1,"name":"id","required":true,"type":"long"},{"id":2,"name":"day","required":false,"type":"date"}]}`
	createJSON = `{"name":"a","schema":` + schemaJSON + `,"partition-spec":{"spec-id":0,"fields":[{"source-id":2,"field-id":1000,"name":"day","transform":"identity"}]},"properties":{"p":"1"}}`
)

// site is a server under test, with what lies behind it.
type site struct {
	t       *testing.T
	handler http.Handler
	storage *faultyStorage
	store   *storage.Memory
}

// faultyStorage is a Memory whose swaps can fail.
type faultyStorage struct {
	*server.Memory
	before func()                // runs before a swap
	after  func(err error) error // replaces a swap's outcome
}

func (f *faultyStorage) Swap(ctx context.Context, changes []server.Change) error {
	if f.before != nil {
		f.before()
	}
	err := f.Memory.Swap(ctx, changes)
	if f.after != nil {
		return f.after(err)
	}
	return err
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, storage: &faultyStorage{Memory: server.NewMemory()}, store: storage.NewMemory("s3://lake/w")}
	handler, err := server.New(server.Config{
		Storage: s.storage, Store: s.store, TableConfig: map[string]string{"s3.endpoint": "http://store"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.handler = handler
	s.ask("POST", "/v1/namespaces", `{"namespace":["n"]}`).want(200)
	return s
}

// answer is a response with its body decoded.
type answer struct {
	t      *testing.T
	what   string
	status int
	header http.Header
	body   map[string]any
}

func (s *site) ask(method, path, body string, headers ...string) *answer {
	s.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	a := &answer{t: s.t, what: method + " " + path, status: w.Code, header: w.Header()}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &a.body); err != nil {
			s.t.Fatalf("%s answered %q: %v", a.what, w.Body, err)
		}
	}
	return a
}

func (a *answer) want(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s = %d %v, want %d", a.what, a.status, a.body, status)
	}
	return a
}

// wantError checks the specification's error model.
func (a *answer) wantError(status int, kind string) {
	a.t.Helper()
	body, _ := a.body["error"].(map[string]any)
	if a.status != status || body["type"] != kind || body["code"] != float64(status) || body["message"] == "" {
		a.t.Errorf("%s = %d %v, want %d %s", a.what, a.status, a.body, status, kind)
	}
}

func (a *answer) text(keys ...string) string {
	a.t.Helper()
	var at any = a.body
	for _, key := range keys {
		at = at.(map[string]any)[key]
	}
	return fmt.Sprint(at)
}

func (s *site) create(name string) *answer {
	s.t.Helper()
	return s.ask("POST", "/v1/namespaces/n/tables", strings.Replace(createJSON, `"a"`, `"`+name+`"`, 1)).want(200)
}

func (s *site) files() []string {
	s.t.Helper()
	var found []string
	for object, err := range s.store.List(s.t.Context(), s.store.Root()) {
		if err != nil {
			s.t.Fatal(err)
		}
		found = append(found, object.Location)
	}
	return found
}

const setQ = `{"requirements":[],"updates":[{"action":"set-properties","updates":{"q":"2"}}]}`

func TestConfigListsWhatIsServed(t *testing.T) {
	s := newSite(t)
	s.create("a")
	endpoints, _ := s.ask("GET", "/v1/config?warehouse=any", "").want(200).body["endpoints"].([]any)
	if len(endpoints) < 16 || !slices.Contains(endpoints, any("POST /v1/{prefix}/transactions/commit")) {
		t.Fatalf("endpoints = %v, want all of them", endpoints)
	}
	for _, endpoint := range endpoints {
		method, path, _ := strings.Cut(endpoint.(string), " ")
		path = strings.NewReplacer("/{prefix}", "", "{namespace}", "n", "{table}", "missing").Replace(path)
		if got := s.ask(method, path, `{}`); got.status == http.StatusNotImplemented ||
			strings.Contains(fmt.Sprint(got.body), "is not served") {
			t.Errorf("%s is listed and answers %d %v", endpoint, got.status, got.body)
		}
	}
	s.ask("GET", "/v1/namespaces/n/views/v", "").wantError(404, "NotFoundException")
	s.ask("POST", "/v1/namespaces/n/views", "{}").wantError(501, "UnsupportedOperationException")
}

func TestErrorsFollowTheModel(t *testing.T) {
	s := newSite(t)
	s.create("a")
	transaction := func(change string) string { return `{"table-changes":[` + change + `]}` }
	for _, test := range []struct {
		method, path, body string
		status             int
		kind               string
	}{
		{"GET", "/v1/namespaces/x", "", 404, "NoSuchNamespaceException"},
		{"GET", "/v1/namespaces/x/tables", "", 404, "NoSuchNamespaceException"},
		{"POST", "/v1/namespaces", `{"namespace":["n"]}`, 409, "AlreadyExistsException"},
		{"POST", "/v1/namespaces", `{"namespace":[]}`, 400, "BadRequestException"},
		{"POST", "/v1/namespaces", `{"namespace":[".."]}`, 400, "BadRequestException"},
		{"POST", "/v1/namespaces", `{`, 400, "BadRequestException"},
		{"POST", "/v1/namespaces", `{"namespace":["x","y"]}`, 404, "NoSuchNamespaceException"},
		{"DELETE", "/v1/namespaces/n", "", 409, "NamespaceNotEmptyException"},
		{"POST", "/v1/namespaces/n/properties", `{"removals":["k"],"updates":{"k":"v"}}`, 422, "UnprocessableEntityException"},
		{"GET", "/v1/namespaces/n/tables/x", "", 404, "NoSuchTableException"},
		{"GET", "/v1/namespaces/x/tables/x", "", 404, "NoSuchTableException"},
		{"DELETE", "/v1/namespaces/n/tables/x", "", 404, "NoSuchTableException"},
		{"POST", "/v1/namespaces/n/tables", createJSON, 409, "AlreadyExistsException"},
		{"POST", "/v1/namespaces/x/tables", createJSON, 404, "NoSuchNamespaceException"},
		{"POST", "/v1/namespaces/n/tables", `{"name":"b"}`, 400, "BadRequestException"},
		{"POST", "/v1/namespaces/n/tables", strings.Replace(createJSON, `"a"`, `"b/c"`, 1), 400, "BadRequestException"},
		{"POST", "/v1/namespaces/n/tables", strings.Replace(createJSON, `"name":"a"`, `"name":"b","location":"s3://other/b"`, 1), 400, "BadRequestException"},
		{"POST", "/v1/namespaces/n/tables", strings.Replace(createJSON, `"name":"a"`, `"name":"b","location":"s3://lake/w"`, 1), 400, "BadRequestException"},
		{"POST", "/v1/namespaces/n/tables/x", setQ, 404, "NoSuchTableException"},
		{"POST", "/v1/namespaces/n/tables/a", `{"requirements":[{"type":"assert-moon"}],"updates":[]}`, 400, "BadRequestException"},
		{"POST", "/v1/namespaces/n/tables/a", `{"requirements":[],"updates":[{"action":"fly"}]}`, 400, "BadRequestException"},
		{"POST", "/v1/namespaces/n/tables/a", `{"requirements":[],"updates":[{"action":"set-current-schema","schema-id":7}]}`, 400, "BadRequestException"},
		{"POST", "/v1/namespaces/n/tables/a", `{"requirements":[],"updates":[{"action":"set-location","location":"s3://other/a"}]}`, 400, "BadRequestException"},
		{"POST", "/v1/namespaces/n/tables/a", `{"requirements":[],"updates":[{"action":"assign-uuid","uuid":"00000000-0000-4000-8000-000000000001"}]}`, 400, "BadRequestException"},
		{"POST", "/v1/namespaces/n/tables/a", `{"requirements":[{"type":"assert-create"}],"updates":[]}`, 409, "CommitFailedException"},
		{"POST", "/v1/namespaces/n/tables/a", `{"requirements":[{"type":"assert-current-schema-id","current-schema-id":3}],"updates":[]}`, 409, "CommitFailedException"},
		{"POST", "/v1/transactions/commit", `{"table-changes":[]}`, 400, "BadRequestException"},
		{"POST", "/v1/transactions/commit", transaction(setQ), 400, "BadRequestException"},
		{"POST", "/v1/transactions/commit", transaction(strings.Replace(setQ, "{", `{"identifier":{"namespace":["n"],"name":"x"},`, 1)), 404, "NoSuchTableException"},
		{"POST", "/v1/tables/rename", `{"source":{"namespace":["n"],"name":"x"},"destination":{"namespace":["n"],"name":"y"}}`, 404, "NoSuchTableException"},
		{"POST", "/v1/namespaces/n/register", `{"name":"b","metadata-location":"s3://lake/w/none.json"}`, 400, "BadRequestException"},
		{"POST", "/v1/namespaces/n/register", `{"name":"b","metadata-location":"s3://other/m.json"}`, 400, "BadRequestException"},
		{"GET", "/v1/namespaces?pageToken=!", "", 400, "BadRequestException"},
		{"GET", "/v1/namespaces?pageToken=&pageSize=0", "", 400, "BadRequestException"},
	} {
		s.ask(test.method, test.path, test.body).wantError(test.status, test.kind)
	}
	same := strings.Replace(setQ, "{", `{"identifier":{"namespace":["n"],"name":"a"},`, 1)
	s.ask("POST", "/v1/transactions/commit", transaction(same+","+same)).wantError(400, "BadRequestException")
	s.ask("HEAD", "/v1/namespaces/n", "").want(204)
	s.ask("HEAD", "/v1/namespaces/x", "").want(404)
	s.ask("HEAD", "/v1/namespaces/n/tables/a", "").want(204)
	s.ask("HEAD", "/v1/namespaces/n/tables/x", "").want(404)
	s.ask("POST", "/v1/namespaces/n/tables/a/metrics", `{"report-type":"scan-report"}`).want(204)
}

func TestTableOverHTTP(t *testing.T) {
	s := newSite(t)
	made := s.create("a")
	location, first := made.text("metadata", "location"), made.text("metadata-location")
	if !strings.HasPrefix(location, "s3://lake/w/n/a-") || !strings.HasPrefix(first, location+"/metadata/00000-") ||
		!strings.HasSuffix(first, ".metadata.json") {
		t.Errorf("location = %s, metadata at %s, want them below the warehouse by the documented names", location, first)
	}
	if got := made.text("config", "s3.endpoint"); got != "http://store" {
		t.Errorf("config s3.endpoint = %q, want that of the server", got)
	}
	committed := s.ask("POST", "/v1/namespaces/n/tables/a", setQ).want(200)
	if at := committed.text("metadata-location"); !strings.HasPrefix(at, location+"/metadata/00001-") {
		t.Errorf("metadata after a commit at %s, want version 1", at)
	}
	loaded := s.ask("GET", "/v1/namespaces/n/tables/a", "").want(200)
	if loaded.text("metadata", "properties", "q") != "2" || loaded.text("metadata", "properties", "p") != "1" {
		t.Errorf("properties = %s, want p and q", loaded.text("metadata", "properties"))
	}
	log, _ := loaded.body["metadata"].(map[string]any)["metadata-log"].([]any)
	if len(log) != 1 || log[0].(map[string]any)["metadata-file"] != first {
		t.Errorf("metadata log = %v, want the first file", log)
	}
	s.ask("DELETE", "/v1/namespaces/n/tables/a?purgeRequested=true", "").want(204)
	if got := s.files(); len(got) != 2 {
		t.Errorf("files after the drop = %q, want both metadata files: a purge is not done", got)
	}
	if again := s.create("a"); again.text("metadata", "location") == location {
		t.Errorf("a table made again lies at %s like its predecessor", location)
	}
}

func TestLoadIsConditional(t *testing.T) {
	s := newSite(t)
	s.create("a")
	tag := s.ask("GET", "/v1/namespaces/n/tables/a", "").want(200).header.Get("ETag")
	unchanged := s.ask("GET", "/v1/namespaces/n/tables/a", "", "If-None-Match", tag).want(304)
	if unchanged.body != nil {
		t.Errorf("304 has the body %v", unchanged.body)
	}
	s.ask("POST", "/v1/namespaces/n/tables/a", setQ).want(200)
	s.ask("GET", "/v1/namespaces/n/tables/a", "", "If-None-Match", tag).want(200)
}

func TestRenameAndRegister(t *testing.T) {
	s := newSite(t)
	at := s.create("a").text("metadata-location")
	s.ask("POST", "/v1/tables/rename", `{"source":{"namespace":["n"],"name":"a"},"destination":{"namespace":["n"],"name":"b"}}`).want(204)
	s.ask("GET", "/v1/namespaces/n/tables/a", "").wantError(404, "NoSuchTableException")
	if got := s.ask("GET", "/v1/namespaces/n/tables/b", "").want(200).text("metadata-location"); got != at {
		t.Errorf("b is at %s, want %s", got, at)
	}
	s.create("a")
	s.ask("POST", "/v1/tables/rename", `{"source":{"namespace":["n"],"name":"a"},"destination":{"namespace":["n"],"name":"b"}}`).
		wantError(409, "AlreadyExistsException")
	s.ask("POST", "/v1/tables/rename", `{"source":{"namespace":["n"],"name":"a"},"destination":{"namespace":["x"],"name":"b"}}`).
		wantError(404, "NoSuchNamespaceException")
	s.ask("DELETE", "/v1/namespaces/n/tables/b", "").want(204)
	register := fmt.Sprintf(`{"name":"c","metadata-location":%q}`, strings.Replace(at, "s3:", "s3a:", 1))
	if got := s.ask("POST", "/v1/namespaces/n/register", register).want(200).text("metadata-location"); got != at {
		t.Errorf("registered at %s, want %s", got, at)
	}
	s.ask("POST", "/v1/namespaces/n/register", register).wantError(409, "AlreadyExistsException")
	s.ask("POST", "/v1/namespaces/n/tables/c", setQ).want(200)
	s.ask("POST", "/v1/namespaces/n/register", strings.Replace(register, "{", `{"overwrite":true,`, 1)).want(200)
	if got := s.ask("GET", "/v1/namespaces/n/tables/c", "").text("metadata-location"); got != at {
		t.Errorf("c is at %s after it was registered over, want %s", got, at)
	}
}

func TestListingsHavePagesForClientsThatKnowThem(t *testing.T) {
	s := newSite(t)
	var names []string
	for i := range 5 {
		name := fmt.Sprintf("t%d", i)
		names = append(names, name)
		s.create(name)
		s.ask("POST", "/v1/namespaces", `{"namespace":["n","`+name+`"]}`).want(200)
	}
	all := s.ask("GET", "/v1/namespaces/n/tables?pageSize=2", "").want(200)
	if got := tableNames(all); !slices.Equal(got, names) || all.body["next-page-token"] != nil {
		t.Errorf("without a token: %q, next %v, want all at once", got, all.body["next-page-token"])
	}
	var tables, namespaces []string
	for token := ""; ; {
		page := s.ask("GET", "/v1/namespaces/n/tables?pageSize=2&pageToken="+token, "").want(200)
		tables = append(tables, tableNames(page)...)
		if page.body["next-page-token"] == nil {
			break
		}
		token = page.text("next-page-token")
	}
	for token := ""; ; {
		page := s.ask("GET", "/v1/namespaces?parent=n&pageSize=2&pageToken="+token, "").want(200)
		for _, n := range page.body["namespaces"].([]any) {
			namespaces = append(namespaces, n.([]any)[1].(string))
		}
		if page.body["next-page-token"] == nil {
			break
		}
		token = page.text("next-page-token")
	}
	if !slices.Equal(tables, names) || !slices.Equal(namespaces, names) {
		t.Errorf("by pages: tables %q, namespaces %q, want %q", tables, namespaces, names)
	}
}

func tableNames(a *answer) []string {
	var names []string
	for _, id := range a.body["identifiers"].([]any) {
		names = append(names, id.(map[string]any)["name"].(string))
	}
	return names
}

func TestNestedNamespacesInPaths(t *testing.T) {
	s := newSite(t)
	s.ask("POST", "/v1/namespaces", `{"namespace":["n","ü x"],"properties":{"k":"v"}}`).want(200)
	if got := s.ask("GET", "/v1/namespaces/n%1F%C3%BC%20x", "").want(200).text("properties", "k"); got != "v" {
		t.Errorf("k = %q, want v", got)
	}
	made := s.ask("POST", "/v1/namespaces/n%1F%C3%BC%20x/tables", createJSON).want(200)
	if got := made.text("metadata", "location"); !strings.HasPrefix(got, "s3://lake/w/n/__x/a-") {
		t.Errorf("location = %s, want it without characters that paths may not hold", got)
	}
}

func TestNamespaceLocationIsThatOfItsTables(t *testing.T) {
	s := newSite(t)
	for location, want := range map[string]string{"s3a://lake/w/mine/": "s3://lake/w/mine/a-", "s3://other/x": "s3://lake/w/m/a-"} {
		s.ask("POST", "/v1/namespaces", `{"namespace":["m"],"properties":{"location":"`+location+`"}}`).want(200)
		if got := s.ask("POST", "/v1/namespaces/m/tables", createJSON).want(200).text("metadata", "location"); !strings.HasPrefix(got, want) {
			t.Errorf("with %s: location = %s, want %s…", location, got, want)
		}
		s.ask("DELETE", "/v1/namespaces/m/tables/a", "").want(204)
		s.ask("DELETE", "/v1/namespaces/m", "").want(204)
	}
}

func TestTokenIsDemandedOfAll(t *testing.T) {
	store := storage.NewMemory("s3://lake")
	handler, err := server.New(server.Config{Storage: server.NewMemory(), Store: store, Token: "right"})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, handler: handler}
	for _, header := range []string{"", "Bearer", "Bearer wrong", "Basic right", "right"} {
		s.ask("GET", "/v1/config", "", "Authorization", header).wantError(401, "NotAuthorizedException")
	}
	s.ask("GET", "/v1/config", "", "Authorization", "bearer right").want(200)
}

func TestLongRequestsAreRefused(t *testing.T) {
	s := newSite(t)
	r := httptest.NewRequest("POST", "/v1/namespaces", io.MultiReader(
		strings.NewReader(`{"namespace":["`), io.LimitReader(repeat('x'), 65<<20)))
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest {
		t.Errorf("a request of 65 MiB = %d, want 400", w.Code)
	}
}

type repeat byte

func (b repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}
