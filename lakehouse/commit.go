package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
)

// ErrNotCommitted: Commit gave up. The epoch is decided and will be committed
// by the next start (invariant 4).
var ErrNotCommitted = errors.New("the epoch is recorded but not committed yet")

// Commit makes every table that a decided epoch touches show it, once: in one
// transaction where the catalog has them, else table by table in the record's
// order, so that a fact never shows before its dimensions nor the audit table
// before any. It may be called any number of times, by any process.
//
// The first attempt is planned on what our last commit left of the tables. On
// any answer but success every table is loaded again, and those that show
// the epoch are done; only where it is absent is a new commit planned, on the
// head as it is then (invariants 4 and 5). Commit returns nil only when all
// tables show the epoch.
func (l *Lake) Commit(ctx context.Context, e *Epoch) error { return l.commit(ctx, e, &replans{}) }

func (l *Lake) commit(ctx context.Context, e *Epoch, r *replans) error {
	started := time.Now()
	for attempt := 0; ; attempt++ {
		err := l.tryCommit(ctx, e, r)
		if err == nil {
			return nil
		}
		remembered := l.heads.forget(e)
		if final(err) && remembered {
			continue // a refusal counts only of tables as they are now
		}
		if final(err) {
			return fmt.Errorf("commit epoch %d: %w", e.Number, err)
		}
		if l.giveUpAfter > 0 && time.Since(started) > l.giveUpAfter {
			return fmt.Errorf("%w: epoch %d: %w", ErrNotCommitted, e.Number, err)
		}
		if attempt > 0 { // one conflict with a compaction is everyday life
			l.logger.Warn("epoch not committed yet, trying again", "epoch", e.Number, "attempt", attempt+1, "error", err)
		}
		if pauseErr := l.pause(ctx, attempt); pauseErr != nil {
			return fmt.Errorf("%w: epoch %d: %w", ErrNotCommitted, e.Number, err)
		}
	}
}

// final tells whether trying again cannot help: a person must choose, or
// another writer has taken over.
func final(err error) bool {
	return errors.Is(err, ErrForeign) || errors.Is(err, ErrFenced) || errors.Is(err, ErrMissingFile) || errors.Is(err, catalog.ErrNoSuchTable)
}

func (l *Lake) tryCommit(ctx context.Context, e *Epoch, r *replans) error {
	var commits []table.TableCommit
	var plans []*plan
	for i := range e.Changes {
		c := &e.Changes[i]
		p, err := l.planTable(ctx, e, c, r)
		if err != nil {
			return err
		}
		if p == nil {
			continue // shows the epoch already
		}
		if !l.catalog.Atomic() {
			if err := l.catalog.Commit(ctx, []table.TableCommit{p.commit}); err != nil {
				return fmt.Errorf("commit %s: %w", c.Table, err)
			}
			l.heads.committed(p)
			continue
		}
		commits = append(commits, p.commit)
		plans = append(plans, p)
	}
	if len(commits) == 0 {
		return nil
	}
	if err := l.catalog.Commit(ctx, commits); err != nil {
		return fmt.Errorf("commit %d tables: %w", len(commits), err)
	}
	for _, p := range plans {
		l.heads.committed(p)
	}
	return nil
}

// planTable looks for the epoch in a table; if it is absent it plans the
// commit, which the table's last epoch must allow: it is the one that the
// record derives from (†), or something went past us.
func (l *Lake) planTable(ctx context.Context, e *Epoch, c *TableChange, r *replans) (*plan, error) {
	on, err := l.base(ctx, c.Table, e.Number)
	if err != nil {
		return nil, err
	}
	meta := on.Metadata()
	if err := checkUUID(meta, c); err != nil {
		return nil, err
	}
	progress, err := ReadProgress(c.Table, meta)
	if err != nil {
		return nil, err
	}
	switch looked := rule("look-first"); {
	case looked && progress.Epoch == e.Number:
		return nil, nil
	case looked && progress.Epoch != c.Prev && rule("prev-epoch"):
		return nil, l.wrongEpoch(ctx, e, c, progress.Epoch)
	}
	if err := checkShape(meta, c); err != nil {
		return nil, err
	}
	var p plan
	if c.ChangeFile != nil || len(c.Replace) > 0 {
		p, err = l.planKeyed(ctx, on, e, c, r)
	} else {
		p, err = l.planAppend(ctx, on, e, c)
	}
	if err != nil {
		return nil, err
	}
	return &p, nil
}

func checkUUID(meta table.Metadata, c *TableChange) error {
	if meta.TableUUID() != c.UUID {
		return fmt.Errorf("%w: %s was dropped and made again (uuid %s, the epoch was written for %s)", ErrForeign, c.Table, meta.TableUUID(), c.UUID)
	}
	return nil
}

// checkShape refuses a table whose partition spec or schema no longer takes the
// epoch's files.
func checkShape(meta table.Metadata, c *TableChange) error {
	if meta.DefaultPartitionSpec() != c.SpecID {
		return fmt.Errorf("%w: the partition spec of %s was changed (now %d, the epoch was written for %d); set it back",
			ErrForeign, c.Table, meta.DefaultPartitionSpec(), c.SpecID)
	}
	return checkSchema(meta, c)
}

// checkSchema refuses a table whose schema no longer takes the epoch's files.
func checkSchema(meta table.Metadata, c *TableChange) error {
	current := meta.CurrentSchema()
	if current.ID == c.SchemaID {
		return nil
	}
	written := schemaByID(meta, c.SchemaID)
	if written == nil {
		return fmt.Errorf("%w: %s no longer has schema %d, which the epoch was written for; restore it", ErrForeign, c.Table, c.SchemaID)
	}
	if err := succeeds(written, current); err != nil {
		return fmt.Errorf("%w: the schema of %s was changed (it is %d now, the epoch was written for %d): %w; undo that, or make schema %d the current one again, and start again",
			ErrForeign, c.Table, current.ID, c.SchemaID, err, c.SchemaID)
	}
	return nil
}

// wrongEpoch says why a table's last epoch does not allow a commit. One beyond
// the epoch in hand derives from it: a successor has finished it and gone on
// while this writer slept (invariant 3).
func (l *Lake) wrongEpoch(ctx context.Context, e *Epoch, c *TableChange, shown int64) error {
	if shown > e.Number {
		return l.Log().overtaken(ctx, shown)
	}
	return fmt.Errorf("%w: %s is at epoch %d, epoch %d needs it at %d", ErrForeign, c.Table, shown, e.Number, c.Prev)
}

func (l *Lake) loadNamed(ctx context.Context, name string) (*table.Table, error) {
	id, err := catalog.ParseIdentifier(name)
	if err != nil {
		return nil, err
	}
	tbl, err := l.catalog.Load(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("load table %s: %w", name, err)
	}
	return tbl, nil
}
