package lakehouse

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/lakehouse/internal/keyindex"
	"github.com/calvelake/calve/runtime/record"
)

// changeSet is what an epoch changes in a keyed table, by key. Of several
// changes of a key the last counts: whether a row is created, updated or deleted
// follows from what the table holds, so that the earlier ones leave nothing.
type changeSet struct {
	table  *Table
	mem    memory.Allocator
	hasher *keyHasher

	parts  []arrow.RecordBatch // as they came, in the table's order and types
	bytes  int64               // of parts, about
	ops    []record.Op
	hashes []keyindex.Hash
	at     keyindex.Table // by key: its last change, counted from 1

	rows arrow.RecordBatch // one a change, once join was called
	seen []uint64          // bits by hash: only keys whose bit is set are changed
}

func newChangeSet(t *Table, mem memory.Allocator) *changeSet {
	return &changeSet{table: t, mem: mem, hasher: t.keyHasher()}
}

// add takes changes. It keeps references to the rows' columns.
func (s *changeSet) add(ctx context.Context, ops []record.Op, rows arrow.RecordBatch) error {
	ordered, err := s.table.order(ctx, rows, s.mem)
	if err != nil {
		return err
	}
	hashes, err := s.hasher.hashes(ordered, nil)
	if err != nil {
		ordered.Release()
		return err
	}
	for i, h := range hashes {
		s.at.Put(h, uint32(len(s.hashes)+i+1))
	}
	s.parts = append(s.parts, ordered)
	s.bytes += bytesOf(ordered)
	s.ops, s.hashes = append(s.ops, ops...), append(s.hashes, hashes...)
	return nil
}

// bytesOf is about how much memory the rows of a batch take.
func bytesOf(rows arrow.RecordBatch) (total int64) {
	for _, c := range rows.Columns() {
		total += int64(c.Data().SizeInBytes())
	}
	return total
}

// join puts the last change of each key into one batch of rows. The changes
// that were superseded are gone then.
func (s *changeSet) join() error {
	rows, err := concatenate(s.table.arrow, s.parts, s.mem)
	if err != nil {
		return fmt.Errorf("join changes of %s: %w", s.table.ID, err)
	}
	s.dropParts()
	s.rows = rows
	if s.at.Len() == len(s.hashes) {
		return nil
	}
	var last []int
	for i, h := range s.hashes {
		if s.at.Get(h) == uint32(i+1) {
			last = append(last, i)
		}
	}
	defer rows.Release()
	if s.rows, err = record.Take(rows, last, s.mem); err != nil {
		s.rows = nil
		return fmt.Errorf("join changes of %s: %w", s.table.ID, err)
	}
	for to, from := range last {
		s.ops[to], s.hashes[to] = s.ops[from], s.hashes[from]
		s.at.Put(s.hashes[to], uint32(to+1))
	}
	s.ops, s.hashes = s.ops[:len(last)], s.hashes[:len(last)]
	return nil
}

// conform gives the joined rows the columns of the table as it is now, which may
// have more than it had when they were taken, or types promoted from theirs.
func (s *changeSet) conform(ctx context.Context, t *Table) error {
	rows, err := t.order(ctx, s.rows, s.mem)
	if err != nil {
		return err
	}
	s.rows.Release()
	s.rows = rows
	return nil
}

// changed tells of the rows of a data file which give way: for each the number
// of the change of its key, or -1, and how many do.
func (s *changeSet) changed(hashes []keyindex.Hash, into []int) (changes []int, count int) {
	into = slices.Grow(into[:0], len(hashes))
	s.mark()
	mask := uint64(len(s.seen))*64 - 1
	for _, h := range hashes {
		change := -1
		if bit := h[1] & mask; s.seen[bit/64]>>(bit%64)&1 == 1 {
			change = s.of(h)
		}
		if change >= 0 {
			count++
		}
		into = append(into, change)
	}
	return into, count
}

// mark sets the bits of changed keys. Of a thousand rows that are looked up few
// are changed, and sixteen bits a key fit into a cache where the keys do not.
func (s *changeSet) mark() {
	if s.seen != nil {
		return
	}
	s.seen = make([]uint64, 1<<bits.Len(uint(len(s.hashes)/4)))
	mask := uint64(len(s.seen))*64 - 1
	for _, h := range s.hashes {
		bit := h[1] & mask
		s.seen[bit/64] |= 1 << (bit % 64)
	}
}

// of is the number of the change of a key, -1 if it is not changed.
func (s *changeSet) of(h keyindex.Hash) int { return int(s.at.Get(h)) - 1 }

// writtenRows is how many rows of changes are gathered at once.
const writtenRows = 16 << 10

// write writes the rows of some changes, in that order or, where current rows lie
// apart, in that of their keys.
func (s *changeSet) write(ctx context.Context, to *groupWriter, order []int) error {
	if to.table.current != "" {
		if err := sortByKey(to.table, s.rows, order); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(order, writtenRows) {
		rows, err := record.Take(s.rows, part, s.mem)
		if err != nil {
			return fmt.Errorf("gather changed rows of %s: %w", s.table.ID, err)
		}
		err = to.write(ctx, rows)
		rows.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *changeSet) release() {
	s.dropParts()
	if s.rows != nil {
		s.rows.Release()
		s.rows = nil
	}
}

func (s *changeSet) dropParts() {
	for _, p := range s.parts {
		p.Release()
	}
	s.parts, s.bytes = nil, 0
}

// concatenate is the rows of batches one after another. The caller releases it.
func concatenate(schema *arrow.Schema, batches []arrow.RecordBatch, mem memory.Allocator) (arrow.RecordBatch, error) {
	if len(batches) == 1 {
		batches[0].Retain()
		return batches[0], nil
	}
	columns := make([]arrow.Array, 0, schema.NumFields())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	var rows int64
	for _, b := range batches {
		rows += b.NumRows()
	}
	for i, f := range schema.Fields() {
		if len(batches) == 0 {
			columns = append(columns, array.MakeArrayOfNull(mem, f.Type, 0))
			continue
		}
		parts := make([]arrow.Array, len(batches))
		for j, b := range batches {
			parts[j] = b.Column(i)
		}
		if err := checkTextBytes(parts, math.MaxInt32); err != nil {
			return nil, fmt.Errorf("column %s: %w", f.Name, err)
		}
		joined, err := array.Concatenate(parts, mem)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", f.Name, err)
		}
		columns = append(columns, joined)
	}
	return array.NewRecordBatch(schema, columns, rows), nil
}

// checkTextBytes refuses texts of one column that together have more bytes than
// the offsets of an Arrow array reach.
func checkTextBytes(parts []arrow.Array, most int64) error {
	var total int64
	for _, p := range parts {
		if p.Len() == 0 {
			continue // it may have no offsets
		}
		switch p := p.(type) {
		case *array.String:
			total += int64(len(p.ValueBytes()))
		case *array.Binary:
			total += int64(len(p.ValueBytes()))
		}
	}
	if total > most {
		return fmt.Errorf("the changes of one epoch have %d bytes in it, and it holds %d at most; let epochs be smaller (commit.max_bytes), or, where a model shows rows that were made anew, which it does in one epoch, rename it so that a new table is filled part by part", total, most)
	}
	return nil
}
