package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// transactionsEndpoint is how a catalog says that it commits several tables at
// once. One that lists no endpoints is not taken to.
const transactionsEndpoint = "POST /v1/{prefix}/transactions/commit"

// networkTransport bounds each request by itself, since the client fetches
// tokens without the context of the call that needs them.
func networkTransport(timeout time.Duration) http.RoundTripper {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: timeout}).DialContext,
		TLSHandshakeTimeout:   timeout,
		ResponseHeaderTimeout: timeout,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   8,
		ForceAttemptHTTP2:     true,
	}
}

// handlerTransport calls a handler in this process in place of a server.
type handlerTransport struct{ handler http.Handler }

// RoundTrip serves the request by the handler and gives its answer.
func (t handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	served := r.Clone(r.Context())
	if served.Body == nil {
		served.Body = http.NoBody
	}
	answer := &answerWriter{header: http.Header{}}
	t.handler.ServeHTTP(answer, served)
	if answer.status == 0 {
		answer.status = http.StatusOK
	}
	return &http.Response{
		Status:     fmt.Sprintf("%d %s", answer.status, http.StatusText(answer.status)),
		StatusCode: answer.status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        answer.header,
		Body:          io.NopCloser(&answer.body),
		ContentLength: int64(answer.body.Len()),
		Request:       r,
	}, nil
}

// answerWriter collects a handler's answer.
type answerWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *answerWriter) Header() http.Header { return w.header }

func (w *answerWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *answerWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// configWatcher reads the catalog's list of endpoints as its configuration
// passes by, which the client does not tell. The configuration is fetched
// once, before the catalog is used, so the field needs no lock.
type configWatcher struct {
	http.RoundTripper
	transactions bool
}

// RoundTrip forwards a request.
func (w *configWatcher) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := w.RoundTripper.RoundTrip(r)
	if err != nil || response.StatusCode != http.StatusOK || r.Method != http.MethodGet ||
		!strings.HasSuffix(r.URL.Path, "/v1/config") {
		return response, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read catalog configuration: %w", err)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	var config struct {
		Endpoints []string `json:"endpoints"`
	}
	if json.Unmarshal(body, &config) == nil { // the client reports what is malformed
		for _, endpoint := range config.Endpoints {
			w.transactions = w.transactions || strings.TrimSpace(endpoint) == transactionsEndpoint
		}
	}
	return response, nil
}
