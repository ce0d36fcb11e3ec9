package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/apache/iceberg-go"
	icebergcatalog "github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/rest"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog/server"
	"github.com/calvelake/calve/catalog/sqlite"
	"github.com/calvelake/calve/lakehouse/storage"
)

// Types of catalogs.
const (
	Embedded = "embedded"
	REST     = "rest"
)

// defaultTimeout bounds one call, its retries for a token included.
const defaultTimeout = 30 * time.Second

// embeddedURI names the embedded catalog to the REST client; nothing is dialled.
const embeddedURI = "http://embedded.invalid"

// Config says which catalog, and where its tables' files are.
type Config struct {
	Type    string        // Embedded or REST
	Store   storage.Store // the warehouse; tables outside it are refused
	Timeout time.Duration // of one call; 30 s by default
	Logger  *slog.Logger  // nil: silent

	// Token is the bearer token: to send (REST), or that Handler demands
	// (Embedded).
	Token string

	Path string // Embedded: the SQLite file
	// TableConfig (Embedded) is what engines are told beside each table, such
	// as s3.endpoint; no secrets.
	TableConfig map[string]string

	URI             string // REST: without /v1
	Warehouse       string // REST: the catalog's name for the warehouse
	Credential      string // REST: client-id:client-secret for OAuth2
	OAuth2ServerURI string // REST: token endpoint; the catalog's own by default
	Scope           string // REST: OAuth2 scope; "catalog" by default
	Headers         map[string]string
}

// Validate reports what is missing or contradicts itself.
func (c Config) Validate() error {
	if c.Store == nil {
		return errors.New("catalog: the warehouse is missing")
	}
	switch c.Type {
	case Embedded:
		if c.Path == "" {
			return errors.New("catalog: the embedded catalog needs the path of its file")
		}
	case REST:
		if uri, err := url.Parse(c.URI); err != nil || uri.Host == "" || (uri.Scheme != "http" && uri.Scheme != "https") {
			return errors.New("catalog: uri must be of the form https://host/path")
		}
		if c.OAuth2ServerURI != "" {
			if uri, err := url.Parse(c.OAuth2ServerURI); err != nil || uri.Host == "" {
				return errors.New("catalog: oauth2-server-uri must be of the form https://host/path")
			}
		}
	default:
		return fmt.Errorf("catalog: type %q is not %q or %q", c.Type, Embedded, REST)
	}
	return nil
}

// Catalog is an open catalog, safe for concurrent use.
type Catalog struct {
	name    string // for messages: where it is, without secrets
	client  *rest.Catalog
	store   storage.Store
	timeout time.Duration
	atomic  bool

	storage server.Storage // embedded
	handler http.Handler   // embedded
}

// Open connects to a catalog, or opens the embedded one.
func Open(ctx context.Context, c Config) (*Catalog, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	opened := &Catalog{store: c.Store, timeout: c.Timeout}
	if opened.timeout <= 0 {
		opened.timeout = defaultTimeout
	}
	var err error
	if c.Type == Embedded {
		err = opened.openEmbedded(ctx, c)
	} else {
		opened.name = redact(c.URI)
		err = opened.connect(ctx, c, networkTransport(opened.timeout))
	}
	if err != nil {
		return nil, err
	}
	return opened, nil
}

func (c *Catalog) openEmbedded(ctx context.Context, config Config) error {
	c.name = config.Path
	held, err := sqlite.Open(ctx, config.Path)
	if err != nil {
		return err
	}
	c.storage = held
	c.handler, err = server.New(server.Config{
		Storage: held, Store: config.Store, Token: config.Token,
		TableConfig: config.TableConfig, Logger: config.Logger,
	})
	if err == nil {
		err = c.connect(ctx, Config{URI: embeddedURI, Token: config.Token}, handlerTransport{c.handler})
	}
	if err != nil {
		_ = held.Close()
	}
	return err
}

// connect fetches the catalog's configuration.
func (c *Catalog) connect(ctx context.Context, config Config, transport http.RoundTripper) error {
	watched := &configWatcher{RoundTripper: transport}
	options := []rest.Option{
		rest.WithCustomTransport(watched),
		rest.WithHeaders(config.Headers),
		rest.WithWarehouseLocation(config.Warehouse),
		rest.WithOAuthToken(config.Token),
		rest.WithCredential(config.Credential),
		rest.WithScope(config.Scope),
	}
	if config.OAuth2ServerURI != "" {
		uri, err := url.Parse(config.OAuth2ServerURI)
		if err != nil {
			return fmt.Errorf("parse oauth2-server-uri: %w", err)
		}
		options = append(options, rest.WithAuthURI(uri))
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	client, err := rest.NewCatalog(ctx, "calve", config.URI, options...)
	if err != nil {
		return fmt.Errorf("open catalog %s: %w", c.name, c.classify(err))
	}
	c.client, c.atomic = client, watched.transactions
	return nil
}

// Handler serves the embedded catalog to engines; nil for another.
func (c *Catalog) Handler() http.Handler { return c.handler }

// Atomic tells whether the catalog says that it commits several tables at once
// (POST /v1/{prefix}/transactions/commit).
func (c *Catalog) Atomic() bool { return c.atomic }

// Namespaces lists the top-level namespaces.
func (c *Catalog) Namespaces(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	found, err := c.client.ListNamespaces(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", c.classify(err))
	}
	names := make([]string, 0, len(found))
	for _, n := range found {
		if len(n) == 1 {
			names = append(names, n[0])
		}
	}
	return names, nil
}

// EnsureNamespace creates a namespace that does not exist.
func (c *Catalog) EnsureNamespace(ctx context.Context, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	// Looked for first: a principal may use a namespace that it may not create.
	_, err := c.client.LoadNamespaceProperties(ctx, table.Identifier{namespace})
	if errors.Is(err, icebergcatalog.ErrNoSuchNamespace) {
		err = c.client.CreateNamespace(ctx, table.Identifier{namespace}, iceberg.Properties{})
		if errors.Is(err, icebergcatalog.ErrNamespaceAlreadyExists) { // someone else was faster
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("ensure namespace %s: %w", namespace, c.classify(err))
	}
	return nil
}

// List lists the tables of a namespace; none where it does not exist.
func (c *Catalog) List(ctx context.Context, namespace string) ([]Identifier, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var found []Identifier
	for id, err := range c.client.ListTables(ctx, table.Identifier{namespace}) {
		if errors.Is(err, icebergcatalog.ErrNoSuchNamespace) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list tables of %s: %w", namespace, c.classify(err))
		}
		found = append(found, Identifier{Namespace: namespace, Name: id[len(id)-1]})
	}
	return found, nil
}

// Load returns a table as it is now, or ErrNoSuchTable.
func (c *Catalog) Load(ctx context.Context, id Identifier) (*table.Table, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	loaded, err := c.client.LoadTable(ctx, id.path())
	if err != nil {
		return nil, fmt.Errorf("load table %s: %w", id, c.classify(err))
	}
	return c.table(id, loaded)
}

// Create makes a table, or fails with ErrTableExists.
func (c *Catalog) Create(ctx context.Context, id Identifier, spec CreateSpec) (*table.Table, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	options := []icebergcatalog.CreateTableOpt{icebergcatalog.WithProperties(maps.Clone(spec.Properties))}
	if spec.Spec != nil {
		options = append(options, icebergcatalog.WithPartitionSpec(spec.Spec))
	}
	if spec.Location != "" {
		options = append(options, icebergcatalog.WithLocation(spec.Location))
	}
	created, err := c.client.CreateTable(ctx, id.path(), spec.Schema, options...)
	if err != nil {
		return nil, fmt.Errorf("create table %s: %w", id, c.classify(err))
	}
	return c.table(id, created)
}

// Commit applies all commits or none where the catalog is Atomic; else it
// takes one a call. Any error leaves it unknown what happened (invariant 5):
// ErrConflict says that this call's commit was refused, and an earlier one
// whose answer was lost may be what it conflicts with.
func (c *Catalog) Commit(ctx context.Context, commits []table.TableCommit) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if c.atomic {
		if err := c.client.CommitTransaction(ctx, commits); err != nil {
			return fmt.Errorf("commit %d tables: %w", len(commits), c.classify(err))
		}
		return nil
	}
	if len(commits) != 1 {
		return fmt.Errorf("commit %d tables: catalog %s commits one table at a time", len(commits), c.name)
	}
	one := commits[0]
	if _, _, err := c.client.CommitTable(ctx, one.Identifier, one.Requirements, one.Updates); err != nil {
		return fmt.Errorf("commit: %w", c.classify(err))
	}
	return nil
}

// Drop removes a table from the catalog, or fails with ErrNoSuchTable. Its
// files stay.
func (c *Catalog) Drop(ctx context.Context, id Identifier) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if err := c.client.DropTable(ctx, id.path()); err != nil {
		return fmt.Errorf("drop table %s: %w", id, c.classify(err))
	}
	return nil
}

// Close ends the use of the catalog and of Handler.
func (c *Catalog) Close() error {
	err := c.client.Close()
	if c.storage != nil {
		err = errors.Join(err, c.storage.Close())
	}
	return err
}

// table gives a loaded table our file IO in place of the client's.
func (c *Catalog) table(id Identifier, loaded *table.Table) (*table.Table, error) {
	location := storage.Canonical(loaded.Location())
	if !storage.Inside(c.store.Root(), location) {
		return nil, fmt.Errorf("table %s lies at %s, outside the warehouse %s: set the warehouse to the location "+
			"under which the catalog keeps its tables, or recreate the table below it: %w",
			id, location, c.store.Root(), storage.ErrOutside)
	}
	return table.New(id.path(), loaded.Metadata(), loaded.MetadataLocation(), FileIO(c.store), tableIO{c}), nil
}

func (i Identifier) path() table.Identifier { return table.Identifier{i.Namespace, i.Name} }

// tableIO lets a table refresh and commit itself.
type tableIO struct{ catalog *Catalog }

// LoadTable loads a table for its refresh.
func (t tableIO) LoadTable(ctx context.Context, path table.Identifier) (*table.Table, error) {
	if len(path) != 2 {
		return nil, fmt.Errorf("table %v: expected namespace and name", path)
	}
	return t.catalog.Load(ctx, Identifier{Namespace: path[0], Name: path[1]})
}

// CommitTable commits one table and returns its new metadata and where it is.
func (t tableIO) CommitTable(
	ctx context.Context, path table.Identifier, requirements []table.Requirement, updates []table.Update,
) (table.Metadata, string, error) {
	ctx, cancel := context.WithTimeout(ctx, t.catalog.timeout)
	defer cancel()
	metadata, location, err := t.catalog.client.CommitTable(ctx, path, requirements, updates)
	if err != nil {
		return nil, "", fmt.Errorf("commit: %w", t.catalog.classify(err))
	}
	return metadata, location, nil
}
