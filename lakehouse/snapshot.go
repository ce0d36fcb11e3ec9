package lakehouse

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/codec"
	"github.com/apache/iceberg-go/table"
)

// Iceberg format versions of the tables that we write: those whose rows are taken
// out by deletion vectors are of version 3, and all others of version 2, which
// every warehouse reads (invariant 7).
const (
	plainVersion   = 2
	vectorsVersion = 3
)

// plan is one table's part of a commit: the snapshot that a head becomes.
type plan struct {
	name   string
	base   base
	commit table.TableCommit
}

// planAppend makes the snapshot that adds an epoch's files to a table's
// present head: one manifest with them, before the manifests that are there.
// It writes the manifest and the manifest list and changes nothing visible.
//
// iceberg-go's own producer is not used: it lets the caller choose neither the
// snapshot's time nor its names, and writes a null lower bound for an empty
// string, on which readers prune the whole manifest.
func (l *Lake) planAppend(ctx context.Context, on base, e *Epoch, c *TableChange) (plan, error) {
	p := l.producer(ctx, on, e)
	added, err := p.manifest(c)
	if err != nil {
		return plan{}, err
	}
	list, err := p.manifestList(added)
	if err != nil {
		return plan{}, err
	}
	return p.plan(on, c, e, list, p.summary(c)), nil
}

func (l *Lake) producer(ctx context.Context, on base, e *Epoch) *producer {
	meta := on.Metadata()
	return &producer{lake: l, ctx: ctx, table: on.Table, meta: meta, names: l.Names(e.Number), id: newSnapshotID(meta)}
}

// plan makes the commit of a snapshot whose manifest list is written.
func (p *producer) plan(on base, c *TableChange, e *Epoch, list written, summary *table.Summary) plan {
	progress := Progress{Pipeline: e.Pipeline, Epoch: e.Number, SnapshotID: p.id, SequenceNumber: p.sequence()}
	summary.Properties[PropertyEpoch] = progress.encode()
	snapshot := p.snapshot(list, summary)
	updates := p.updates(snapshot, progress)
	if on.loaded {
		updates = append(updates, p.expiry(snapshot)...)
	}
	return plan{name: c.Table, base: on, commit: table.TableCommit{
		Identifier: on.Identifier(), Requirements: p.requirements(c), Updates: updates,
	}}
}

// snapshot is the new one.
func (p *producer) snapshot(list written, summary *table.Summary) *table.Snapshot {
	schemaID := p.meta.CurrentSchema().ID // which may have more than the files do
	s := &table.Snapshot{
		SnapshotID:       p.id,
		ParentSnapshotID: p.parentID(),
		SequenceNumber:   p.sequence(),
		TimestampMs:      p.timestamp(time.Now()),
		ManifestList:     list.location,
		Summary:          summary,
		SchemaID:         &schemaID,
	}
	if list.rows != nil {
		first := p.meta.NextRowID()
		s.FirstRowID, s.AddedRows = &first, list.rows
	}
	return s
}

// requirements are what the commit was planned on: it is refused if anything
// of it has changed meanwhile.
func (p *producer) requirements(c *TableChange) []table.Requirement {
	required := []table.Requirement{
		table.AssertTableUUID(c.UUID),
		table.AssertCurrentSchemaID(p.meta.CurrentSchema().ID),
		table.AssertDefaultSpecID(c.SpecID),
	}
	if rule("assert-head") {
		required = append(required, table.AssertRefSnapshotID(table.MainBranch, p.parentID()))
	}
	return required
}

// updates are those of the snapshot and of the progress that it makes.
func (p *producer) updates(snapshot *table.Snapshot, progress Progress) []table.Update {
	return []table.Update{
		table.NewAddSnapshotUpdate(snapshot),
		table.NewSetSnapshotRefUpdate(table.MainBranch, p.id, table.BranchRef, 0, 0, 0),
		table.NewSetPropertiesUpdate(iceberg.Properties{PropertyEpoch: progress.encode()}),
	}
}

// expiry takes out the snapshots that have grown old beside a new one.
func (p *producer) expiry(snapshot *table.Snapshot) []table.Update {
	if old := expired(p.meta, time.UnixMilli(snapshot.TimestampMs)); len(old) > 0 {
		return []table.Update{table.NewRemoveSnapshotsUpdate(old, false)}
	}
	return nil
}

type producer struct {
	lake  *Lake
	ctx   context.Context
	table *table.Table
	meta  table.Metadata
	names *Names
	id    int64 // of the new snapshot
}

func (p *producer) manifest(c *TableChange) (iceberg.ManifestFile, error) {
	spec := p.meta.PartitionSpecByID(c.SpecID)
	schema := schemaByID(p.meta, c.SchemaID)
	if spec == nil || schema == nil {
		return nil, fmt.Errorf("%w: %s no longer has schema %d or partition spec %d of the epoch's files", ErrForeign, c.Table, c.SchemaID, c.SpecID)
	}
	var body bytes.Buffer
	w, err := iceberg.NewManifestWriter(p.meta.Version(), &body, *spec, schema, p.id)
	if err != nil {
		return nil, fmt.Errorf("begin manifest of %s: %w", c.Table, err)
	}
	for _, f := range c.Add {
		file, err := codec.DecodeDataFile(f.Entry, *spec, schema, c.format())
		if err != nil {
			return nil, fmt.Errorf("decode entry of data file %s: %w", f.Location, err)
		}
		if err := w.Add(iceberg.NewManifestEntry(iceberg.EntryStatusADDED, &p.id, nil, nil, file)); err != nil {
			return nil, fmt.Errorf("add %s to manifest: %w", f.Location, err)
		}
	}
	return p.writeManifest(w, &body, "m0")
}

// writeManifest ends a manifest and puts it.
func (p *producer) writeManifest(w *iceberg.ManifestWriter, body *bytes.Buffer, suffix string) (iceberg.ManifestFile, error) {
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("end manifest: %w", err)
	}
	location := fmt.Sprintf("%s/metadata/%s-%s.avro", p.meta.Location(), p.names.Next(), suffix)
	if err := p.lake.store.Put(p.ctx, location, body.Bytes()); err != nil {
		return nil, fmt.Errorf("write manifest %s: %w", location, err)
	}
	manifest, err := w.ToManifestFile(location, int64(body.Len()))
	if err != nil {
		return nil, fmt.Errorf("describe manifest %s: %w", location, err)
	}
	return repairBounds(p.meta.Version(), manifest), nil
}

// repairBounds gives a partition field whose values are all empty strings an
// empty bound instead of a null one. iceberg-go v0.7.0 writes null, and a
// reader takes a null bound for "no value", so that a filter on the column
// would find nothing in the whole manifest.
func repairBounds(version int, m iceberg.ManifestFile) iceberg.ManifestFile {
	partitions := m.Partitions()
	repaired := false
	for i := range partitions {
		f := &partitions[i]
		if f.UpperBound == nil && f.LowerBound == nil {
			continue
		}
		if f.LowerBound == nil || *f.LowerBound == nil {
			f.LowerBound, repaired = &[]byte{}, true
		}
		if f.UpperBound == nil || *f.UpperBound == nil {
			f.UpperBound, repaired = &[]byte{}, true
		}
	}
	if !repaired {
		return m
	}
	return iceberg.NewManifestFile(version, m.FilePath(), m.Length(), m.PartitionSpecID(), m.SnapshotID()).
		Content(m.ManifestContent()).SequenceNum(m.SequenceNum(), m.MinSequenceNum()).
		AddedFiles(m.AddedDataFiles()).AddedRows(m.AddedRows()).
		ExistingFiles(m.ExistingDataFiles()).ExistingRows(m.ExistingRows()).
		DeletedFiles(m.DeletedDataFiles()).DeletedRows(m.DeletedRows()).
		Partitions(partitions).Build()
}

func (p *producer) manifestList(added iceberg.ManifestFile) (written, error) {
	manifests := []iceberg.ManifestFile{added}
	if head := p.meta.CurrentSnapshot(); head != nil {
		fs, err := p.table.FS(p.ctx)
		if err != nil {
			return written{}, fmt.Errorf("open files of %v: %w", p.table.Identifier(), err)
		}
		present, err := head.Manifests(fs)
		if err != nil {
			return written{}, fmt.Errorf("read manifest list %s: %w", head.ManifestList, err)
		}
		if present, err = p.merge(withFiles(present)); err != nil {
			return written{}, err
		}
		manifests = append(manifests, present...)
	}
	return p.writeList(manifests)
}

// written is a manifest list that was put.
type written struct {
	location string
	rows     *int64 // ids that it gave to rows; nil before format version 3
}

// writeList puts a manifest list. In format version 3 it gives ids to the rows of
// manifests that have none (Iceberg spec, "Row Lineage").
func (p *producer) writeList(manifests []iceberg.ManifestFile) (written, error) {
	var body bytes.Buffer
	w, err := p.listWriter(&body)
	if err != nil {
		return written{}, fmt.Errorf("begin manifest list: %w", err)
	}
	if err := w.AddManifests(manifests); err != nil {
		return written{}, fmt.Errorf("add manifests to list: %w", err)
	}
	if err := w.Close(); err != nil {
		return written{}, fmt.Errorf("end manifest list: %w", err)
	}
	// BigQuery finds a manifest list by the name prefix "snap-".
	name := p.names.Next()
	location := fmt.Sprintf("%s/metadata/snap-%d-%s.avro", p.meta.Location(), p.id, name)
	if err := p.lake.store.Put(p.ctx, location, body.Bytes()); err != nil {
		return written{}, fmt.Errorf("write manifest list %s: %w", location, err)
	}
	list := written{location: location}
	if next := w.NextRowID(); next != nil {
		given := *next - p.meta.NextRowID()
		list.rows = &given
	}
	return list, nil
}

func (p *producer) listWriter(body *bytes.Buffer) (*iceberg.ManifestListWriter, error) {
	if p.meta.Version() >= vectorsVersion {
		return iceberg.NewManifestListWriterV3(body, p.id, p.sequence(), p.meta.NextRowID(), p.parentID())
	}
	return iceberg.NewManifestListWriterV2(body, p.id, p.sequence(), p.parentID())
}

func (p *producer) sequence() int64 { return p.meta.LastSequenceNumber() + 1 }

func (p *producer) parentID() *int64 {
	if head := p.meta.CurrentSnapshot(); head != nil {
		id := head.SnapshotID
		return &id
	}
	return nil
}

// timestamp is never before what the table already shows: readers that travel
// in time search by it, and a clock that steps back must not reorder history.
func (p *producer) timestamp(now time.Time) int64 {
	at := max(now.UnixMilli(), p.meta.LastUpdatedMillis())
	if head := p.meta.CurrentSnapshot(); head != nil {
		at = max(at, head.TimestampMs)
	}
	return at
}

// summary of an append (Iceberg spec, "Optional Snapshot Summary Fields").
func (p *producer) summary(c *TableChange) *table.Summary {
	var rows, size int64
	partitions := map[string]bool{}
	for _, f := range c.Add {
		rows += f.Rows
		size += f.Bytes
		partitions[f.Location[:lastSlash(f.Location)]] = true
	}
	files := int64(len(c.Add))
	properties := iceberg.Properties{
		"added-data-files":        strconv.FormatInt(files, 10),
		"added-records":           strconv.FormatInt(rows, 10),
		"added-files-size":        strconv.FormatInt(size, 10),
		"changed-partition-count": strconv.Itoa(len(partitions)),
		"total-delete-files":      "0",
		"total-position-deletes":  "0",
		"total-equality-deletes":  "0",
	}
	for key, add := range map[string]int64{"total-data-files": files, "total-records": rows, "total-files-size": size} {
		if total, ok := p.total(key); ok {
			properties[key] = strconv.FormatInt(total+add, 10)
		}
	}
	return &table.Summary{Operation: table.OpAppend, Properties: properties}
}

// total reads a running total of the head; false if the head does not say it,
// in which case the new snapshot cannot either.
func (p *producer) total(key string) (int64, bool) {
	head := p.meta.CurrentSnapshot()
	if head == nil {
		return 0, true
	}
	if head.Summary == nil {
		return 0, false
	}
	total, err := strconv.ParseInt(head.Summary.Properties[key], 10, 64)
	return total, err == nil
}

func lastSlash(s string) int {
	for i := len(s) - 1; i > 0; i-- {
		if s[i] == '/' {
			return i
		}
	}
	return 0
}

// newSnapshotID is a random positive id that the table does not have.
func newSnapshotID(meta table.Metadata) int64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails (crypto/rand)
		id := int64(binary.BigEndian.Uint64(b[:]) >> 1)
		if id != 0 && meta.SnapshotByID(id) == nil {
			return id
		}
	}
}
