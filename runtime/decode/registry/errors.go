package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/twmb/franz-go/pkg/sr"
)

// maxMessage bounds how much of a server's own words an error quotes.
const maxMessage = 200

// isTransport tells whether an error is of the connection rather than of what
// came over it.
func isTransport(err error) bool {
	var request *url.Error
	var network net.Error
	return errors.As(err, &request) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF)
}

// isTLS tells whether one side refuses the other's certificate or encryption,
// which waiting does not change.
func isTLS(err error) bool {
	var certificate *tls.CertificateVerificationError
	var network *net.OpError
	// Package tls reports the other side's alerts by this Op and an unexported type.
	alert := errors.As(err, &network) && network.Op == "remote error"
	return alert || errors.As(err, &certificate) || errors.Is(err, http.ErrSchemeMismatch)
}

// explain names the server, what was asked, what went wrong and what to do.
func (c *Client) explain(s server, q question, err error) error {
	return fmt.Errorf("schema registry %s: %s: %s%s", s.url, q, c.reason(err), advice(q, err))
}

// over is the error of a question for which attempts or time are used up.
func (c *Client) over(ctx context.Context, q question, last error) error {
	if errors.Is(context.Cause(c.life), errClosed) {
		return fmt.Errorf("%s: %w", q, errClosed)
	}
	if last == nil {
		last = fmt.Errorf("schema registry %s: %s", c.servers[0].url, q)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w (gave up: %w)", last, context.Cause(ctx))
	}
	return fmt.Errorf("%w (gave up after %d attempts at each URL)", last, maxRounds)
}

// reason is an attempt's error without the request's URL, which explain names,
// and without the secrets that a server may have sent back.
func (c *Client) reason(err error) string {
	var response *sr.ResponseError
	var request *url.Error
	switch {
	case errors.As(err, &response):
		text := fmt.Sprintf("answered %d %s", response.StatusCode, http.StatusText(response.StatusCode))
		if message := c.quote(response.Error()); message != "" {
			text += ": " + message
		}
		return text
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &request):
		return request.Err.Error()
	case errors.Is(err, errTooLarge):
		return errTooLarge.Error()
	case isTransport(err):
		return "the answer broke off: " + c.quote(err.Error())
	}
	return "the answer is not that of a schema registry: " + c.quote(err.Error())
}

// quote makes a server's words fit into an error: one line, not long.
func (c *Client) quote(text string) string {
	for _, secret := range []string{c.config.Auth.Password, c.config.Auth.Token} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "[redacted]")
		}
	}
	line := strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if r := []rune(line); len(r) > maxMessage {
		return string(r[:maxMessage]) + "…"
	}
	return line
}

// advice says what to do; it begins with a semicolon.
func advice(q question, err error) string {
	var response *sr.ResponseError
	if errors.As(err, &response) {
		return adviceOn(q, response)
	}
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &certificate):
		return "; give tls.ca_file the authority that signed the registry's certificate, or tls.server_name the name in it"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "; the registry speaks plain HTTP there: begin its url with http://"
	case isTLS(err):
		return "; the registry asks for a client certificate that it knows: check tls.cert_file and tls.key_file"
	case errors.Is(err, errTooLarge):
		return "; a schema of that size is not read"
	case isTransport(err):
		return "; check that the registry runs and that connections.kafka.schema_registry names it"
	}
	return "; check the path in connections.kafka.schema_registry (Apicurio's is /apis/ccompat/v7)"
}

func adviceOn(q question, response *sr.ResponseError) string {
	known := sr.IsNotFoundError(response.ErrorCode)
	switch status := response.StatusCode; {
	case status == http.StatusUnauthorized:
		return "; check username and password, or token, of connections.kafka.schema_registry: it may be missing, wrong or expired"
	case status == http.StatusForbidden:
		return "; the log-in of connections.kafka.schema_registry is known but may not do this: give it the right to read all subjects, or to write to the one registered"
	case status >= 300 && status < 400:
		return "; it is a redirect: write the URL that it leads to into connections.kafka.schema_registry, or check whether it leads to a log-in page"
	case status == http.StatusNotFound && known && q.reference != "":
		return "; the registry has lost a schema that another needs: register it again as that version"
	case status == http.StatusNotFound && !known:
		return "; no registry answers there: check the path in connections.kafka.schema_registry (Apicurio's is /apis/ccompat/v7)"
	case status == http.StatusConflict && q.subject != "":
		return "; it is not compatible with an earlier version: change the schema, or the subject's compatibility level"
	case status == http.StatusTooManyRequests || status >= 500:
		return "; the registry is overloaded or broken: look at its log"
	}
	return "; look at the registry's log for the reason"
}
