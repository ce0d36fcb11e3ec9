package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
)

const (
	// maxRounds is how often every server is asked before giving up, unless the
	// time is over sooner: about 20 s, in which a registry restarts.
	maxRounds               = 10
	firstPause, longestWait = 100 * time.Millisecond, 5 * time.Second
	// maxAnswer bounds what is read of one answer. Registries refuse schemas
	// larger than a few MB.
	maxAnswer = 16 << 20
)

// question is one request to the registry, and what it is for.
type question struct {
	method  string // GET if empty
	path    string // below the URL
	body    any
	schema  bool // asks for a schema by the id that a record names
	id      int
	subject string // that is registered, rather than an id asked for
	// reference is what schema id refers to, and is asked for; "" otherwise.
	reference string
}

func (q question) String() string {
	switch {
	case q.subject != "":
		return "register a schema of subject " + q.subject
	case q.reference != "":
		return fmt.Sprintf("get %s, to which schema id %d refers", q.reference, q.id)
	}
	return fmt.Sprintf("get schema id %d", q.id)
}

// ask puts a question to one server after the other until one answers, and
// waits between rounds. What it sends may arrive twice: asking changes
// nothing, and to register what is registered gives the same id.
func (c *Client) ask(ctx context.Context, q question, into any) error {
	var last, unknown error
	for round := range maxRounds {
		if round > 0 {
			if err := c.config.Wait(ctx, pause(round)); err != nil {
				break
			}
		}
		first := int(c.preferred.Load())
		for i := range c.servers {
			at := (first + i) % len(c.servers)
			err := c.attempt(ctx, c.servers[at], q, into)
			if ctx.Err() != nil && err != nil {
				if last == nil { // or else it says more than that time is up
					last = c.explain(c.servers[at], q, err)
				}
				return c.over(ctx, q, last)
			}
			switch judge(q, err) {
			case answered:
				c.preferred.Store(int32(at))
				return nil
			case notThere:
				// Another server may have read what this one has not yet.
				unknown = fmt.Errorf("schema registry %s: %s: %w", c.servers[at].url, q, ErrUnknown)
			case refused:
				return c.explain(c.servers[at], q, err)
			case noAnswer:
				if last == nil {
					c.logger.Warn("schema registry does not answer, trying again", "url", c.servers[at].url, "error", c.reason(err))
				}
				last = c.explain(c.servers[at], q, err)
			}
		}
		if unknown != nil {
			return unknown
		}
	}
	return c.over(ctx, q, last)
}

// pause is the time before a round: twice that of the one before, and between
// half and all of it by chance, so that many pipelines do not ask at once.
func pause(round int) time.Duration {
	d := min(firstPause<<(round-1), longestWait)
	return d/2 + rand.N(d/2) //nolint:gosec // no secret
}

func (c *Client) attempt(ctx context.Context, s server, q question, into any) error {
	// A server that takes connections and says nothing leaves time for a second
	// attempt with each.
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout/time.Duration(2*len(c.servers)))
	defer cancel()
	method := q.method
	if method == "" {
		method = http.MethodGet
	}
	return s.client.Do(ctx, method, q.path, q.body, into)
}

// newHTTP makes the client of all servers. It follows no redirects: a login
// page at their end is no registry, and a POST would become a GET.
func newHTTP(config *tls.Config) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	return &http.Client{
		Transport:     boundedTransport{transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// boundedTransport reads no more than maxAnswer bytes of an answer.
type boundedTransport struct{ *http.Transport }

func (t boundedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.Transport.RoundTrip(request)
	if err == nil {
		response.Body = &boundedBody{ReadCloser: response.Body, left: maxAnswer}
	}
	return response, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

// errTooLarge: an answer is larger than maxAnswer.
var errTooLarge = fmt.Errorf("the answer is larger than %d MiB", maxAnswer>>20)

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// verdict is what an attempt came to.
type verdict int

const (
	answered verdict = iota
	notThere         // the registry says that it has no schema of the id
	noAnswer         // another attempt may succeed
	refused          // no other attempt will succeed
)

// judge says what follows of an attempt's error.
func judge(q question, err error) verdict {
	var response *sr.ResponseError
	switch {
	case err == nil:
		return answered
	case errors.As(err, &response):
		switch status := response.StatusCode; {
		case status == http.StatusNotFound && q.schema && sr.IsNotFoundError(response.ErrorCode):
			return notThere
		case status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500:
			return noAnswer
		}
		return refused
	case isTransport(err) && !isTLS(err):
		return noAnswer
	}
	return refused
}
