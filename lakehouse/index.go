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

// tableIndex tells in which row group of which data file each key of a table is.
// (Not in which row: a row group is rewritten as a whole, and its rows are
// recognized by their keys, which proves the index right each time.)
//
// It is a cache. Whenever it is used it is first brought to the head, in one way
// (sync): files that are gone are dropped, keys of new ones are read. That
// serves own epochs and those of others, compactions, re-plans, and a start
// with nothing. The keys of files that this process wrote need not be read, nor
// those of a row group that it copied be entered anew; see remember.
type tableIndex struct {
	mu sync.Mutex
	indexed
	byRow          rowIndex                  // of a table with deletion vectors, instead
	written        map[string][]writtenGroup // by location; nil: given up
	writtenKeys    int
	writtenVectors map[string]*positions // by id
	plain          []string              // columns that no dictionary pays for, as far as is known
}

// indexed is what the index holds of one snapshot.
type indexed struct {
	snapshot int64 // that it shows; 0 if none
	keys     keyindex.Table
	numbers  map[string][]uint32 // by location of a live file: of its row groups
	groups   []indexedGroup      // by number − 1
	free     []uint32            // numbers that no entry has
	rows     int64               // of the live files
}

// indexedGroup is a row group, or a whole file that cannot be taken apart.
type indexedGroup struct {
	location string // "" once it is gone
	group    int
	rows     int64
}

// wholeFile is the one group of a file that cannot be taken apart.
const wholeFile = -1

// writtenGroup is what this process knows of a row group that it wrote: the keys
// of its rows, or which row group of another file it was and which of that one's
// keys are not in it any more.
type writtenGroup struct {
	rows   int64
	hashes []keyindex.Hash
	from   string // location; "" if it is new
	group  int
	gone   []keyindex.Hash
}

// maxRemembered bounds the keys kept of files that are written and not
// committed yet: 64 MB. Those of more are read back.
const maxRemembered = 4 << 20

// remember keeps what is known of a file that was written, in case it is
// committed.
func (x *tableIndex) remember(location string, groups []writtenGroup) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.written == nil {
		x.written = map[string][]writtenGroup{}
	}
	keys := 0
	for _, g := range groups {
		keys += len(g.hashes) + len(g.gone)
	}
	if x.writtenKeys+keys > maxRemembered {
		x.written[location] = nil
		return
	}
	x.writtenKeys += keys
	x.written[location] = groups
}

// plainColumns are the columns that no dictionary paid for in what was written
// last.
func (x *tableIndex) plainColumns() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.plain
}

func (x *tableIndex) learn(plain []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.plain = slices.Clone(plain)
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
	var added []string
	for _, location := range slices.Sorted(maps.Keys(files.at)) {
		if _, ok := x.numbers[location]; !ok {
			added = append(added, location)
		}
	}
	moved := x.moves(added, files)
	for location := range x.numbers {
		if _, ok := files.at[location]; !ok {
			x.drop(location, moved)
		}
	}
	x.move(moved)
	r := &keyReader{table: t, head: head, hasher: t.keyHasher()}
	defer r.close()
	for _, location := range added {
		if err := x.add(ctx, r, files.at[location], moved); err != nil {
			x.indexed = indexed{} // it is half of what it should be
			return err
		}
	}
	x.snapshot, x.written, x.writtenKeys = snapshot.SnapshotID, nil, 0
	x.sweep()
	return nil
}

// move is where a row group has gone.
type move struct {
	to   indexedGroup
	gone []keyindex.Hash
}

// moves finds which row groups of files that are gone are now in files that were
// added, by number. A file of which anything is not known is not in it.
func (x *tableIndex) moves(added []string, files *liveFiles) map[uint32]move {
	moved := map[uint32]move{}
	for _, location := range added {
		groups := x.written[location]
		here := map[uint32]move{}
		rows := int64(0)
		for i, g := range groups {
			rows += g.rows
			if g.from == "" {
				continue
			}
			numbers := x.numbers[g.from]
			_, stays := files.at[g.from]
			if stays || g.group >= len(numbers) || x.groups[numbers[g.group]-1].group != g.group {
				rows = -1
				break
			}
			number := numbers[g.group]
			if _, taken := moved[number]; taken {
				rows = -1
				break
			}
			here[number] = move{to: indexedGroup{location, i, g.rows}, gone: g.gone}
		}
		if rows != files.at[location].data.Count() {
			delete(x.written, location) // its keys are read
			continue
		}
		maps.Copy(moved, here)
	}
	return moved
}

// drop forgets a file but what has moved. Its entries stay until others replace
// them, and mean nothing.
func (x *tableIndex) drop(location string, moved map[uint32]move) {
	for _, number := range x.numbers[location] {
		if _, ok := moved[number]; ok {
			continue
		}
		x.rows -= x.groups[number-1].rows
		x.groups[number-1] = indexedGroup{}
	}
	delete(x.numbers, location)
}

// move gives row groups their new places; entries of keys stay as they are, but
// for keys that are not there any more.
func (x *tableIndex) move(moved map[uint32]move) {
	for number, m := range moved {
		for _, h := range m.gone {
			if x.keys.Get(h) == number {
				x.keys.Delete(h)
			}
		}
		x.rows += m.to.rows - x.groups[number-1].rows
		x.groups[number-1] = m.to
	}
}

// add takes in the keys of a file, as they were remembered or by reading them.
func (x *tableIndex) add(ctx context.Context, r *keyReader, file liveFile, moved map[uint32]move) error {
	location := file.data.FilePath()
	if groups := x.written[location]; groups != nil {
		return x.addWritten(r.hasher.table, location, groups, moved)
	}
	number, last := uint32(0), wholeFile-1
	return r.read(ctx, file, func(group int, rows int64, hashes []keyindex.Hash) error {
		if group != last {
			number, last = x.number(location, group, rows), group
		}
		return x.put(r.hasher.table, number, hashes)
	})
}

func (x *tableIndex) addWritten(name, location string, groups []writtenGroup, moved map[uint32]move) error {
	at := map[int]uint32{}
	for number, m := range moved {
		if m.to.location == location {
			at[m.to.group] = number
		}
	}
	for i, g := range groups {
		if g.from != "" {
			x.place(location, at[i])
			continue
		}
		if err := x.put(name, x.number(location, i, g.rows), g.hashes); err != nil {
			return err
		}
	}
	return nil
}

// number gives the next row group of a file a number.
func (x *tableIndex) number(location string, group int, rows int64) uint32 {
	var number uint32
	if n := len(x.free); n > 0 {
		number, x.free = x.free[n-1], x.free[:n-1]
	} else {
		x.groups = append(x.groups, indexedGroup{})
		number = uint32(len(x.groups))
	}
	x.groups[number-1] = indexedGroup{location, group, rows}
	x.rows += rows
	x.place(location, number)
	return number
}

// place makes a number that of a file's next row group.
func (x *tableIndex) place(location string, number uint32) {
	if x.numbers == nil {
		x.numbers = map[string][]uint32{}
	}
	x.numbers[location] = append(x.numbers[location], number)
}

// put points keys to a row group. One that is in another live one too is one
// that the table holds twice.
func (x *tableIndex) put(name string, number uint32, hashes []keyindex.Hash) error {
	for _, h := range hashes {
		if before := x.keys.Put(h, number); before != 0 && x.groups[before-1].location != "" {
			return duplicateKey(name, x.groups[before-1].location, x.groups[number-1].location)
		}
	}
	return nil
}

func duplicateKey(name, a, b string) error {
	return fmt.Errorf("%w: %s holds a key twice, in %s and %s; another writer added rows: remove them, or roll the table back to before that", ErrForeign, name, a, b)
}

// at is the live row group that holds a key; its location is "" if none does.
func (x *tableIndex) at(h keyindex.Hash) indexedGroup {
	if number := x.keys.Get(h); number != 0 {
		return x.groups[number-1]
	}
	return indexedGroup{}
}

// sweep takes out the entries of row groups that are gone, once they are many.
func (x *tableIndex) sweep() {
	const few = 1 << 12
	stale := int64(x.keys.Len()) - x.rows
	live := 0
	for _, numbers := range x.numbers {
		live += len(numbers)
	}
	dead := len(x.groups) - live - len(x.free)
	if stale < few+x.rows/4 && dead < few {
		return
	}
	x.keys.Retain(func(number uint32) bool { return x.groups[number-1].location != "" })
	x.free = x.free[:0]
	for i, group := range x.groups {
		if group.location == "" {
			x.free = append(x.free, uint32(i+1))
		}
	}
}

// touched are the row groups that hold changed keys, by the location of their
// file.
type touched map[string]map[int]bool

func (t touched) add(location string, group int) {
	if t[location] == nil {
		t[location] = map[int]bool{}
	}
	t[location][group] = true
}

// locate is which live row groups hold keys, and how many of the keys any holds.
func (x *tableIndex) locate(hashes []keyindex.Hash) (groups touched, found int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	groups = touched{}
	for _, h := range hashes {
		if g := x.at(h); g.location != "" {
			groups.add(g.location, g.group)
			found++
		}
	}
	return groups, found
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
	return x.keys.Len() + x.byRow.keys.Len(), x.keys.Bytes() + x.byRow.keys.Bytes()
}
