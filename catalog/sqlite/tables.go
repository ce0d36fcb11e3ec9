package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/calvelake/calve/catalog/server"
)

// Table returns a table.
func (c *Catalog) Table(ctx context.Context, id server.Identifier) (server.Table, error) {
	found, err := readTable(ctx, c.db, id)
	if err == nil && found.Metadata == "" {
		err = fmt.Errorf("%s: %w", id, server.ErrNoSuchTable)
	}
	return found, err
}

// Tables lists a namespace's tables.
func (c *Catalog) Tables(ctx context.Context, n server.Namespace, page server.Page) ([]server.Identifier, error) {
	if err := needNamespace(ctx, c.db, n); err != nil {
		return nil, err
	}
	names, err := c.names(ctx,
		"SELECT name FROM tables WHERE namespace = ? AND name > ? ORDER BY name LIMIT ?", n, page)
	if err != nil {
		return nil, fmt.Errorf("list tables of %s: %w", n, err)
	}
	found := make([]server.Identifier, len(names))
	for i, name := range names {
		found[i] = server.Identifier{Namespace: n, Name: name}
	}
	return found, nil
}

// Swap makes all changes in one transaction.
func (c *Catalog) Swap(ctx context.Context, changes []server.Change) error {
	return c.write(ctx, func(tx *sql.Tx) error {
		for _, change := range changes {
			if err := apply(ctx, tx, change); err != nil {
				return err
			}
		}
		return nil
	})
}

func apply(ctx context.Context, tx *sql.Tx, c server.Change) error {
	found, err := readTable(ctx, tx, c.Table)
	if err != nil {
		return err
	}
	switch {
	case c.From == "" && found.Metadata != "":
		return fmt.Errorf("%s: %w", c.Table, server.ErrTableExists)
	case c.From != found.Metadata:
		return &server.ConflictError{Table: c.Table, Found: found.Metadata}
	case c.From == "":
		return create(ctx, tx, c)
	case c.To == "":
		_, err = tx.ExecContext(ctx, "DELETE FROM tables WHERE namespace = ? AND name = ?",
			c.Table.Namespace.Key(), c.Table.Name)
	default:
		err = move(ctx, tx, c)
	}
	return err
}

func create(ctx context.Context, tx *sql.Tx, c server.Change) error {
	if err := needNamespace(ctx, tx, c.Table.Namespace); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO tables (namespace, name, uuid, metadata) VALUES (?, ?, ?, ?)",
		c.Table.Namespace.Key(), c.Table.Name, c.UUID, c.To)
	return err
}

func move(ctx context.Context, tx *sql.Tx, c server.Change) error {
	to := c.Table
	if c.NewName != nil && c.NewName.String() != c.Table.String() {
		to = *c.NewName
		if err := needNamespace(ctx, tx, to.Namespace); err != nil {
			return err
		}
		taken, err := readTable(ctx, tx, to)
		if err != nil {
			return err
		}
		if taken.Metadata != "" {
			return fmt.Errorf("%s: %w", to, server.ErrTableExists)
		}
	}
	_, err := tx.ExecContext(ctx,
		"UPDATE tables SET namespace = ?, name = ?, metadata = ? WHERE namespace = ? AND name = ?",
		to.Namespace.Key(), to.Name, c.To, c.Table.Namespace.Key(), c.Table.Name)
	return err
}

// readTable returns a table, with no metadata location where it is missing.
func readTable(ctx context.Context, q querier, id server.Identifier) (server.Table, error) {
	found := server.Table{Identifier: id}
	err := q.QueryRowContext(ctx, "SELECT uuid, metadata FROM tables WHERE namespace = ? AND name = ?",
		id.Namespace.Key(), id.Name).Scan(&found.UUID, &found.Metadata)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return server.Table{}, fmt.Errorf("read table %s: %w", id, err)
	}
	return found, nil
}
