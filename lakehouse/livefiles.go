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

// liveFiles are the data files of a keyed table's head.
type liveFiles struct {
	manifests []liveManifest // those that name any, newest first
	at        map[string]liveFile
}

// liveManifest is a manifest with the files that it adds or keeps.
type liveManifest struct {
	iceberg.ManifestFile
	files []liveFile
}

// totals are what summaries count.
type totals struct{ files, rows, bytes int64 }

func (t *totals) add(data iceberg.DataFile) {
	t.files++
	t.rows += data.Count()
	t.bytes += data.FileSizeBytes()
}

func (f *liveFiles) totals() (all totals) {
	for _, file := range f.at {
		all.add(file.data)
	}
	return all
}

// has tells whether the head names all of some files.
func (f *liveFiles) has(locations []string) bool {
	for _, location := range locations {
		if _, ok := f.at[location]; !ok {
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

// liveFiles lists the data files of a keyed table's head. Delete files, which
// only another writer can have made, are refused: rows that they delete would
// come back with the next rewrite.
func (l *Lake) liveFiles(ctx context.Context, name string, tbl *table.Table) (*liveFiles, error) {
	out := &liveFiles{at: map[string]liveFile{}}
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
		if m.ManifestContent() != iceberg.ManifestContentData {
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
		out.manifests = append(out.manifests, liveManifest{m, files})
		for _, f := range files {
			out.at[f.data.FilePath()] = f
		}
	}
	l.files.put(name, next)
	return out, nil
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
