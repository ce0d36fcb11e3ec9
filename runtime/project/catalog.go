package project

import (
	"fmt"
	"net/url"
	"regexp"
	"time"
)

const (
	defaultCatalogPath   = ".calve/catalog.db"
	defaultCatalogListen = "127.0.0.1:8181"
)

// CatalogType is the kind of an Iceberg catalog.
type CatalogType string

const (
	CatalogEmbedded CatalogType = "embedded" // SQLite, served by calve catalog serve
	CatalogREST     CatalogType = "rest"     // the Iceberg REST specification
	CatalogGlue     CatalogType = "glue"     // AWS Glue
	CatalogSQL      CatalogType = "sql"      // Iceberg's JDBC layout in PostgreSQL
)

// Catalog says where tables are registered. Which fields are set depends on
// the type.
type Catalog struct {
	Type            CatalogType
	Path            string // embedded: the database, relative to the project's folder
	Listen          string // embedded: host:port of calve catalog serve
	URI             string // rest, sql
	Warehouse       string // rest, glue: the catalog's own name of the warehouse
	Region          string // glue
	Credential      Secret // rest: OAuth2 client credentials, id:secret; sql: user:password
	Token           Secret // rest: a bearer token
	OAuth2ServerURI string // rest: where tokens are had; "" for the catalog itself
	Scope           string // rest: OAuth2 scope
	Headers         map[string]Secret
	Timeout         time.Duration // of one request
}

var catalogShape = variant[Catalog]{
	name: "catalog", on: "type", fallback: string(CatalogEmbedded),
	cases: []variantCase[Catalog]{
		{string(CatalogEmbedded), object[Catalog]{
			name: "embedded catalog",
			doc:  "A catalog in SQLite, served to other engines by calve catalog serve.",
			fields: []field[Catalog]{catalogType,
				key("path", nonEmpty, func(c *Catalog) *string { return &c.Path }, "The database, relative to the project's folder.").or(defaultCatalogPath),
				key("listen", address, func(c *Catalog) *string { return &c.Listen }, "host:port of calve catalog serve.").or(defaultCatalogListen),
				catalogTimeout,
			},
		}},
		{string(CatalogREST), object[Catalog]{
			name: "rest catalog",
			doc:  "Any catalog of the Iceberg REST specification.",
			fields: []field[Catalog]{catalogType,
				key("uri", webURL, func(c *Catalog) *string { return &c.URI }, "The catalog's URL.").must(),
				key("warehouse", nonEmpty, func(c *Catalog) *string { return &c.Warehouse }, "The catalog's own name of the warehouse."),
				key("credential", secret, func(c *Catalog) *Secret { return &c.Credential }, "OAuth2 client credentials, id:secret."),
				key("token", secret, func(c *Catalog) *Secret { return &c.Token }, "A bearer token."),
				key("oauth2_server_uri", webURL, func(c *Catalog) *string { return &c.OAuth2ServerURI }, "Where tokens are had; the catalog itself by default."),
				key("scope", nonEmpty, func(c *Catalog) *string { return &c.Scope }, "OAuth2 scope."),
				key("headers", mapOf(headerName, shape[Secret](secret)), func(c *Catalog) *map[string]Secret { return &c.Headers }, "HTTP headers of every request; their values are treated as secrets."),
				catalogTimeout,
			},
			check: func(r reader, c *Catalog) {
				if !c.Credential.IsZero() && !c.Token.IsZero() {
					r.failAt("token", "credential and token exclude each other", "remove one of them")
				}
			},
		}},
		{string(CatalogGlue), object[Catalog]{
			name: "glue catalog",
			doc:  "AWS Glue, with the default AWS credential chain.",
			fields: []field[Catalog]{catalogType,
				key("region", nonEmpty, func(c *Catalog) *string { return &c.Region }, "The AWS region; the environment's by default."),
				key("warehouse", nonEmpty, func(c *Catalog) *string { return &c.Warehouse }, "The Glue catalog id; the account's by default."),
				catalogTimeout,
			},
		}},
		{string(CatalogSQL), object[Catalog]{
			name: "sql catalog",
			doc:  "Iceberg's JDBC catalog layout in a database.",
			fields: []field[Catalog]{catalogType,
				key("uri", databaseURL, func(c *Catalog) *string { return &c.URI }, "The database, postgres://host/name.").must(),
				key("credential", secret, func(c *Catalog) *Secret { return &c.Credential }, "user:password."),
				catalogTimeout,
			},
		}},
	},
}

var (
	catalogType = key("type", oneOf(CatalogEmbedded, CatalogREST, CatalogGlue, CatalogSQL),
		func(c *Catalog) *CatalogType { return &c.Type }, "The kind of catalog.").or(string(CatalogEmbedded))
	catalogTimeout = key("timeout", positiveDuration,
		func(c *Catalog) *time.Duration { return &c.Timeout }, "Time-out of one request.").or("30s")
)

// headerPattern is a token of RFC 9110 section 5.6.2.
const headerPattern = "^[A-Za-z0-9!#%&'*+.^_`|~-]+$"

var headerText = regexp.MustCompile(headerPattern)

var headerName = patterned("a header name", headerPattern, func(text string) (string, error) {
	if !headerText.MatchString(text) {
		return "", fmt.Errorf("%q is no header name", excerpt(text))
	}
	return text, nil
}).literal()

var databaseURL = patterned("a URL, postgres://host/name", `^postgres(ql)?://`, func(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Host == "" {
		return "", fmt.Errorf("expected a URL, postgres://host/name")
	}
	if u.User != nil || u.Query().Has("password") {
		return "", hintedError{"a URL must not hold a log-in, since URLs are printed", "use the key credential, user:password"}
	}
	return text, nil
})
