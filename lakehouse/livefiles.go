package lakehouse

import (
	"context"
	"fmt"
	"sync"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// liveFile is a data file of a head.
type liveFile struct {
	data     iceberg.DataFile
	sequence int64
}

// liveFiles are the data files of a keyed table's head, and the deletion vectors
// of those that have one.
type liveFiles struct {
	manifests []liveManifest // those that name any, newest first
	at        map[string]liveFile
	deletes   []liveManifest
	vectors   map[string]liveFile // by the location of the data file
}

// liveManifest is a manifest with the files that it adds or keeps.
type liveManifest struct {
	iceberg.ManifestFile
	files []liveFile
}

// totals are what summaries count: data files and their rows, deletion vectors
// and the rows that they take out, and the bytes of all of them.
type totals struct{ files, rows, vectors, positions, bytes int64 }

func (t *totals) add(data iceberg.DataFile) {
	t.files++
	t.rows += data.Count()
	t.bytes += data.FileSizeBytes()
}

// addVector counts a deletion vector, as which a part of a Puffin file counts.
func (t *totals) addVector(data iceberg.DataFile) {
	t.vectors++
	t.positions += data.Count()
	if size := data.ContentSizeInBytes(); size != nil {
		t.bytes += *size
	}
}

func (f *liveFiles) totals() (all totals) {
	for _, file := range f.at {
		all.add(file.data)
	}
	for _, v := range f.vectors {
		all.addVector(v.data)
	}
	return all
}

// rows are those that live. An engine may leave vectors of files behind that are
// gone.
func (f *liveFiles) rows() (rows int64) {
	for location, file := range f.at {
		rows += file.data.Count()
		if v, ok := f.vectors[location]; ok {
			rows -= v.data.Count()
		}
	}
	return rows
}

// allows tells whether the head names all files that a change replaces, and those
// that it takes rows out of with the deletion vectors that they had.
func (f *liveFiles) allows(c *TableChange) bool {
	for _, location := range c.Replace {
		if _, ok := f.at[location]; !ok {
			return false
		}
	}
	for _, v := range c.Vectors {
		if _, ok := f.at[v.DataFile]; !ok || f.vectorOf(v.DataFile) != v.Replaces {
			return false
		}
	}
	return true
}

// fileLists remembers the files of manifests, which never change, of each
// keyed table's newest head: an epoch reads those that are new.
type fileLists struct {
	mu     sync.Mutex
	tables map[string]map[string][]liveFile // by table, by manifest
}

func (l *fileLists) get(name string) map[string][]liveFile {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tables[name]
}

func (l *fileLists) put(name string, files map[string][]liveFile) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tables == nil {
		l.tables = map[string]map[string][]liveFile{}
	}
	l.tables[name] = files
}

// liveFiles lists the data files of a keyed table's head. Delete files that we
// do not make are refused: rows that they delete would come back with the next
// rewrite.
func (l *Lake) liveFiles(ctx context.Context, name string, tbl *table.Table) (*liveFiles, error) {
	out := &liveFiles{at: map[string]liveFile{}, vectors: map[string]liveFile{}}
	head := tbl.CurrentSnapshot()
	if head == nil {
		return out, nil
	}
	fs, err := tbl.FS(ctx)
	if err != nil {
		return nil, fmt.Errorf("open files of %s: %w", name, err)
	}
	manifests, err := head.Manifests(fs)
	if err != nil {
		return nil, fmt.Errorf("read manifest list %s: %w", head.ManifestList, err)
	}
	known, next := l.files.get(name), map[string][]liveFile{}
	for _, m := range withFiles(manifests) {
		deletes := m.ManifestContent() != iceberg.ManifestContentData
		if deletes && tbl.Metadata().Version() < vectorsVersion {
			return nil, fmt.Errorf("%w: snapshot %d of %s has delete files, which make rows of other files invisible; have the engine that wrote them compact the table", ErrForeign, head.SnapshotID, name)
		}
		files, ok := known[m.FilePath()]
		if !ok {
			for entry, err := range m.Entries(fs, true) {
				if err != nil {
					return nil, fmt.Errorf("read manifest %s: %w", m.FilePath(), err)
				}
				files = append(files, liveFile{data: entry.DataFile(), sequence: entry.SequenceNum()})
			}
		}
		next[m.FilePath()] = files
		if deletes {
			if err := out.addVectors(name, liveManifest{m, files}); err != nil {
				return nil, err
			}
			continue
		}
		out.manifests = append(out.manifests, liveManifest{m, files})
		for _, f := range files {
			out.at[f.data.FilePath()] = f
		}
	}
	l.files.put(name, next)
	return out, nil
}

// addVectors takes in a delete manifest, all of whose entries must be deletion
// vectors, of a data file each.
func (f *liveFiles) addVectors(name string, m liveManifest) error {
	f.deletes = append(f.deletes, m)
	for _, v := range m.files {
		of := v.data.ReferencedDataFile()
		if v.data.FileFormat() != iceberg.PuffinFile || of == nil || v.data.ContentOffset() == nil {
			return fmt.Errorf("%w: %s has the delete file %s, which is no deletion vector; have the engine that wrote it compact the table", ErrForeign, name, v.data.FilePath())
		}
		if before, twice := f.vectors[*of]; twice {
			return fmt.Errorf("%w: data file %s of %s has two deletion vectors, %s and %s; roll the table back to before the writer that added the second", ErrForeign, *of, name, vectorID(before.data), vectorID(v.data))
		}
		f.vectors[*of] = v
	}
	return nil
}

// withFiles leaves out manifests that only say which files a snapshot before
// this one deleted.
func withFiles(manifests []iceberg.ManifestFile) []iceberg.ManifestFile {
	kept := make([]iceberg.ManifestFile, 0, len(manifests))
	for _, m := range manifests {
		if m.DeletedDataFiles() > 0 && !m.HasAddedFiles() && !m.HasExistingFiles() {
			continue
		}
		kept = append(kept, m)
	}
	return kept
}
