package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"

	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/lakehouse/internal/keyindex"
)

// rowIndex tells at which row of which data file each key of a table with
// deletion vectors is. Like the rest of tableIndex it is a cache that is brought
// to a head before each use, in one way: files that are gone are dropped,
// vectors that are new are taken over, keys of new files are read.
//
// Rows are numbered through: each file has a range of numbers of its own, so
// that an entry takes no more memory than one that names a row group. An entry
// whose row a vector has taken out, or whose file is gone, means nothing, until
// it is replaced or swept out.
type rowIndex struct {
	snapshot int64 // that it shows; 0 if none
	keys     keyindex.Table
	files    map[string]*numberedFile
	order    []*numberedFile // by first
	next     uint32          // the first number that no file has
}

// numberedFile is a live data file: its row i has number first+i.
type numberedFile struct {
	location string
	first    uint32
	rows     int64
	vector   string     // its id, "" if there is none
	dead     *positions // what that takes out; never changed
}

// rowPlace is a row of a data file.
type rowPlace struct {
	file *numberedFile // nil: nowhere
	row  int64
}

// at is the live row that holds a key.
func (x *rowIndex) at(h keyindex.Hash) rowPlace { return x.place(x.keys.Get(h)) }

// place is the live row of a number, 0 being none's.
func (x *rowIndex) place(number uint32) rowPlace {
	// The first file that ends behind it: one without rows begins where the next does.
	i := sort.Search(len(x.order), func(i int) bool { return int64(x.order[i].first)+x.order[i].rows > int64(number) })
	if i == len(x.order) || number < x.order[i].first {
		return rowPlace{}
	}
	f := x.order[i]
	if row := int64(number - f.first); !f.dead.has(row) {
		return rowPlace{f, row}
	}
	return rowPlace{}
}

// errStale: what the index holds cannot be brought to the head; it must begin
// anew.
var errStale = errors.New("the row index does not lead to the head")

// syncRows brings the index to a head. What cannot be followed, as a table that
// was rolled back, is read anew.
func (x *tableIndex) syncRows(ctx context.Context, t *Table, head *table.Table, files *liveFiles) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	snapshot := head.CurrentSnapshot()
	if snapshot == nil {
		x.byRow = rowIndex{}
		return nil
	}
	if x.byRow.snapshot == snapshot.SnapshotID {
		return nil
	}
	s := &rowSync{index: x, table: t, head: head, files: files}
	err := s.run(ctx)
	if errors.Is(err, errStale) {
		x.byRow = rowIndex{}
		err = s.run(ctx)
	}
	if errors.Is(err, errStale) {
		err = fmt.Errorf("index %s: its data files have more than %d rows, and deletion vectors are kept for no more; set the profile to strict, and give the model a new name", t.ID, uint32(math.MaxUint32))
	}
	if err != nil {
		x.byRow = rowIndex{} // it is half of what it should be
		return err
	}
	x.byRow.snapshot = snapshot.SnapshotID
	x.written, x.writtenKeys, x.writtenVectors = nil, 0, nil
	x.byRow.sweep()
	return nil
}

// rowSync is one way of a row index to a head.
type rowSync struct {
	index *tableIndex
	table *Table
	head  *table.Table
	files *liveFiles
}

func (s *rowSync) run(ctx context.Context) error {
	x := &s.index.byRow
	if x.files == nil {
		x.files, x.next = map[string]*numberedFile{}, 1
	}
	x.order = slices.DeleteFunc(x.order, func(f *numberedFile) bool {
		_, stays := s.files.at[f.location]
		if !stays {
			delete(x.files, f.location)
		}
		return !stays
	})
	var added []string
	for location := range s.files.at {
		if x.files[location] == nil {
			added = append(added, location)
		}
	}
	slices.Sort(added)
	dead, err := s.vectors(ctx)
	if err != nil {
		return err
	}
	for _, f := range x.order { // before keys of new files take the place of theirs
		if err := f.follow(s.files.vectorOf(f.location), dead); err != nil {
			return err
		}
	}
	r := &keyReader{table: s.table, head: s.head, hasher: s.table.keyHasher()}
	defer r.close()
	for _, location := range added {
		if err := s.add(ctx, r, location, dead[location]); err != nil {
			return err
		}
	}
	return nil
}

// vectors are those that the index does not know yet, by data file.
func (s *rowSync) vectors(ctx context.Context) (map[string]*positions, error) {
	known := map[string]*positions{}
	var unread []string
	for location := range s.files.vectors {
		if _, live := s.files.at[location]; !live {
			continue
		}
		id := s.files.vectorOf(location)
		if f := s.index.byRow.files[location]; f != nil && f.vector == id {
			continue
		}
		if set := s.index.writtenVectors[id]; set != nil {
			known[location] = set
			continue
		}
		unread = append(unread, location)
	}
	read, err := readVectors(ctx, s.head, s.files, unread)
	if err != nil {
		return nil, err
	}
	maps.Copy(known, read)
	return known, nil
}

// follow takes a file's present vector over. One that takes out less than the
// one before brings keys back whose entries may be gone.
func (f *numberedFile) follow(vector string, dead map[string]*positions) error {
	if f.vector == vector {
		return nil
	}
	now := dead[f.location]
	if !f.dead.within(now) {
		return errStale
	}
	f.vector, f.dead = vector, now
	return nil
}

// add numbers the rows of a file and takes in their keys, as they were
// remembered or by reading them.
func (s *rowSync) add(ctx context.Context, r *keyReader, location string, dead *positions) error {
	x, live := &s.index.byRow, s.files.at[location]
	rows := live.data.Count()
	if rows > math.MaxUint32-int64(x.next) {
		return errStale // numbers have run out: those of files that are gone are free again
	}
	f := &numberedFile{location: location, first: x.next, rows: rows, vector: s.files.vectorOf(location), dead: dead}
	x.next += uint32(rows)
	x.files[location], x.order = f, append(x.order, f)
	row := int64(0)
	take := func(_ int, _ int64, hashes []keyindex.Hash) error {
		for _, h := range hashes {
			if err := s.put(f, row, h); err != nil {
				return err
			}
			row++
		}
		return nil
	}
	if err := s.keys(ctx, r, live, take); err != nil {
		return err
	}
	if row != rows {
		return fmt.Errorf("%w: %s has %d rows, its manifest says %d", ErrForeign, location, row, rows)
	}
	return nil
}

func (s *rowSync) keys(ctx context.Context, r *keyReader, live liveFile, take func(int, int64, []keyindex.Hash) error) error {
	groups := s.index.written[live.data.FilePath()]
	if groups == nil {
		return r.read(ctx, live, take)
	}
	for i, g := range groups {
		if err := take(i, g.rows, g.hashes); err != nil {
			return err
		}
	}
	return nil
}

// put points a key to a row. One that is at another live row too is one that the
// table holds twice.
func (s *rowSync) put(f *numberedFile, row int64, h keyindex.Hash) error {
	if f.dead.has(row) {
		return nil
	}
	x := &s.index.byRow
	if before := x.place(x.keys.Put(h, f.first+uint32(row))); before.file != nil {
		return duplicateKey(s.table.ID.String(), before.file.location, f.location)
	}
	return nil
}

// sweep takes out entries that mean nothing, once they are many.
func (x *rowIndex) sweep() {
	const few = 1 << 12
	live := int64(0)
	for _, f := range x.order {
		live += f.rows - f.dead.len()
	}
	if int64(x.keys.Len())-live < few+live/4 {
		return
	}
	x.keys.Retain(func(number uint32) bool { return x.place(number).file != nil })
}

// locateRows is at which live row each key is.
func (x *tableIndex) locateRows(hashes []keyindex.Hash) []rowPlace {
	x.mu.Lock()
	defer x.mu.Unlock()
	places := make([]rowPlace, len(hashes))
	for i, h := range hashes {
		places[i] = x.byRow.at(h)
	}
	return places
}

// rememberVector keeps a deletion vector that was written, in case it is
// committed.
func (x *tableIndex) rememberVector(id string, set *positions) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.writtenVectors == nil {
		x.writtenVectors = map[string]*positions{}
	}
	x.writtenVectors[id] = set
}
