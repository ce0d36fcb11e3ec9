package registry_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/decode/registry/registrytest"
)

const order = `{"type":"record","name":"Order","fields":[{"name":"id","type":"long"}]}`

// clock is time that passes when the client waits, and when the test says so.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	waits []time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Wait(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.waits = append(c.waits, d)
	return ctx.Err()
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *clock) waited() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.waits)
}

// open opens a client whose time is the clock's.
func open(t *testing.T, config registry.Config) (*registry.Client, *clock) {
	t.Helper()
	c := &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	config.Now, config.Wait = c.Now, c.Wait
	client, err := registry.Open(config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client, c
}

func at(servers ...*registrytest.Server) registry.Config {
	var c registry.Config
	for _, s := range servers {
		c.URLs = append(c.URLs, s.URL())
	}
	return c
}

// wantSchema asks for a schema that is there.
func wantSchema(t *testing.T, client *registry.Client, id int) registry.Schema {
	t.Helper()
	schema, err := client.Schema(t.Context(), id)
	if err != nil {
		t.Fatalf("schema %d: %v", id, err)
	}
	return schema
}

// wantError asks for a schema and wants an error of the registry, with parts in
// its text.
func wantError(t *testing.T, client *registry.Client, id int, parts ...string) {
	t.Helper()
	_, err := client.Schema(t.Context(), id)
	if errors.Is(err, registry.ErrUnknown) {
		t.Errorf("schema %d: got ErrUnknown, which lays it on the record: %v", id, err)
	}
	wantParts(t, err, parts...)
}

// wantUnknown asks for a schema that the registry does not have.
func wantUnknown(t *testing.T, client *registry.Client, id int) {
	t.Helper()
	_, err := client.Schema(t.Context(), id)
	if !errors.Is(err, registry.ErrUnknown) {
		t.Fatalf("schema %d: got %v, want ErrUnknown", id, err)
	}
	wantParts(t, err, fmt.Sprintf("schema id %d", id))
}

func wantParts(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got error %q, want %q in it", err, part)
		}
	}
}

func TestSchemasAreFoundByID(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	client, _ := open(t, at(server))
	for _, want := range []registry.Schema{
		{Type: registry.Avro, Text: order},
		{Type: registry.Protobuf, Text: "syntax = \"proto3\";\nmessage Order { int64 id = 1; }\n"},
		{Type: registry.JSON, Text: `{"type":"object","properties":{"id":{"type":"integer"}}}`},
	} {
		want.ID = server.Add(t, strings.ToLower(string(want.Type))+"-value", want)
		if got := wantSchema(t, client, want.ID); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestTheTypeOfASchemaIsAvroUnlessTheRegistryNamesOne(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	client, _ := open(t, at(server))
	server.Answer("/schemas/ids/1", http.StatusOK, `{"schema": "\"long\""}`)
	server.Answer("/schemas/ids/2", http.StatusOK, `{"schema": "<xsd/>", "schemaType": "xsd"}`)
	for id, want := range map[int]registry.Type{1: registry.Avro, 2: "XSD"} {
		if got := wantSchema(t, client, id).Type; got != want {
			t.Errorf("schema %d: got type %s, want %s", id, got, want)
		}
	}
}

func TestASchemaIsAskedForOnce(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	client, clock := open(t, at(server))
	id := server.Add(t, "orders-value", registry.Schema{Text: order})
	for range 3 {
		wantSchema(t, client, id)
		clock.pass(1000 * time.Hour)
	}
	if got := server.Requests(); len(got) != 1 {
		t.Errorf("got requests %v, want one", got)
	}
}

func TestManyWhoAskAtOnceShareOneRequest(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	client, _ := open(t, at(server))
	id := server.Add(t, "orders-value", registry.Schema{Text: order})
	arrived, release := server.Hold()
	defer release()

	first, leave := context.WithCancelCause(t.Context())
	gone := errors.New("the first has left")
	results := make(chan error)
	go func() {
		_, err := client.Schema(first, id)
		results <- err
	}()
	<-arrived
	leave(gone)
	if err := <-results; !errors.Is(err, gone) {
		t.Errorf("the one who left: got %v, want %v", err, gone)
	}
	const others = 8
	for range others {
		go func() {
			schema, err := client.Schema(t.Context(), id)
			if err == nil && schema.Text != order {
				err = fmt.Errorf("got %+v", schema)
			}
			results <- err
		}()
	}
	release()
	for range others {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if got := server.Requests(); len(got) != 1 {
		t.Errorf("got requests %v, want one", got)
	}
}

func TestAnIDWithoutASchemaIsNotAskedForAgainAtOnce(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	client, clock := open(t, at(server))
	for range 100 {
		wantUnknown(t, client, 1)
	}
	if got := server.Requests(); len(got) != 1 {
		t.Errorf("got %d requests, want one", len(got))
	}
	id := server.Add(t, "orders-value", registry.Schema{Text: order})
	clock.pass(time.Minute)
	if got := wantSchema(t, client, id); got.Text != order {
		t.Errorf("after it is registered: got %+v", got)
	}
}

func TestManyUnknownIDsAreForgotten(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	client, _ := open(t, at(server))
	const ids = 10_100 // more than are remembered
	for id := range ids {
		wantUnknown(t, client, id+1)
	}
	wantUnknown(t, client, ids)
	if got := len(server.Requests()); got != ids {
		t.Errorf("the newest was forgotten: got %d requests, want %d", got, ids)
	}
	wantUnknown(t, client, 1)
	if got := len(server.Requests()); got != ids+1 {
		t.Errorf("the oldest is remembered: got %d requests, want %d", got, ids+1)
	}
}

func TestIDsThatNoRegistryGivesAreNotAskedFor(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	client, _ := open(t, at(server))
	for _, id := range []int{-1, 1 << 31} {
		wantUnknown(t, client, id)
	}
	if got := server.Requests(); len(got) != 0 {
		t.Errorf("got requests %v, want none", got)
	}
}

func TestAContextThatIsOverEndsTheWait(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	client, _ := open(t, at(server))
	id := server.Add(t, "orders-value", registry.Schema{Text: order})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Schema(ctx, id); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if got := server.Requests(); len(got) != 0 {
		t.Errorf("got requests %v, want none", got)
	}
}

func TestCloseEndsWhatIsAsked(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	client, _ := open(t, at(server))
	id := server.Add(t, "orders-value", registry.Schema{Text: order})
	arrived, release := server.Hold()
	defer release()
	result := make(chan error)
	go func() {
		_, err := client.Schema(t.Context(), id)
		result <- err
	}()
	<-arrived
	client.Close()
	wantParts(t, <-result, "closed")
	wantError(t, client, id, "closed")
	if _, err := client.Register(t.Context(), "orders-value", registry.Schema{Text: order}); err == nil {
		t.Error("a closed client registers")
	}
}
