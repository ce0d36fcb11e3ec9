package lakehouse

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"github.com/calvelake/calve/lakehouse/internal/keyindex"
)

// indexes are the indexes of keyed tables, by the uuid of the table.
type indexes struct {
	mu     sync.Mutex
	tables map[uuid.UUID]*tableIndex
}

func (x *indexes) of(id uuid.UUID) *tableIndex {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.tables == nil {
		x.tables = map[uuid.UUID]*tableIndex{}
	}
	if x.tables[id] == nil {
		x.tables[id] = &tableIndex{}
	}
	return x.tables[id]
}

// tableIndex tells in which data file each key of a table is. (Not in which row:
// a file is rewritten as a whole, and its rows are recognized by their keys,
// which proves the index right each time.)
//
// It is a cache. Whenever it is used it is first brought to the head, in one way
// (sync): files that are gone are dropped, keys of new ones are read. That
// serves own epochs and those of others, compactions, re-plans, and a start
// with nothing. The keys of files that this process wrote need not be read;
// see remember.
type tableIndex struct {
	mu sync.Mutex
	indexed
	written     map[string][]keyindex.Hash // by location
	writtenKeys int
}

// indexed is what the index holds of one snapshot.
type indexed struct {
	snapshot int64 // that it shows; 0 if none
	keys     keyindex.Table
	numbers  map[string]uint32 // by location of a live file
	files    []indexedFile     // by number − 1
	free     []uint32          // numbers that no entry has
	rows     int64             // of the live files
}

type indexedFile struct {
	location string // "" once it is gone
	rows     int64
}

// maxRemembered bounds the keys kept of files that are written and not
// committed yet: 64 MB. Those of more are read back.
const maxRemembered = 4 << 20

// remember keeps the keys of rows that were written to a file, in case it is
// committed.
func (x *tableIndex) remember(location string, hashes []keyindex.Hash) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.written == nil {
		x.written = map[string][]keyindex.Hash{}
	}
	before, ok := x.written[location]
	if ok && before == nil {
		return // given up already
	}
	if x.writtenKeys += len(hashes); x.writtenKeys > maxRemembered {
		x.writtenKeys -= len(hashes) + len(before)
		x.written[location] = nil
		return
	}
	x.written[location] = append(before, hashes...)
}

// built tells whether the index shows any snapshot.
func (x *tableIndex) built() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.snapshot != 0
}

// sync brings the index to a head.
func (x *tableIndex) sync(ctx context.Context, t *Table, head *table.Table, files *liveFiles) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	snapshot := head.CurrentSnapshot()
	if snapshot == nil {
		x.indexed = indexed{}
		return nil
	}
	if x.snapshot == snapshot.SnapshotID {
		return nil
	}
	for location := range x.numbers {
		if _, ok := files.at[location]; !ok {
			x.drop(location)
		}
	}
	k := t.keyHasher()
	for _, location := range slices.Sorted(maps.Keys(files.at)) {
		if _, ok := x.numbers[location]; ok {
			continue
		}
		if err := x.add(ctx, k, head, files.at[location]); err != nil {
			x.indexed = indexed{} // it is half of what it should be
			return err
		}
	}
	x.snapshot, x.written, x.writtenKeys = snapshot.SnapshotID, nil, 0
	x.sweep()
	return nil
}

// drop forgets a file. Its entries stay until others replace them, and mean
// nothing.
func (x *tableIndex) drop(location string) {
	file := &x.files[x.numbers[location]-1]
	x.rows -= file.rows
	*file = indexedFile{}
	delete(x.numbers, location)
}

// add takes in the keys of a file, as they were remembered or by reading them.
func (x *tableIndex) add(ctx context.Context, k *keyHasher, head *table.Table, file liveFile) error {
	location, rows := file.data.FilePath(), file.data.Count()
	number := x.number(location, rows)
	if hashes := x.written[location]; int64(len(hashes)) == rows {
		return x.put(k, number, hashes)
	}
	var hashes []keyindex.Hash
	return scanFiles(ctx, head, []table.FileScanTask{file.task()}, k.columns, func(r *columnReader) (err error) {
		if hashes, err = k.hashes(r.batch, hashes); err != nil {
			return err
		}
		return x.put(k, number, hashes)
	})
}

func (x *tableIndex) number(location string, rows int64) uint32 {
	if x.numbers == nil {
		x.numbers = map[string]uint32{}
	}
	var number uint32
	if n := len(x.free); n > 0 {
		number, x.free = x.free[n-1], x.free[:n-1]
	} else {
		x.files = append(x.files, indexedFile{})
		number = uint32(len(x.files))
	}
	x.numbers[location] = number
	x.files[number-1] = indexedFile{location, rows}
	x.rows += rows
	return number
}

// put points keys to a file. One that is in another live file too is one that
// the table holds twice.
func (x *tableIndex) put(k *keyHasher, number uint32, hashes []keyindex.Hash) error {
	for _, h := range hashes {
		if before := x.keys.Put(h, number); before != 0 && x.files[before-1].location != "" {
			return duplicateKey(k.table, x.files[before-1].location, x.files[number-1].location)
		}
	}
	return nil
}

func duplicateKey(name, a, b string) error {
	return fmt.Errorf("%w: %s holds a key twice, in %s and %s; another writer added rows: remove them, or roll the table back to before that", ErrForeign, name, a, b)
}

// file is the live file that holds a key, "" if none does.
func (x *tableIndex) file(h keyindex.Hash) string {
	if number := x.keys.Get(h); number != 0 {
		return x.files[number-1].location
	}
	return ""
}

// sweep takes out the entries of files that are gone, once they are many.
func (x *tableIndex) sweep() {
	const few = 1 << 12
	stale := int64(x.keys.Len()) - x.rows
	dead := len(x.files) - len(x.numbers) - len(x.free)
	if stale < few+x.rows/4 && dead < few {
		return
	}
	x.keys.Retain(func(number uint32) bool { return x.files[number-1].location != "" })
	x.free = x.free[:0]
	for i, file := range x.files {
		if file.location == "" {
			x.free = append(x.free, uint32(i+1))
		}
	}
}

// locate is which live files hold keys, and how many of the keys any holds.
func (x *tableIndex) locate(hashes []keyindex.Hash) (files map[string]bool, found int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	files = map[string]bool{}
	for _, h := range hashes {
		if location := x.file(h); location != "" {
			files[location] = true
			found++
		}
	}
	return files, found
}

// task reads the file as a whole.
func (f liveFile) task() table.FileScanTask {
	return table.FileScanTask{File: f.data, Length: f.data.FileSizeBytes()}
}

// IndexSize is how many keys the index of a keyed table holds in memory, and in
// how many bytes.
func (t *Table) IndexSize() (keys int, bytes int64) {
	x := t.lake.indexes.of(t.UUID)
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.keys.Len(), x.keys.Bytes()
}
