// Package sqlite keeps the embedded catalog in one SQLite file, which several
// processes may open at once: a pipeline that commits beside a server that
// engines attach to.
//
// The file is in WAL mode, every write transaction takes the write lock when
// it begins, and a commit is on disk when it returns (synchronous = FULL). The
// file must be on a local disk: WAL needs shared memory.
package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/calvelake/calve/catalog/server"

	_ "modernc.org/sqlite" // the driver
)

const (
	// schemaVersion is in the file's user_version. A file of a later version
	// is refused.
	schemaVersion = 1
	// busyTimeout is how long a transaction waits for another process's.
	busyTimeoutMillis = "20000"
	// connections allow reads beside a write; writes queue at the lock.
	connections = 4
)

// schema: a namespace's name is its levels joined by U+001F, so that the
// children of a namespace are those with it as parent.
const schema = `
CREATE TABLE namespaces (
	name       TEXT PRIMARY KEY,
	parent     TEXT NOT NULL,
	level      TEXT NOT NULL,
	properties TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX namespaces_parent ON namespaces (parent, level);
CREATE TABLE tables (
	namespace TEXT NOT NULL REFERENCES namespaces (name),
	name      TEXT NOT NULL,
	uuid      TEXT NOT NULL,
	metadata  TEXT NOT NULL,
	PRIMARY KEY (namespace, name)
) WITHOUT ROWID;
`

// Catalog is a server.Storage in a SQLite file.
type Catalog struct {
	db   *sql.DB
	path string
}

// Open opens the file, creating it and its folder where they are missing.
func Open(ctx context.Context, path string) (*Catalog, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("create folder of catalog %s: %w", path, err)
	}
	db, err := sql.Open("sqlite", dataSource(path))
	if err != nil {
		return nil, fmt.Errorf("open catalog %s: %w", path, err)
	}
	db.SetMaxOpenConns(connections)
	c := &Catalog{db: db, path: path}
	if err := c.write(ctx, migrate); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("open catalog %s: %w", path, err)
	}
	return c, nil
}

// CreateNamespace adds a namespace.
func (c *Catalog) CreateNamespace(ctx context.Context, n server.Namespace, properties map[string]string) error {
	encoded, err := encode(properties)
	if err != nil {
		return err
	}
	return c.write(ctx, func(tx *sql.Tx) error {
		exists, err := hasNamespace(ctx, tx, n)
		if err != nil {
			return err
		}
		if exists {
			return fmt.Errorf("%s: %w", n, server.ErrNamespaceExists)
		}
		if err := needNamespace(ctx, tx, n.Parent()); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO namespaces (name, parent, level, properties) VALUES (?, ?, ?, ?)",
			n.Key(), n.Parent().Key(), n[len(n)-1], encoded)
		return err
	})
}

// Namespace returns a namespace's properties.
func (c *Catalog) Namespace(ctx context.Context, n server.Namespace) (map[string]string, error) {
	return properties(ctx, c.db, n)
}

// Namespaces lists a namespace's children.
func (c *Catalog) Namespaces(ctx context.Context, parent server.Namespace, page server.Page) ([]server.Namespace, error) {
	if err := needNamespace(ctx, c.db, parent); err != nil {
		return nil, err
	}
	names, err := c.names(ctx,
		"SELECT name FROM namespaces WHERE parent = ? AND level > ? ORDER BY level LIMIT ?", parent, page)
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	found := make([]server.Namespace, len(names))
	for i, name := range names {
		found[i] = server.ParseKey(name)
	}
	return found, nil
}

// UpdateNamespace changes a namespace's properties.
func (c *Catalog) UpdateNamespace(
	ctx context.Context, n server.Namespace, removals []string, updates map[string]string,
) error {
	return c.write(ctx, func(tx *sql.Tx) error {
		held, err := properties(ctx, tx, n)
		if err != nil {
			return err
		}
		for _, key := range removals {
			delete(held, key)
		}
		for key, value := range updates {
			held[key] = value
		}
		encoded, err := encode(held)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE namespaces SET properties = ? WHERE name = ?", encoded, n.Key())
		return err
	})
}

// DropNamespace removes an empty namespace.
func (c *Catalog) DropNamespace(ctx context.Context, n server.Namespace) error {
	return c.write(ctx, func(tx *sql.Tx) error {
		if err := needNamespace(ctx, tx, n); err != nil {
			return err
		}
		var held int
		err := tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM namespaces WHERE parent = ?1)
			+ (SELECT count(*) FROM tables WHERE namespace = ?1)`, n.Key()).Scan(&held)
		if err != nil {
			return err
		}
		if held > 0 {
			return fmt.Errorf("%s: %w", n, server.ErrNamespaceNotEmpty)
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM namespaces WHERE name = ?", n.Key())
		return err
	})
}

// Close closes the file.
func (c *Catalog) Close() error { return c.db.Close() }

// write runs a transaction that holds the write lock from its beginning, so
// that what it reads stays true until it commits.
func (c *Catalog) write(ctx context.Context, change func(*sql.Tx) error) error {
	tx, err := c.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	if err := change(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit transaction: %w", err)
	}
	return nil
}

func (c *Catalog) names(ctx context.Context, query string, n server.Namespace, page server.Page) ([]string, error) {
	limit := page.Size
	if limit == 0 {
		limit = -1 // no limit
	}
	rows, err := c.db.QueryContext(ctx, query, n.Key(), page.After, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// querier is what a database and a transaction have in common.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func properties(ctx context.Context, q querier, n server.Namespace) (map[string]string, error) {
	var encoded string
	err := q.QueryRowContext(ctx, "SELECT properties FROM namespaces WHERE name = ?", n.Key()).Scan(&encoded)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%s: %w", n, server.ErrNoSuchNamespace)
	}
	if err != nil {
		return nil, fmt.Errorf("read namespace %s: %w", n, err)
	}
	held := map[string]string{}
	if err := json.Unmarshal([]byte(encoded), &held); err != nil {
		return nil, fmt.Errorf("read properties of namespace %s: %w", n, err)
	}
	return held, nil
}

func hasNamespace(ctx context.Context, q querier, n server.Namespace) (bool, error) {
	var found int
	err := q.QueryRowContext(ctx, "SELECT count(*) FROM namespaces WHERE name = ?", n.Key()).Scan(&found)
	return found > 0, err
}

// needNamespace fails with ErrNoSuchNamespace where a namespace is missing;
// the one above the top-level ones always exists.
func needNamespace(ctx context.Context, q querier, n server.Namespace) error {
	if len(n) == 0 {
		return nil
	}
	exists, err := hasNamespace(ctx, q, n)
	if err != nil {
		return fmt.Errorf("look for namespace %s: %w", n, err)
	}
	if !exists {
		return fmt.Errorf("%s: %w", n, server.ErrNoSuchNamespace)
	}
	return nil
}

// migrate brings an empty file to the current schema.
func migrate(tx *sql.Tx) error {
	var version int
	if err := tx.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	switch {
	case version == schemaVersion:
		return nil
	case version > schemaVersion:
		return fmt.Errorf("the file has schema version %d and this program knows %d: use a newer calve",
			version, schemaVersion)
	}
	if _, err := tx.Exec(schema); err != nil {
		return fmt.Errorf("create tables: %w", err)
	}
	_, err := tx.Exec(fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
	return err
}

func encode(properties map[string]string) (string, error) {
	if properties == nil {
		properties = map[string]string{}
	}
	encoded, err := json.Marshal(properties)
	return string(encoded), err
}

func dataSource(path string) string {
	options := url.Values{
		"_busy_timeout": {busyTimeoutMillis},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_foreign_keys": {"1"},
		"_txlock":       {"immediate"},
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + options.Encode()
}
