package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
)

// Evolve changes a table to take the rows of a source that has changed, and
// opens it again. A change that Iceberg does not allow, or that meets a column
// of another origin, is refused with the choices (ErrDiffers).
//
// It is for the writer of the table, between two epochs: files use a schema
// only after it is committed. A writer that was overtaken meanwhile does no
// harm by it, since what it adds is optional and what it promotes reads the
// files that are there.
func (l *Lake) Evolve(ctx context.Context, t *Table, change SourceChange) (*Table, error) {
	tbl, err := l.loadNamed(ctx, t.ID.String())
	if err != nil {
		return nil, err
	}
	tbl, err = l.evolve(ctx, t.ID, tbl, func(meta table.Metadata) (Evolution, error) {
		if meta.TableUUID() != t.UUID {
			return Evolution{}, fmt.Errorf("%w: %s was dropped and made again (uuid %s, it was opened as %s)", ErrForeign, t.ID, meta.TableUUID(), t.UUID)
		}
		if err := l.checkOwner(t.ID, meta); err != nil {
			return Evolution{}, err
		}
		return change.evolve(meta)
	})
	if err != nil {
		return nil, err
	}
	return l.table(t.ID, tbl)
}

// evolve commits what decide asks for and returns the table as it is then.
// After every commit, whatever the answer, the table is loaded and decided on
// again, until nothing is left to do (invariant 5).
func (l *Lake) evolve(ctx context.Context, id catalog.Identifier, tbl *table.Table, decide func(table.Metadata) (Evolution, error)) (*table.Table, error) {
	started := time.Now()
	for attempt := 0; ; attempt++ {
		evolution, err := decide(tbl.Metadata())
		if err == nil {
			err = evolution.refusal(id)
		}
		if err != nil {
			return nil, err
		}
		if !evolution.pending() {
			l.noteKept(id, evolution)
			return tbl, nil
		}
		l.heads.drop(id.String())
		commitErr := l.catalog.Commit(ctx, []table.TableCommit{evolution.commit(tbl.Identifier())})
		if commitErr == nil {
			l.logger.Info("table schema changed", "table", id.String(), "changes", evolution.Changes)
		} else if err := l.again(ctx, commitErr, attempt, started); err != nil {
			return nil, fmt.Errorf("change schema of %s: %w", id, err)
		}
		tbl, err = l.reload(ctx, id, attempt, started)
		if err != nil {
			return nil, fmt.Errorf("change schema of %s: %w", id, err)
		}
	}
}

// reload loads a table after a commit. Without it nothing is known.
func (l *Lake) reload(ctx context.Context, id catalog.Identifier, attempt int, started time.Time) (*table.Table, error) {
	for ; ; attempt++ {
		tbl, err := l.loadNamed(ctx, id.String())
		if err == nil {
			return tbl, nil
		}
		if err := l.again(ctx, err, attempt, started); err != nil {
			return nil, err
		}
	}
}

// again waits before another attempt, or says why there is none.
func (l *Lake) again(ctx context.Context, err error, attempt int, started time.Time) error {
	if errors.Is(err, catalog.ErrNoSuchTable) || l.giveUpAfter > 0 && time.Since(started) > l.giveUpAfter {
		return err
	}
	if attempt > 0 {
		l.logger.Warn("schema not changed yet, trying again", "attempt", attempt+1, "error", err)
	}
	if l.pause(ctx, attempt) != nil {
		return err
	}
	return nil
}

func (l *Lake) noteKept(id catalog.Identifier, evolution Evolution) {
	for _, kept := range evolution.Kept {
		l.logger.Info("table differs from the project and stays as it is", "table", id.String(), "difference", kept)
	}
}

// CurrentSchema stands for the id of a table's current schema.
const CurrentSchema = -1

// OpenAt opens a table with the schema that an epoch's files were written for,
// or with CurrentSchema, and changes nothing.
func (l *Lake) OpenAt(ctx context.Context, id catalog.Identifier, schemaID int) (*Table, error) {
	tbl, err := l.loadNamed(ctx, id.String())
	if err != nil {
		return nil, err
	}
	if err := l.checkOwner(id, tbl.Metadata()); err != nil {
		return nil, err
	}
	if schemaID == CurrentSchema {
		return l.table(id, tbl)
	}
	schema := schemaByID(tbl.Metadata(), schemaID)
	if schema == nil {
		return nil, fmt.Errorf("%w: %s no longer has schema %d", ErrForeign, id, schemaID)
	}
	return l.tableWith(id, tbl, schema)
}

// succeeds tells whether files written for one schema can be added to a table
// that has another: every field is there by its id, with its name and its type
// or one promoted from it, and what is new is optional. If not, the error says
// what was done to the table.
//
// So columns that another engine adds do not stop a pipeline, nor does what a
// writer that was overtaken adds too late.
func succeeds(written, current *iceberg.Schema) error {
	return succeedFields("", written.Fields(), current.Fields())
}

func succeedFields(path string, written, current []iceberg.NestedField) error {
	there := map[int]iceberg.NestedField{}
	for _, f := range current {
		there[f.ID] = f
	}
	for _, w := range written {
		at := join(path, w.Name)
		c, ok := there[w.ID]
		delete(there, w.ID)
		switch {
		case !ok:
			return fmt.Errorf("column %s was dropped", at)
		case c.Name != w.Name:
			return fmt.Errorf("column %s was renamed to %s", at, join(path, c.Name))
		case c.Required && !w.Required:
			return fmt.Errorf("column %s takes no null any more", at)
		}
		if err := succeedType(at, w.Type, c.Type); err != nil {
			return err
		}
	}
	for _, f := range current {
		if _, isNew := there[f.ID]; isNew && f.Required {
			return fmt.Errorf("column %s was added and takes no null", join(path, f.Name))
		}
	}
	return nil
}

func succeedType(path string, written, current iceberg.Type) error {
	switch w := written.(type) {
	case *iceberg.StructType:
		if c, ok := current.(*iceberg.StructType); ok {
			return succeedFields(path, w.FieldList, c.FieldList)
		}
	case *iceberg.ListType:
		if c, ok := current.(*iceberg.ListType); ok {
			return succeedFields(path, w.Fields(), c.Fields())
		}
	case *iceberg.MapType:
		if c, ok := current.(*iceberg.MapType); ok {
			return succeedFields(path, w.Fields(), c.Fields())
		}
	default:
		if written.Equals(current) || promotes(written, current) {
			return nil
		}
	}
	return fmt.Errorf("column %s became %s, it was %s", path, DescribeType(current), DescribeType(written))
}

func schemaByID(meta table.Metadata, id int) *iceberg.Schema {
	for _, s := range meta.Schemas() {
		if s.ID == id {
			return s
		}
	}
	return nil
}
