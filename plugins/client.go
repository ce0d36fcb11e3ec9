package plugins

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client is a registry at the other end of HTTP: see Server. Its errors are
// those of a Registry.
type Client struct {
	base   string
	token  string
	verify VerifyFunc
	http   *http.Client
}

// ClientConfig says where a registry is.
type ClientConfig struct {
	URL   string // https://registry.example.com, with a path where it is mounted
	Token string
	// Verify judges what is uploaded before it is sent: its errors come sooner,
	// and what the model expects is only checked here.
	Verify VerifyFunc
	HTTP   *http.Client // nil for one of its own
}

// clientTimeout covers the verification of a module at the other end.
const clientTimeout = verifyTimeout + 2*time.Minute

// NewClient makes a client. It connects with the first request.
func NewClient(c ClientConfig) (*Client, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("%w: registry URL %q: expected https://host or http://host:port", ErrName, c.URL)
	}
	if c.HTTP == nil {
		// A redirect is not followed: the token is for this host.
		c.HTTP = &http.Client{Timeout: clientTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return &Client{base: strings.TrimRight(c.URL, "/") + "/v1/", token: c.Token, verify: c.Verify, http: c.HTTP}, nil
}

// Upload verifies a module, sends it, and has it verified at the other end.
func (c *Client) Upload(ctx context.Context, u Upload) (Uploaded, error) {
	var done Uploaded
	if err := u.check(); err != nil {
		return done, err
	}
	if _, err := verified(ctx, &u, c.verify); err != nil {
		return done, err
	}
	path := "plugins/" + u.Plugin + "/versions/" + u.Version
	if u.Expect.Kind != "" {
		path += "?kind=" + url.QueryEscape(u.Expect.Kind)
	}
	return done, c.do(ctx, http.MethodPut, path, u.Module, &done)
}

// List reads all plugins.
func (c *Client) List(ctx context.Context) ([]Plugin, error) {
	var all []Plugin
	return all, c.do(ctx, http.MethodGet, "plugins", nil, &all)
}

// Show reads one plugin.
func (c *Client) Show(ctx context.Context, name string) (Plugin, error) {
	var p Plugin
	if err := CheckName(name); err != nil {
		return p, err
	}
	return p, c.do(ctx, http.MethodGet, "plugins/"+name, nil, &p)
}

// Promote takes a channel to a version; who does is told by the token.
func (c *Client) Promote(ctx context.Context, p Promote) (Promoted, error) {
	var done Promoted
	if err := errors.Join(CheckName(p.Plugin), CheckChannel(p.Channel), CheckVersion(p.Version)); err != nil {
		return done, err
	}
	body, err := json.Marshal(p)
	if err != nil {
		return done, fmt.Errorf("encode promotion: %w", err)
	}
	return done, c.do(ctx, http.MethodPost, "plugins/"+p.Plugin+"/channels/"+p.Channel, body, &done)
}

// Yank takes a version out of use; who does is told by the token.
func (c *Client) Yank(ctx context.Context, q YankRequest) (Yanked, error) {
	var done Yanked
	if err := errors.Join(CheckName(q.Plugin), CheckVersion(q.Version)); err != nil {
		return done, err
	}
	body, err := json.Marshal(q)
	if err != nil {
		return done, fmt.Errorf("encode yank: %w", err)
	}
	return done, c.do(ctx, http.MethodPost, "plugins/"+q.Plugin+"/versions/"+q.Version+"/yank", body, &done)
}

// Audit reads the audit log, newest first.
func (c *Client) Audit(ctx context.Context, q AuditQuery) ([]Entry, error) {
	query := url.Values{"plugin": {q.Plugin}, "limit": {strconv.Itoa(q.Limit)}}
	if !q.Since.IsZero() {
		query.Set("since", q.Since.UTC().Format(time.RFC3339Nano))
	}
	var entries []Entry
	return entries, c.do(ctx, http.MethodGet, "audit?"+query.Encode(), nil, &entries)
}

// do sends a request and reads the answer.
func (c *Client) do(ctx context.Context, method, path string, body []byte, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask plugin registry: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	response, err := c.http.Do(request)
	if err != nil {
		return c.lost(method, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return c.lost(method, err)
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return faultOf(response.StatusCode, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read the answer of %s: %w; is it a plugin registry?", c.base, err)
	}
	return nil
}

// lost is the error of a request without an answer: a change may have happened.
func (c *Client) lost(method string, err error) error {
	if method == http.MethodGet {
		return fmt.Errorf("ask plugin registry: %w", err)
	}
	return fmt.Errorf("ask plugin registry: %w; do the same again to find out: %w", ErrUnknown, err)
}

// faultOf turns an answer into the error that the server had.
func faultOf(status int, text []byte) error {
	var body answerFault
	if err := json.Unmarshal(text, &body); err != nil || body.Error.Code == "" {
		return fmt.Errorf("the registry answered %d %s; is it a plugin registry?", status, http.StatusText(status))
	}
	for _, f := range faults {
		if f.code != body.Error.Code {
			continue
		}
		if report := body.Error.Report; report != nil {
			return &Refusal{Report: *report}
		}
		return &remote{f.sentinel, body.Error.Message}
	}
	return fmt.Errorf("the registry answered %d: %s", status, cmp.Or(body.Error.Message, body.Error.Code))
}

// remote is an error that happened at the other end.
type remote struct {
	sentinel error
	message  string
}

func (r *remote) Error() string { return r.message }
func (r *remote) Unwrap() error { return r.sentinel }
