package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
)

const (
	// unknownFor is how long an id without a schema is not asked for again: a
	// topic full of records that name it costs one request each time, and a
	// schema that is registered a moment later is found soon.
	unknownFor = 5 * time.Second
	// maxUnknown bounds the ids that are remembered to have no schema: records
	// that are no messages of the wire format may name any.
	maxUnknown = 10_000
)

// errClosed ends the questions of a client that is closed.
var errClosed = errors.New("the schema registry client is closed")

// Client finds schemas, and keeps what it found: an id means the same schema
// for good. Its methods may be called by several goroutines at once.
type Client struct {
	config  Config
	logger  *slog.Logger
	http    *http.Client
	servers []server
	// preferred is the server that answered last.
	preferred atomic.Int32

	life   context.Context // of all requests
	end    context.CancelCauseFunc
	asking sync.WaitGroup // the goroutines of answers that are not yet done

	mu      sync.Mutex
	known   map[int]Schema
	unknown map[int]time.Time // until when
	pending map[int]*answer
}

// server is one of the registry's URLs.
type server struct {
	url    string
	client *sr.Client
}

// answer is what is being asked; it is complete once done is closed.
type answer struct {
	done   chan struct{}
	schema Schema
	err    error
}

// Open checks the configuration and reads its files. It asks nothing of the
// registry. The caller closes the client.
func Open(config Config, logger *slog.Logger) (*Client, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	tlsConfig, err := config.TLS.load()
	if err != nil {
		return nil, err
	}
	life, end := context.WithCancelCause(context.Background())
	c := &Client{
		config: config.withDefaults(), logger: logger, http: newHTTP(tlsConfig), life: life, end: end,
		known: map[int]Schema{}, unknown: map[int]time.Time{}, pending: map[int]*answer{},
	}
	for _, text := range config.URLs {
		parsed, err := parseURL(text)
		if err != nil {
			return nil, err
		}
		u := parsed.String() // HTTP:// as http://, which is all that package sr knows
		client, err := sr.NewClient(c.options(u)...)
		if err != nil {
			return nil, fmt.Errorf("url %s: %w", u, err)
		}
		c.servers = append(c.servers, server{url: u, client: client})
	}
	return c, nil
}

func (c *Client) options(u string) []sr.ClientOpt {
	// One URL each: which server is asked, and how often, is for ask to say.
	opts := []sr.ClientOpt{sr.URLs(u), sr.HTTPClient(c.http), sr.UserAgent("calve")}
	switch a := c.config.Auth; {
	case a.Token != "":
		opts = append(opts, sr.BearerToken(a.Token))
	case a.Username != "":
		opts = append(opts, sr.BasicAuth(a.Username, a.Password))
	}
	return opts
}

// Close ends all requests and waits for them.
func (c *Client) Close() {
	c.mu.Lock()
	c.end(errClosed)
	c.mu.Unlock()
	c.asking.Wait()
	c.http.CloseIdleConnections()
}

// Schema returns the schema of an id with all that it refers to; its slices
// are shared and not to be changed. ErrUnknown says that the registry has no
// such id, as it was up to a few seconds ago. Any other error says that the
// registry could not be asked, or has only part of the schema.
func (c *Client) Schema(ctx context.Context, id int) (Schema, error) {
	if id < 0 || id > math.MaxInt32 {
		return Schema{}, fmt.Errorf("schema id %d: %w (ids are positive and have 32 bits)", id, ErrUnknown)
	}
	if err := ctx.Err(); err != nil {
		return Schema{}, c.cut(ctx, id)
	}
	schema, pending, err := c.lookUp(id)
	if pending == nil {
		return schema, err
	}
	select {
	case <-pending.done:
		return pending.schema, pending.err
	case <-ctx.Done():
		return Schema{}, c.cut(ctx, id)
	}
}

func (c *Client) cut(ctx context.Context, id int) error {
	return fmt.Errorf("get schema %d of the schema registry: %w", id, context.Cause(ctx))
}

// lookUp finds what is known of an id, or else the answer to wait for.
func (c *Client) lookUp(id int) (Schema, *answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if schema, ok := c.known[id]; ok {
		return schema, nil, nil
	}
	if until, ok := c.unknown[id]; ok && c.config.Now().Before(until) {
		return Schema{}, nil, c.unknownError(id)
	}
	if c.life.Err() != nil {
		return Schema{}, nil, context.Cause(c.life)
	}
	if a, ok := c.pending[id]; ok {
		return Schema{}, a, nil
	}
	a := &answer{done: make(chan struct{})}
	c.pending[id] = a
	// Not in the caller's goroutine: others may wait for the answer when the
	// caller's context ends.
	c.asking.Go(func() {
		ctx, cancel := context.WithTimeout(c.life, c.config.Timeout)
		defer cancel()
		a.schema, a.err = c.resolve(ctx, id)
		c.keep(id, a)
		close(a.done)
	})
	return Schema{}, a, nil
}

// keep remembers what was found. Errors other than ErrUnknown are not kept:
// who asks again wants to know whether the registry is back.
func (c *Client) keep(id int, a *answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, id)
	switch {
	case a.err == nil:
		c.known[id] = a.schema
		delete(c.unknown, id)
	case errors.Is(a.err, ErrUnknown):
		now := c.config.Now()
		if len(c.unknown) >= maxUnknown {
			maps.DeleteFunc(c.unknown, func(_ int, until time.Time) bool { return !now.Before(until) })
		}
		if len(c.unknown) >= maxUnknown {
			clear(c.unknown)
		}
		c.unknown[id] = now.Add(unknownFor)
	}
}

func (c *Client) unknownError(id int) error {
	return fmt.Errorf("schema id %d: %w at %s", id, ErrUnknown, c.servers[c.preferred.Load()].url)
}
