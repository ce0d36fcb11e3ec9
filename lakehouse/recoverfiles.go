package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/iceberg-go/codec"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/lakehouse/storage"
)

// ErrMissingFile: a data file of a decided epoch is not in the store, or not
// with the size that was recorded. The epoch can be derived again from Kafka
// while its records are there.
var ErrMissingFile = errors.New("a data file of a decided epoch is missing")

// ErrNotReproduced: what was derived again is not what the epoch record says.
var ErrNotReproduced = errors.New("the epoch could not be derived again")

// ErrNotInLog: the epoch log has no record of that number.
var ErrNotInLog = errors.New("the epoch is not in the log")

// MissingFile is a data file that a table needs and the store has not.
type MissingFile struct {
	Table     string `json:"table"`
	Location  string `json:"location"`
	Committed bool   `json:"committed"` // the table shows the epoch and names the file
}

// Decided reads the record of an epoch, or fails with ErrNotInLog.
func (l *Lake) Decided(ctx context.Context, number int64) (*Epoch, error) {
	tail, err := l.Log().Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read epoch log: %w", err)
	}
	for _, e := range tail.Epochs {
		if e.Number == number {
			return e, nil
		}
	}
	if number <= tail.Floor.Number {
		return nil, fmt.Errorf("%w: records up to %d are pruned, their epochs are committed", ErrNotInLog, tail.Floor.Number)
	}
	return nil, fmt.Errorf("%w: it ends at epoch %d", ErrNotInLog, tail.Last())
}

// Missing lists the data files, and files of deletion vectors, of a decided epoch
// that are needed and not there: all of a table that does not show the epoch yet,
// and those that the head still names of one that does. A file that was compacted
// away is not needed.
func (l *Lake) Missing(ctx context.Context, e *Epoch) ([]MissingFile, error) {
	var missing []MissingFile
	for i := range e.Changes {
		c := &e.Changes[i]
		tbl, err := l.loadNamed(ctx, c.Table)
		if err != nil {
			return nil, err
		}
		progress, err := ReadProgress(c.Table, tbl.Metadata())
		if err != nil {
			return nil, err
		}
		var named map[string]bool // nil: all are needed
		if progress.Epoch >= e.Number {
			if named, err = headFiles(ctx, tbl); err != nil {
				return nil, err
			}
		}
		if named == nil && c.ChangeFile != nil {
			continue // the commit makes what is missing anew of the change file
		}
		for _, f := range c.uploaded() {
			if named != nil && !named[f.Location] {
				continue
			}
			problem, err := l.absent(ctx, f)
			if err != nil {
				return nil, err
			}
			if problem != "" {
				missing = append(missing, MissingFile{Table: c.Table, Location: f.Location, Committed: named != nil})
			}
		}
	}
	return missing, nil
}

// checkFiles refuses to commit files that are not there: readers would fail on
// them, and the table would have to be repaired.
func (l *Lake) checkFiles(ctx context.Context, epoch int64, changes []*TableChange) error {
	for _, c := range changes {
		if c.ChangeFile != nil {
			continue // the commit looks, and makes what is missing anew of the change file
		}
		for _, f := range c.Add {
			problem, err := l.absent(ctx, f)
			if err != nil {
				return err
			}
			if problem != "" {
				return fmt.Errorf("%w: epoch %d of %s: %s %s; put it back, or run calve recover --rederive %d", ErrMissingFile, epoch, c.Table, f.Location, problem, epoch)
			}
		}
	}
	return nil
}

// absent says what is wrong with a data file, "" if nothing is.
func (l *Lake) absent(ctx context.Context, f File) (problem string, err error) {
	r, err := l.store.Open(ctx, f.Location)
	if errors.Is(err, storage.ErrNotExist) {
		return "does not exist", nil
	}
	if err != nil {
		return "", fmt.Errorf("look at data file %s: %w", f.Location, err)
	}
	size := r.Size()
	if err := r.Close(); err != nil {
		return "", fmt.Errorf("look at data file %s: %w", f.Location, err)
	}
	if size != f.Bytes {
		return fmt.Sprintf("has %d bytes, %d were recorded", size, f.Bytes), nil
	}
	return "", nil
}

func headFiles(ctx context.Context, tbl *table.Table) (map[string]bool, error) {
	tasks, err := tbl.Scan().PlanFiles(ctx)
	if err != nil {
		return nil, fmt.Errorf("list files of %v: %w", tbl.Identifier(), err)
	}
	named := make(map[string]bool, len(tasks))
	for _, t := range tasks {
		named[t.File.FilePath()] = true
		for _, v := range t.DeletionVectorFiles {
			named[v.FilePath()] = true
		}
	}
	return named, nil
}

// CommitRederived carries a decided epoch through although data files of it are
// lost: derived are its changes once more, from the same records, with files of
// their own. In each table that lacks a file, all of the epoch's files give way
// to the derived ones; the others keep theirs, and what was derived for them is
// left as garbage of its epoch.
//
// The record stays as it is. A table takes an epoch once (invariant 4), so that
// whoever commits the recorded files meanwhile, or a second call after a crash,
// finds it done or is found to be done. A table that shows the epoch already
// gets the files by a snapshot of operation replace, which changes no row.
//
// Before anything is written the derived rows are compared with the record:
// number of rows, what became of the records, nulls of each column. A
// difference is ErrNotReproduced.
//
// Files of keyed tables cannot be derived from records alone. Where the epoch is
// not shown yet the commit makes them anew of its change file; where it is, a
// file that is missing is ErrNotReproduced.
func (l *Lake) CommitRederived(ctx context.Context, e *Epoch, derived []TableChange) error {
	if err := l.compareDerived(ctx, e, derived); err != nil {
		return err
	}
	amended, err := l.amend(ctx, e, derived)
	if err != nil {
		return err
	}
	if err := l.commit(ctx, amended, &replans{looked: true}); err != nil {
		return err
	}
	// Looked for again: another process may have committed the record as it is.
	missing, err := l.Missing(ctx, e)
	if err != nil {
		return err
	}
	broken := map[string]bool{}
	for _, m := range missing {
		broken[m.Table] = true
	}
	for _, name := range slices.Sorted(maps.Keys(broken)) {
		if e.Change(name).ChangeFile != nil {
			return fmt.Errorf("%w: a file of epoch %d that %s shows is missing, and its rows are of more than the epoch's records; restore it, or drop the table and have the model begin anew", ErrNotReproduced, e.Number, name)
		}
		if err := l.replaceFiles(ctx, e.Number, e.Change(name), changeOf(derived, name).Add); err != nil {
			return err
		}
	}
	return nil
}

// amend is what is left to commit of an epoch: the changes of tables that do
// not show it yet, with derived files where recorded ones are missing.
func (l *Lake) amend(ctx context.Context, e *Epoch, derived []TableChange) (*Epoch, error) {
	missing, err := l.Missing(ctx, e)
	if err != nil {
		return nil, err
	}
	amended := *e
	amended.Changes = nil
	for _, c := range e.Changes {
		tbl, err := l.loadNamed(ctx, c.Table)
		if err != nil {
			return nil, err
		}
		progress, err := ReadProgress(c.Table, tbl.Metadata())
		if err != nil {
			return nil, err
		}
		if progress.Epoch >= e.Number {
			continue
		}
		if slices.ContainsFunc(missing, func(m MissingFile) bool { return m.Table == c.Table }) {
			c.Add = changeOf(derived, c.Table).Add
		}
		amended.Changes = append(amended.Changes, c)
	}
	return &amended, nil
}

func changeOf(changes []TableChange, name string) *TableChange {
	for i := range changes {
		if changes[i].Table == name {
			return &changes[i]
		}
	}
	return nil
}

// compareDerived tells whether an epoch was derived as it was recorded.
func (l *Lake) compareDerived(ctx context.Context, e *Epoch, derived []TableChange) error {
	for _, d := range derived {
		if e.Change(d.Table) == nil && rowsOf(d.Add) > 0 {
			return fmt.Errorf("%w: it has %d rows for %s, which epoch %d did not touch", ErrNotReproduced, rowsOf(d.Add), d.Table, e.Number)
		}
	}
	for i := range e.Changes {
		c := &e.Changes[i]
		if c.ChangeFile != nil {
			continue
		}
		d := changeOf(derived, c.Table)
		if d == nil {
			d = &TableChange{Table: c.Table, UUID: c.UUID, SchemaID: c.SchemaID, SpecID: c.SpecID}
		}
		if c.UUID != d.UUID || c.SchemaID != d.SchemaID || c.SpecID != d.SpecID {
			return fmt.Errorf("%w: %s is not the table, or not of the schema and partition spec, that epoch %d was written for", ErrNotReproduced, c.Table, e.Number)
		}
		if got, want := rowsOf(d.Add), rowsOf(c.Add); got != want {
			return fmt.Errorf("%w: %d rows for %s, the record of epoch %d says %d", ErrNotReproduced, got, c.Table, e.Number, want)
		}
		if !slices.Equal(c.Counts, d.Counts) {
			return fmt.Errorf("%w: the records of %s became %+v, the record of epoch %d says %+v", ErrNotReproduced, c.Table, d.Counts, e.Number, c.Counts)
		}
		if err := l.compareNulls(ctx, e.Number, c, d); err != nil {
			return err
		}
	}
	return nil
}

// compareNulls compares the nulls of each column, which do not depend on how
// rows are spread over files.
func (l *Lake) compareNulls(ctx context.Context, epoch int64, recorded, derived *TableChange) error {
	tbl, err := l.loadNamed(ctx, recorded.Table)
	if err != nil {
		return err
	}
	want, err := nullsOf(tbl.Metadata(), recorded)
	if err != nil {
		return err
	}
	got, err := nullsOf(tbl.Metadata(), derived)
	if err != nil {
		return err
	}
	for _, f := range tbl.Schema().Fields() {
		if got[f.ID] != want[f.ID] {
			return fmt.Errorf("%w: column %s of %s has %d nulls, the record of epoch %d says %d", ErrNotReproduced, f.Name, recorded.Table, got[f.ID], epoch, want[f.ID])
		}
	}
	return nil
}

func nullsOf(meta table.Metadata, c *TableChange) (map[int]int64, error) {
	spec, schema := meta.PartitionSpecByID(c.SpecID), schemaByID(meta, c.SchemaID)
	if spec == nil || schema == nil {
		return nil, fmt.Errorf("%w: %s no longer has schema %d or partition spec %d of the epoch's files", ErrForeign, c.Table, c.SchemaID, c.SpecID)
	}
	nulls := map[int]int64{}
	for _, f := range c.Add {
		file, err := codec.DecodeDataFile(f.Entry, *spec, schema, c.format())
		if err != nil {
			return nil, fmt.Errorf("decode entry of data file %s: %w", f.Location, err)
		}
		for id, n := range file.NullValueCounts() {
			nulls[id] += n
		}
	}
	return nulls, nil
}

func rowsOf(files []File) int64 {
	var rows int64
	for _, f := range files {
		rows += f.Rows
	}
	return rows
}
