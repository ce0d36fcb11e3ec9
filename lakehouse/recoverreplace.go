package lakehouse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// replaceFiles puts files in the place of an epoch's in a table that shows it.
// Like Commit it looks after any answer but success at what is there.
func (l *Lake) replaceFiles(ctx context.Context, epoch int64, c *TableChange, files []File) error {
	started := time.Now()
	for attempt := 0; ; attempt++ {
		done, err := l.tryReplace(ctx, epoch, c, files)
		if done || final(err) || errors.Is(err, ErrNotReproduced) {
			return err
		}
		if l.giveUpAfter > 0 && time.Since(started) > l.giveUpAfter {
			return fmt.Errorf("replace files of epoch %d in %s: %w", epoch, c.Table, err)
		}
		if pauseErr := l.pause(ctx, attempt); pauseErr != nil {
			return fmt.Errorf("replace files of epoch %d in %s: %w", epoch, c.Table, err)
		}
	}
}

func (l *Lake) tryReplace(ctx context.Context, epoch int64, c *TableChange, files []File) (done bool, err error) {
	tbl, err := l.loadNamed(ctx, c.Table)
	if err != nil {
		return false, err
	}
	if uuid := tbl.Metadata().TableUUID(); uuid != c.UUID {
		return false, fmt.Errorf("%w: %s was dropped and made again (uuid %s, the epoch was written for %s)", ErrForeign, c.Table, uuid, c.UUID)
	}
	named, err := headFiles(ctx, tbl)
	if err != nil {
		return false, err
	}
	old := map[string]bool{}
	for _, f := range c.Add {
		if named[f.Location] {
			old[f.Location] = true
		}
	}
	switch {
	case len(old) == 0:
		return true, nil // replaced, by this call or another
	case len(old) < len(c.Add):
		return true, fmt.Errorf("%w: %d of the %d files of epoch %d in %s were compacted with others, so that its rows cannot be told from theirs; restore the missing file",
			ErrNotReproduced, len(c.Add)-len(old), len(c.Add), epoch, c.Table)
	}
	commit, err := l.planReplace(ctx, tbl, epoch, c, old, files)
	if err != nil {
		return false, err
	}
	if err := l.catalog.Commit(ctx, []table.TableCommit{commit}); err != nil {
		return false, fmt.Errorf("commit %s: %w", c.Table, err)
	}
	return true, nil
}

// planReplace makes the snapshot in which files stand for old ones. Its summary
// names no epoch: it makes no progress.
func (l *Lake) planReplace(ctx context.Context, tbl *table.Table, epoch int64, c *TableChange, old map[string]bool, files []File) (table.TableCommit, error) {
	meta := tbl.Metadata()
	p := &producer{lake: l, ctx: ctx, table: tbl, meta: meta, names: l.Names(epoch), id: newSnapshotID(meta)}
	replaced := *c
	replaced.Add = files
	added, err := p.manifest(&replaced)
	if err != nil {
		return table.TableCommit{}, err
	}
	kept, err := p.without(old)
	if err != nil {
		return table.TableCommit{}, err
	}
	list, err := p.writeList(append([]iceberg.ManifestFile{added}, kept...))
	if err != nil {
		return table.TableCommit{}, err
	}
	snapshot := p.snapshot(list, p.replaceSummary(c.Add, files))
	return table.TableCommit{
		Identifier: tbl.Identifier(),
		Requirements: []table.Requirement{
			table.AssertTableUUID(c.UUID),
			table.AssertRefSnapshotID(table.MainBranch, p.parentID()),
		},
		Updates: []table.Update{
			table.NewAddSnapshotUpdate(snapshot),
			table.NewSetSnapshotRefUpdate(table.MainBranch, p.id, table.BranchRef, 0, 0, 0),
		},
	}, nil
}

// without returns the head's manifests with some files marked as deleted.
func (p *producer) without(gone map[string]bool) ([]iceberg.ManifestFile, error) {
	fs, err := p.table.FS(p.ctx)
	if err != nil {
		return nil, fmt.Errorf("open files of %v: %w", p.table.Identifier(), err)
	}
	head := p.meta.CurrentSnapshot()
	manifests, err := head.Manifests(fs)
	if err != nil {
		return nil, fmt.Errorf("read manifest list %s: %w", head.ManifestList, err)
	}
	for i, m := range manifests {
		var entries []iceberg.ManifestEntry
		for entry, err := range m.Entries(fs, true) {
			if err != nil {
				return nil, fmt.Errorf("read manifest %s: %w", m.FilePath(), err)
			}
			entries = append(entries, entry)
		}
		isGone := func(entry iceberg.ManifestEntry) bool { return gone[entry.DataFile().FilePath()] }
		if !slices.ContainsFunc(entries, isGone) {
			continue
		}
		if manifests[i], err = p.rewrite(m, entries, isGone); err != nil {
			return nil, err
		}
	}
	return manifests, nil
}

func (p *producer) rewrite(m iceberg.ManifestFile, entries []iceberg.ManifestEntry, isGone func(iceberg.ManifestEntry) bool) (iceberg.ManifestFile, error) {
	spec := p.meta.PartitionSpecByID(int(m.PartitionSpecID()))
	if spec == nil {
		return nil, fmt.Errorf("%w: manifest %s is of partition spec %d, which the table lacks", ErrForeign, m.FilePath(), m.PartitionSpecID())
	}
	var body bytes.Buffer
	w, err := iceberg.NewManifestWriter(p.meta.Version(), &body, *spec, p.meta.CurrentSchema(), p.id)
	if err != nil {
		return nil, fmt.Errorf("begin manifest: %w", err)
	}
	for _, entry := range entries {
		add := w.Existing
		if isGone(entry) {
			add = w.Delete
		}
		if err := add(entry); err != nil {
			return nil, fmt.Errorf("copy entry of manifest %s: %w", m.FilePath(), err)
		}
	}
	return p.writeManifest(w, &body, "m1")
}

func (p *producer) replaceSummary(old, files []File) *table.Summary {
	size := func(files []File) (total int64) {
		for _, f := range files {
			total += f.Bytes
		}
		return total
	}
	properties := iceberg.Properties{
		"added-data-files":   strconv.Itoa(len(files)),
		"added-records":      strconv.FormatInt(rowsOf(files), 10),
		"added-files-size":   strconv.FormatInt(size(files), 10),
		"deleted-data-files": strconv.Itoa(len(old)),
		"deleted-records":    strconv.FormatInt(rowsOf(old), 10),
		"removed-files-size": strconv.FormatInt(size(old), 10),
		"total-delete-files": "0", "total-position-deletes": "0", "total-equality-deletes": "0",
	}
	for key, add := range map[string]int64{
		"total-data-files": int64(len(files) - len(old)), "total-records": rowsOf(files) - rowsOf(old), "total-files-size": size(files) - size(old),
	} {
		if total, ok := p.total(key); ok {
			properties[key] = strconv.FormatInt(total+add, 10)
		}
	}
	return &table.Summary{Operation: table.OpReplace, Properties: properties}
}
