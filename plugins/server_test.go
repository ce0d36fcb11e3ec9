package plugins

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/calvelake/calve/catalog/principal"
	"github.com/calvelake/calve/lakehouse/storage"
)

// testTokens are those of the principals of the tests, each named as its role.
const testTokens = `{"principals": [
	{"name": "reader", "roles": ["reader"], "token_sha256": %q},
	{"name": "uploader", "roles": ["uploader", "reader"], "token_sha256": %q},
	{"name": "operator", "roles": ["operator"], "token_sha256": %q}]}`

func newTestServer(t *testing.T, store storage.Store) *httptest.Server {
	t.Helper()
	set, err := principal.Parse(fmt.Appendf(nil, testTokens, principal.Hash("t-reader"), principal.Hash("t-uploader"), principal.Hash("t-operator")))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(NewServer(newTest(store), set, slog.New(slog.DiscardHandler)))
	t.Cleanup(server.Close)
	return server
}

func client(t *testing.T, url, role string) *Client {
	t.Helper()
	c, err := NewClient(ClientConfig{URL: url, Token: "t-" + role, Verify: accept})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// send sends a request as a role, and returns the status and the body.
func send(t *testing.T, server *httptest.Server, role, method, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if role != "" {
		r.Header.Set("Authorization", "Bearer t-"+role)
	}
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestRolesDecideWhoMayDoWhat(t *testing.T) {
	store := storage.NewMemory("mem://warehouse")
	upload(t, newTest(store), "1.0.0", "module", "ada")
	promote(t, newTest(store), "1.0.0", "ada")
	server := newTestServer(t, store)
	for _, c := range []struct {
		method, path, body string
		allowed            []string
	}{
		{"GET", "/v1/plugins", "", []string{"reader", "uploader"}},
		{"GET", "/v1/plugins/orders", "", []string{"reader", "uploader"}},
		{"GET", "/v1/plugins/orders/versions/1.0.0", "", []string{"reader", "uploader"}},
		{"GET", "/v1/plugins/orders/versions/1.0.0/module", "", []string{"reader", "uploader"}},
		{"GET", "/v1/plugins/orders/channels/stable", "", []string{"reader", "uploader"}},
		{"GET", "/v1/audit", "", []string{"reader", "uploader"}},
		{"PUT", "/v1/plugins/orders/versions/2.0.0", "module two", []string{"uploader"}},
		{"POST", "/v1/plugins/orders/channels/stable", `{"version": "1.0.0"}`, []string{"operator"}},
		{"POST", "/v1/plugins/orders/versions/1.0.0/yank", `{"reason": "r"}`, []string{"operator"}},
	} {
		for _, role := range []string{"", "nobody", "reader", "uploader", "operator"} {
			want := http.StatusForbidden
			if role == "" || role == "nobody" {
				want = http.StatusUnauthorized
			}
			got, body := send(t, server, role, c.method, c.path, c.body)
			if slices.Contains(c.allowed, role) {
				if got >= 300 {
					t.Errorf("%s %s as %q: got %d %s", c.method, c.path, role, got, body)
				}
			} else if got != want || !strings.Contains(body, `"message"`) {
				t.Errorf("%s %s as %q: got %d %s, want %d", c.method, c.path, role, got, body, want)
			}
		}
	}
	entries, err := newTest(store).Audit(t.Context(), AuditQuery{})
	if err != nil {
		t.Fatal(err)
	}
	var by []string
	for _, e := range entries {
		by = append(by, string(e.Action)+" "+e.By)
	}
	slices.Sort(by)
	if want := []string{"promote ada", "upload ada", "upload uploader", "yank operator"}; !slices.Equal(by, want) {
		t.Errorf("the audit log has %v, want %v: who it was is told by the token", by, want)
	}
}

func TestWrongRequestsAreAnsweredWithWhatIsWrong(t *testing.T) {
	store := storage.NewMemory("mem://warehouse")
	upload(t, newTest(store), "1.0.0", "module", "ada")
	server := newTestServer(t, store)
	for _, c := range []struct {
		role, method, path, body string
		status                   int
		code                     string
	}{
		{"reader", "GET", "/v1/plugins/clicks", "", 404, "not_found"},
		{"reader", "GET", "/v1/plugins/Clicks", "", 400, "bad_request"},
		{"reader", "GET", "/v1/plugins/..%2f..%2fx", "", 400, "bad_request"},
		{"reader", "GET", "/v1/plugins/orders/versions/..%2f1/module", "", 400, "bad_request"},
		{"reader", "GET", "/v1/plugins/orders/channels/1.0.0", "", 400, "bad_request"},
		{"reader", "GET", "/v1/plugins/orders/channels/edge", "", 404, "not_found"},
		{"reader", "GET", "/v1/audit?limit=x", "", 400, "bad_request"},
		{"reader", "GET", "/v1/audit?since=today", "", 400, "bad_request"},
		{"uploader", "PUT", "/v1/plugins/orders/versions/v1", "module", 400, "bad_request"},
		{"uploader", "PUT", "/v1/plugins/orders/versions/1.0.0", "another", 409, "conflict"},
		{"uploader", "PUT", "/v1/plugins/orders/versions/2.0.0", "bad module", 422, "refused"},
		{"uploader", "PUT", "/v1/plugins/orders/versions/2.0.0", strings.Repeat("x", MaxModuleBytes+1), 413, "too_large"},
		{"operator", "POST", "/v1/plugins/orders/channels/stable", `{"version": "7"}`, 404, "not_found"},
		{"operator", "POST", "/v1/plugins/orders/channels/stable", `{"by": "someone else", "version": "1.0.0"}`, 400, "bad_request"},
		{"operator", "POST", "/v1/plugins/orders/channels/stable", `{"version": "` + strings.Repeat("1", maxRequestBytes) + `"}`, 413, "too_large"},
		{"operator", "POST", "/v1/plugins/orders/versions/1.0.0/yank", `{}`, 400, "bad_request"},
	} {
		status, body := send(t, server, c.role, c.method, c.path, c.body)
		var fault answerFault
		if err := json.Unmarshal([]byte(body), &fault); err != nil {
			t.Errorf("%s %s: got %d %q", c.method, c.path, status, body)
			continue
		}
		if status != c.status || fault.Error.Code != c.code || fault.Error.Message == "" || (fault.Error.Report != nil) != (c.code == "refused") {
			t.Errorf("%s %s: got %d %+v, want %d %s", c.method, c.path, status, fault.Error, c.status, c.code)
		}
	}
	if status, _ := send(t, server, "reader", "DELETE", "/v1/plugins/orders", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("delete: got %d", status)
	}
}

func TestModulesAreDownloaded(t *testing.T) {
	store := storage.NewMemory("mem://warehouse")
	upload(t, newTest(store), "1.0.0", "module", "ada")
	if _, err := newTest(store).Yank(t.Context(), YankRequest{Plugin: "orders", Version: "1.0.0", Reason: "r", By: "ada"}); err != nil {
		t.Fatal(err)
	}
	if status, body := send(t, newTestServer(t, store), "reader", "GET", "/v1/plugins/orders/versions/1.0.0/module", ""); status != 200 || body != "module" {
		t.Errorf("got %d %q", status, body)
	}
}

func TestWhatFailsInsideIsLoggedAndNotTold(t *testing.T) {
	store := storage.NewMemory("mem://warehouse")
	store.Inject(storage.Fault{Mode: storage.FaultBefore, Match: storage.On(storage.OpList, ""), Err: errors.New("secret of the store")})
	set, err := principal.Parse(fmt.Appendf(nil, testTokens, principal.Hash("t-reader"), principal.Hash("b"), principal.Hash("c")))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	server := httptest.NewServer(NewServer(newTest(store), set, slog.New(slog.NewTextHandler(&log, nil))))
	status, body := send(t, server, "reader", "GET", "/v1/plugins", "")
	server.Close()
	if status != 500 || strings.Contains(body, "secret") || !strings.Contains(log.String(), "secret of the store") {
		t.Errorf("got %d %s, log %s", status, body, log.String())
	}
}

// The client gives what the registry behind the server would.
func TestTheClientIsARegistry(t *testing.T) {
	store := storage.NewMemory("mem://warehouse")
	server := newTestServer(t, store)
	up, op := client(t, server.URL, "uploader"), client(t, server.URL+"/", "operator")
	u, err := up.Upload(t.Context(), Upload{Plugin: "orders", Module: []byte("module")})
	if err != nil || !u.Created || u.Version.Version != "9.9.9" || u.UploadedBy != "uploader" || !u.Report.OK() {
		t.Fatalf("got %+v, %v", u, err)
	}
	if u, err = up.Upload(t.Context(), Upload{Plugin: "orders", Version: "9.9.9", Module: []byte("module")}); err != nil || u.Created {
		t.Errorf("again: got %+v, %v", u, err)
	}
	if _, err = up.Upload(t.Context(), Upload{Plugin: "orders", Version: "9.9.9", Module: []byte("other")}); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "uploaded by uploader") {
		t.Errorf("another module: got %v", err)
	}
	var refusal *Refusal
	if _, err = up.Upload(t.Context(), Upload{Plugin: "orders", Version: "2", Module: []byte("bad")}); !errors.As(err, &refusal) {
		t.Errorf("refused here: got %v", err)
	}
	up.verify = func(ctx context.Context, m []byte, e Expect) (Verified, error) { return accept(ctx, nil, e) }
	if _, err = up.Upload(t.Context(), Upload{Plugin: "orders", Version: "2", Module: []byte("bad")}); !errors.As(err, &refusal) || len(refusal.Report.Checks) != 1 {
		t.Errorf("refused there: got %v", err)
	}
	if p, err := op.Promote(t.Context(), Promote{Plugin: "orders", Channel: "stable", Version: "9.9.9"}); err != nil || !p.Changed || p.By != "operator" {
		t.Errorf("promote: got %+v, %v", p, err)
	}
	if _, err := up.Promote(t.Context(), Promote{Plugin: "orders", Channel: "stable", Version: "9.9.9"}); !errors.Is(err, ErrForbidden) {
		t.Errorf("promote as uploader: got %v", err)
	}
	if y, err := op.Yank(t.Context(), YankRequest{Plugin: "orders", Version: "9.9.9", Reason: "r"}); err != nil || !slices.Equal(y.Channels, []string{"stable"}) {
		t.Errorf("yank: got %+v, %v", y, err)
	}
	if _, err := op.Promote(t.Context(), Promote{Plugin: "orders", Channel: "edge", Version: "9.9.9"}); !errors.Is(err, ErrYanked) {
		t.Errorf("promote what is yanked: got %v", err)
	}
	if all, err := up.List(t.Context()); err != nil || len(all) != 1 || all[0].Versions[0].Yanked == nil {
		t.Errorf("list: got %+v, %v", all, err)
	}
	if p, err := up.Show(t.Context(), "orders"); err != nil || len(p.Channels) != 1 || p.Versions[0].Describe.Name != "orders" {
		t.Errorf("show: got %+v, %v", p, err)
	}
	if entries, err := up.Audit(t.Context(), AuditQuery{Plugin: "orders", Limit: 2}); err != nil || len(entries) != 2 || !entries[0].Done {
		t.Errorf("audit: got %+v, %v", entries, err)
	}
	if _, err := client(t, server.URL, "nobody").List(t.Context()); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("unknown token: got %v", err)
	}
}

func TestAChangeWithoutAnAnswerIsUnknown(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer server.Close()
	c := client(t, server.URL, "operator")
	if _, err := c.Promote(t.Context(), Promote{Plugin: "orders", Channel: "stable", Version: "1"}); !errors.Is(err, ErrUnknown) {
		t.Errorf("a change: got %v", err)
	}
	if _, err := c.List(t.Context()); err == nil || errors.Is(err, ErrUnknown) {
		t.Errorf("a look: got %v", err)
	}
}

func TestWhatIsNoRegistryIsSaidToBeNone(t *testing.T) {
	for _, url := range []string{"", "plugins.example.com", "ftp://x", "http://user:secret@x"} {
		if _, err := NewClient(ClientConfig{URL: url}); !errors.Is(err, ErrName) {
			t.Errorf("%q: got %v", url, err)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/orders") {
			http.Redirect(w, r, "http://elsewhere.example.com/", http.StatusFound)
			return
		}
		fmt.Fprint(w, "<html>")
	}))
	defer server.Close()
	c := client(t, server.URL, "reader")
	if _, err := c.List(t.Context()); err == nil || !strings.Contains(err.Error(), "is it a plugin registry?") {
		t.Errorf("got %v", err)
	}
	if _, err := c.Show(t.Context(), "orders"); err == nil || !strings.Contains(err.Error(), "302") {
		t.Errorf("a redirect: got %v, want the token not to follow it", err)
	}
}
