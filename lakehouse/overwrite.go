package lakehouse

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/codec"
	"github.com/apache/iceberg-go/table"
)

// planOverwrite makes the snapshot in which an epoch's files stand for those
// that they replace: a manifest with the new ones, the manifests that named old
// ones written anew, and the others as they are. So for deletion vectors.
func (l *Lake) planOverwrite(ctx context.Context, on base, e *Epoch, c *TableChange, files *liveFiles) (plan, error) {
	p := l.producer(ctx, on, e)
	sum := overwriteSum{before: files.totals(), partitions: map[string]bool{}}
	var manifests []iceberg.ManifestFile
	if len(c.Add) > 0 {
		added, err := p.manifest(c)
		if err != nil {
			return plan{}, err
		}
		if err := sum.addFiles(p.meta, c); err != nil {
			return plan{}, err
		}
		manifests = append(manifests, added)
	}
	rewritten, kept, err := p.remove(files, c.Replace)
	if err != nil {
		return plan{}, err
	}
	for _, location := range c.Replace {
		sum.remove(files.at[location].data)
	}
	// Merged are only manifests that this snapshot has not written: merging
	// drops what a manifest says of deleted files, which this one must say.
	if kept, err = p.merge(kept); err != nil {
		return plan{}, err
	}
	deletes, err := p.deleteManifests(c, files, &sum)
	if err != nil {
		return plan{}, err
	}
	list, err := p.writeList(slices.Concat(manifests, rewritten, kept, deletes))
	if err != nil {
		return plan{}, err
	}
	return p.plan(on, c, e, list, sum.summary()), nil
}

// maxEntries bounds a manifest that is written anew: about 8 MB.
const maxEntries = 8192

// remove splits the head's manifests: those that name a file that goes are
// written anew, together, with it marked as deleted by this snapshot and the
// others as they were (snapshot and sequence numbers stay theirs); the rest is
// kept.
func (p *producer) remove(files *liveFiles, locations []string) (rewritten, kept []iceberg.ManifestFile, err error) {
	gone := make(map[string]bool, len(locations))
	for _, location := range locations {
		gone[location] = true
	}
	bySpec := map[int32][]iceberg.ManifestFile{}
	left := len(gone)
	for _, m := range files.manifests {
		here := 0
		for _, f := range m.files {
			if gone[f.data.FilePath()] {
				here++
			}
		}
		if here == 0 {
			kept = append(kept, m.ManifestFile)
			continue
		}
		left -= here
		bySpec[m.PartitionSpecID()] = append(bySpec[m.PartitionSpecID()], m.ManifestFile)
	}
	if left != 0 {
		return nil, nil, fmt.Errorf("%w: the head names %d of the files to replace more or less often than once", ErrForeign, left)
	}
	for _, spec := range slices.Sorted(maps.Keys(bySpec)) {
		made, err := p.rewriteTogether(bySpec[spec], gone)
		if err != nil {
			return nil, nil, err
		}
		rewritten = append(rewritten, made...)
	}
	return rewritten, kept, nil
}

// rewriteTogether writes manifests of one partition spec as few.
func (p *producer) rewriteTogether(group []iceberg.ManifestFile, gone map[string]bool) ([]iceberg.ManifestFile, error) {
	fs, err := p.table.FS(p.ctx)
	if err != nil {
		return nil, fmt.Errorf("open files of %v: %w", p.table.Identifier(), err)
	}
	var out []iceberg.ManifestFile
	var entries []iceberg.ManifestEntry
	isGone := func(entry iceberg.ManifestEntry) bool { return gone[entry.DataFile().FilePath()] }
	flush := func() error {
		m, err := p.rewrite(group[0], entries, isGone)
		out, entries = append(out, m), nil
		return err
	}
	for _, m := range group {
		for entry, err := range m.Entries(fs, true) {
			if err != nil {
				return nil, fmt.Errorf("read manifest %s: %w", m.FilePath(), err)
			}
			if entries = append(entries, entry); len(entries) < maxEntries {
				continue
			}
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	if len(entries) > 0 {
		if err := flush(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// overwriteSum adds up a snapshot's summary (Iceberg spec, "Optional Snapshot
// Summary Fields"). Totals are counted from the head's manifests, not from its
// summary, which another engine may have left out.
type overwriteSum struct {
	before, added, removed totals
	partitions             map[string]bool
}

func (s *overwriteSum) addFiles(meta table.Metadata, c *TableChange) error {
	spec, schema := meta.PartitionSpecByID(c.SpecID), schemaByID(meta, c.SchemaID)
	for _, f := range c.Add {
		data, err := codec.DecodeDataFile(f.Entry, *spec, schema, c.format())
		if err != nil {
			return fmt.Errorf("decode entry of data file %s: %w", f.Location, err)
		}
		s.added.add(data)
		s.partitions[describePartition(data)] = true
	}
	return nil
}

func (s *overwriteSum) remove(data iceberg.DataFile) {
	s.removed.add(data)
	s.partitions[describePartition(data)] = true
}

// describePartition tells partitions of a table apart.
func describePartition(data iceberg.DataFile) string {
	var b bytes.Buffer
	values := data.Partition()
	fmt.Fprint(&b, data.SpecID())
	for _, id := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&b, " %d=%#v", id, values[id])
	}
	return b.String()
}

func (s *overwriteSum) summary() *table.Summary {
	properties := iceberg.Properties{
		"changed-partition-count": strconv.Itoa(len(s.partitions)),
		"total-equality-deletes":  "0",
	}
	put := func(key string, value int64) { properties[key] = strconv.FormatInt(value, 10) }
	if s.added.files > 0 {
		put("added-data-files", s.added.files)
		put("added-records", s.added.rows)
		put("added-files-size", s.added.bytes)
	}
	if s.removed.files > 0 {
		put("deleted-data-files", s.removed.files)
		put("deleted-records", s.removed.rows)
		put("removed-files-size", s.removed.bytes)
	}
	if s.added.vectors > 0 {
		put("added-delete-files", s.added.vectors)
		put("added-dvs", s.added.vectors)
		put("added-position-deletes", s.added.positions)
		put("added-files-size", s.added.bytes)
	}
	if s.removed.vectors > 0 {
		put("removed-delete-files", s.removed.vectors)
		put("removed-dvs", s.removed.vectors)
		put("removed-position-deletes", s.removed.positions)
		put("removed-files-size", s.removed.bytes)
	}
	put("total-delete-files", s.before.vectors+s.added.vectors-s.removed.vectors)
	put("total-position-deletes", s.before.positions+s.added.positions-s.removed.positions)
	put("total-data-files", s.before.files+s.added.files-s.removed.files)
	put("total-records", s.before.rows+s.added.rows-s.removed.rows)
	put("total-files-size", s.before.bytes+s.added.bytes-s.removed.bytes)
	operation := table.OpOverwrite
	switch {
	case s.removed.files+s.added.vectors == 0:
		operation = table.OpAppend
	case s.added.files == 0:
		operation = table.OpDelete
	}
	return &table.Summary{Operation: operation, Properties: properties}
}
