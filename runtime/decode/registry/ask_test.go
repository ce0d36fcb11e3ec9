package registry_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/decode/registry/registrytest"
)

func TestFaultsThatPassAreTriedAgain(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func(*registrytest.Server)
	}{
		{"overloaded", func(s *registrytest.Server) { s.Fail(3, http.StatusTooManyRequests) }},
		{"broken", func(s *registrytest.Server) { s.Fail(3, http.StatusInternalServerError) }},
		{"starting", func(s *registrytest.Server) { s.Fail(3, http.StatusServiceUnavailable) }},
		{"gone", func(s *registrytest.Server) { s.HangUp(3) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := registrytest.New(t, registrytest.Options{})
			client, clock := open(t, at(server))
			id := server.Add(t, "orders-value", registry.Schema{Text: order})
			c.fault(server)
			wantSchema(t, client, id)
			waits := clock.waited()
			if len(waits) == 0 || len(waits) > 3 {
				t.Fatalf("got pauses %v, want one for each round of faults", waits)
			}
			for i, w := range waits {
				if whole := 100 * time.Millisecond << i; w < whole/2 || w > whole {
					t.Errorf("pause %d: got %v, want %v to %v", i+1, w, whole/2, whole)
				}
			}
		})
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	client, clock := open(t, at(server))
	server.Fail(1000, http.StatusServiceUnavailable)
	wantError(t, client, 7, server.URL(), "schema id 7", "503 Service Unavailable: as ordered", "gave up after 10 attempts", "look at its log")
	if requests, waits := len(server.Requests()), len(clock.waited()); requests != 10 || waits != 9 {
		t.Errorf("got %d requests and %d pauses, want 10 and 9", requests, waits)
	}
	wantError(t, client, 7)
	if got := len(server.Requests()); got != 20 {
		t.Errorf("the failure was kept: got %d requests, want 20", got)
	}
}

func TestFaultsThatStayAreNotTriedAgain(t *testing.T) {
	const login = "<html>please log in</html>"
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   []string
	}{
		{"may not", http.StatusForbidden, `{"error_code": 40301, "message": "no"}`, []string{"403 Forbidden: no", "give it the right to read"}},
		{"redirect", http.StatusFound, "", []string{"302 Found", "it is a redirect"}},
		{"wrong path", http.StatusNotFound, `{"error_code": 404, "message": "HTTP 404 Not Found"}`, []string{"404 Not Found", "check the path", "/apis/ccompat/v7"}},
		{"another server", http.StatusNotFound, "<h1>not found</h1>", []string{"404 Not Found", "check the path"}},
		{"a page", http.StatusOK, login, []string{"not that of a schema registry", "check the path"}},
		{"no schema", http.StatusOK, `{}`, []string{"no schema in it"}},
		{"bad request", http.StatusUnprocessableEntity, "a\n\tb" + strings.Repeat("x", 1000), []string{"422 Unprocessable Entity: a bxxx", "…", "registry's log"}},
		{"too large", http.StatusOK, `{"schema": "` + strings.Repeat("x", 17<<20) + `"}`, []string{"larger than 16 MiB"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := registrytest.New(t, registrytest.Options{})
			client, _ := open(t, at(server))
			server.Answer("/schemas/ids/7", c.status, c.body)
			_, err := client.Schema(t.Context(), 7)
			wantParts(t, err, append(c.want, "schema id 7")...)
			if errors.Is(err, registry.ErrUnknown) || len(err.Error()) > 600 {
				t.Errorf("got %v, want the registry's fault in a line or two", err)
			}
			if got := server.Requests(); len(got) != 1 {
				t.Errorf("got requests %v, want one", got)
			}
		})
	}
}

func TestTheTimeoutBoundsAllAttempts(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	config := at(server)
	config.Timeout = 100 * time.Millisecond
	client, _ := open(t, config)
	arrived, release := server.Hold()
	defer release()
	go func() {
		for {
			select {
			case <-arrived:
			case <-t.Context().Done():
				return
			}
		}
	}()
	_, err := client.Schema(t.Context(), 7)
	wantParts(t, err, server.URL(), "schema id 7", "no answer in time", "gave up")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
}

func TestTheNextURLIsAskedWhereOneDoesNotAnswer(t *testing.T) {
	first, second := registrytest.New(t, registrytest.Options{}), registrytest.New(t, registrytest.Options{})
	client, clock := open(t, at(first, second))
	a := second.Add(t, "a-value", registry.Schema{Text: order})
	b := second.Add(t, "b-value", registry.Schema{Text: `"long"`})
	first.Fail(1000, http.StatusServiceUnavailable)
	wantSchema(t, client, a)
	wantSchema(t, client, b)
	if got := len(clock.waited()); got != 0 {
		t.Errorf("waited %d times though a server answered", got)
	}
	if got := first.Requests(); len(got) != 1 {
		t.Errorf("the one that failed was asked first again: %v", got)
	}
}

func TestAnAddressWhereNothingListensIsPassedOver(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() // until then nobody can listen where it begins
	config := at(server)
	config.URLs = append([]string{"http://" + conn.LocalAddr().String()}, config.URLs...)
	client, _ := open(t, config)
	wantSchema(t, client, server.Add(t, "orders-value", registry.Schema{Text: order}))

	config.URLs = config.URLs[:1]
	alone, _ := open(t, config)
	wantError(t, alone, 7, config.URLs[0], "schema id 7", "connection refused", "check that the registry runs")
}

func TestAnIDIsUnknownOnlyIfNoServerHasIt(t *testing.T) {
	behind, ahead := registrytest.New(t, registrytest.Options{}), registrytest.New(t, registrytest.Options{})
	client, _ := open(t, at(behind, ahead))
	id := ahead.Add(t, "orders-value", registry.Schema{Text: order})
	wantSchema(t, client, id)
	wantUnknown(t, client, id+1)
	behind.Fail(1000, http.StatusServiceUnavailable)
	wantUnknown(t, client, id+2)
}

func TestLogIns(t *testing.T) {
	user := registry.Auth{Username: "calve", Password: "hunter2"}
	bearer := registry.Auth{Token: "hunter2.token"}
	for _, c := range []struct {
		name          string
		wanted, given registry.Auth
		ok            bool
	}{
		{"nobody", registry.Auth{}, registry.Auth{}, true},
		{"a user", user, user, true},
		{"a token", bearer, bearer, true},
		{"none where a user is wanted", user, registry.Auth{}, false},
		{"a wrong password", user, registry.Auth{Username: "calve", Password: "hunter2x"}, false},
		{"a wrong token", bearer, registry.Auth{Token: "hunter2x"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := registrytest.New(t, registrytest.Options{Auth: c.wanted})
			config := at(server)
			config.Auth = c.given
			client, _ := open(t, config)
			id := server.Add(t, "orders-value", registry.Schema{Text: order})
			if c.ok {
				wantSchema(t, client, id)
				return
			}
			wantError(t, client, id, server.URL(), "401 Unauthorized", "check username and password, or token")
			if got := server.Requests(); len(got) != 1 {
				t.Errorf("got requests %v, want one: many lock an account", got)
			}
		})
	}
}

func TestNoSecretIsPrinted(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	for _, auth := range []registry.Auth{{Username: "calve", Password: "hunter2"}, {Token: "hunter2"}} {
		config := at(server)
		config.Auth = auth
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		config.Wait = (&clock{}).Wait
		client, err := registry.Open(config, logger)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		logger.Info("opened", "config", config, "auth", config.Auth)
		server.Answer("/schemas/ids/7", http.StatusServiceUnavailable, "your password hunter2 is fine")
		_, err = client.Schema(t.Context(), 7)
		wantParts(t, err, "[redacted]")
		for _, printed := range []string{err.Error(), log.String()} {
			if strings.Contains(printed, "hunter2") {
				t.Errorf("a secret is shown: %s", printed)
			}
		}
	}
}
