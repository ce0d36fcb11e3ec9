package lakehouse

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/codec"
)

// deleteManifests are the delete manifests of the snapshot in which a change's
// deletion vectors stand for those that they replace, and vectors of data files
// that are gone are gone too. They are written anew as few, so that a commit reads and
// writes no more than there are data files with a vector.
func (p *producer) deleteManifests(c *TableChange, files *liveFiles, sum *overwriteSum) ([]iceberg.ManifestFile, error) {
	d := &deletesRewrite{producer: p, change: c, files: files, gone: map[string]bool{}, entries: map[int32][]deleteEntry{}}
	for _, location := range c.Replace {
		if id := files.vectorOf(location); id != "" {
			d.gone[id] = true
		}
	}
	for _, v := range c.Vectors {
		d.gone[v.Replaces] = true
	}
	for of, v := range files.vectors {
		if _, live := files.at[of]; !live { // an engine may leave one behind
			d.gone[vectorID(v.data)] = true
		}
	}
	if len(d.gone) == 0 {
		kept := make([]iceberg.ManifestFile, 0, len(files.deletes))
		for _, m := range files.deletes {
			kept = append(kept, m.ManifestFile)
		}
		return kept, nil
	}
	if err := d.add(sum); err != nil {
		return nil, err
	}
	if err := d.keep(sum); err != nil {
		return nil, err
	}
	return d.write()
}

// deletesRewrite writes the delete manifests of a head anew.
type deletesRewrite struct {
	*producer
	change  *TableChange
	files   *liveFiles
	gone    map[string]bool // ids of vectors
	entries map[int32][]deleteEntry
}

type deleteEntry struct {
	iceberg.ManifestEntry
	put func(*iceberg.ManifestWriter, iceberg.ManifestEntry) error
}

// add takes in the change's own vectors.
func (d *deletesRewrite) add(sum *overwriteSum) error {
	c := d.change
	schema := schemaByID(d.meta, c.SchemaID)
	if schema == nil {
		return fmt.Errorf("%w: %s no longer has schema %d of the epoch's files", ErrForeign, c.Table, c.SchemaID)
	}
	for _, v := range c.Vectors {
		spec := d.meta.PartitionSpecByID(int(d.files.at[v.DataFile].data.SpecID())) // which another engine may have changed for a while
		if spec == nil {
			return fmt.Errorf("%w: data file %s of %s is of a partition spec that the table lacks", ErrForeign, v.DataFile, c.Table)
		}
		data, err := codec.DecodeDataFile(v.Entry, *spec, schema, c.format())
		if err != nil {
			return fmt.Errorf("decode entry of a deletion vector of %s: %w", v.DataFile, err)
		}
		sum.added.addVector(data)
		sum.partitions[describePartition(data)] = true
		entry := iceberg.NewManifestEntry(iceberg.EntryStatusADDED, &d.id, nil, nil, data)
		d.entries[data.SpecID()] = append(d.entries[data.SpecID()], deleteEntry{entry, (*iceberg.ManifestWriter).Add})
	}
	return nil
}

// keep takes in the vectors of the head, and which of them go.
func (d *deletesRewrite) keep(sum *overwriteSum) error {
	fs, err := d.table.FS(d.ctx)
	if err != nil {
		return fmt.Errorf("open files of %v: %w", d.table.Identifier(), err)
	}
	for _, m := range d.files.deletes {
		for entry, err := range m.Entries(fs, true) {
			if err != nil {
				return fmt.Errorf("read manifest %s: %w", m.FilePath(), err)
			}
			put, data := (*iceberg.ManifestWriter).Existing, entry.DataFile()
			if d.gone[vectorID(data)] {
				put = (*iceberg.ManifestWriter).Delete
				sum.removed.addVector(data)
				sum.partitions[describePartition(data)] = true
			}
			d.entries[m.PartitionSpecID()] = append(d.entries[m.PartitionSpecID()], deleteEntry{entry, put})
		}
	}
	return nil
}

func (d *deletesRewrite) write() ([]iceberg.ManifestFile, error) {
	var out []iceberg.ManifestFile
	for _, id := range slices.Sorted(maps.Keys(d.entries)) {
		for part := range slices.Chunk(d.entries[id], maxEntries) {
			m, err := d.manifest(id, part)
			if err != nil {
				return nil, err
			}
			out = append(out, m)
		}
	}
	return out, nil
}

func (d *deletesRewrite) manifest(specID int32, entries []deleteEntry) (iceberg.ManifestFile, error) {
	spec := d.meta.PartitionSpecByID(int(specID))
	if spec == nil {
		return nil, fmt.Errorf("%w: a delete manifest of %s is of partition spec %d, which the table lacks", ErrForeign, d.change.Table, specID)
	}
	var body bytes.Buffer
	w, err := iceberg.NewManifestWriter(d.meta.Version(), &body, *spec, d.meta.CurrentSchema(), d.id, iceberg.WithManifestWriterContent(iceberg.ManifestContentDeletes))
	if err != nil {
		return nil, fmt.Errorf("begin delete manifest: %w", err)
	}
	for _, e := range entries {
		if err := e.put(w, e.ManifestEntry); err != nil {
			return nil, fmt.Errorf("copy entry of a deletion vector: %w", err)
		}
	}
	return d.writeManifest(w, &body, "d0")
}
