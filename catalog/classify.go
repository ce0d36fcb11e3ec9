package catalog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"

	icebergcatalog "github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/rest"
	"github.com/apache/iceberg-go/table"
)

// classify adds the sentinel that a client's error stands for; an error
// without one is unknown. It keeps the client's error in the chain.
func (c *Catalog) classify(err error) error {
	switch {
	case errors.Is(err, icebergcatalog.ErrNoSuchTable):
		return fmt.Errorf("%w: %w", ErrNoSuchTable, err)
	case errors.Is(err, icebergcatalog.ErrNoSuchNamespace):
		return fmt.Errorf("%w: %w", ErrNoSuchNamespace, err)
	case errors.Is(err, icebergcatalog.ErrTableAlreadyExists):
		return fmt.Errorf("%w: %w", ErrTableExists, err)
	case errors.Is(err, table.ErrCommitFailed):
		return fmt.Errorf("%w: %w", ErrConflict, err)
	case errors.Is(err, rest.ErrUnauthorized), errors.Is(err, rest.ErrForbidden),
		errors.Is(err, rest.ErrAuthorizationExpired), errors.Is(err, rest.ErrOAuthError):
		return fmt.Errorf("%w (catalog %s: check its token or credential, and its grants): %w",
			ErrUnauthorized, c.name, err)
	case unreachable(err):
		return fmt.Errorf("%w (%s: check that it runs and that its uri is right): %w",
			ErrUnreachable, c.name, withoutURL(err))
	}
	return err
}

// unreachable tells errors below HTTP and time-outs. A caller that gave up is
// no such error.
func unreachable(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	var network net.Error
	var operation *net.OpError
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &operation) ||
		(errors.As(err, &network) && network.Timeout())
}

// withoutURL drops the URL from an error of the HTTP client: it may hold
// secrets in its query, and the message names the catalog already.
func withoutURL(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		return request.Err
	}
	return err
}

// redact is a URI without user, password and query.
func redact(uri string) string {
	parsed, err := url.Parse(uri)
	if err != nil {
		return "catalog"
	}
	return (&url.URL{Scheme: parsed.Scheme, Host: parsed.Host, Path: parsed.Path}).String()
}
