package pipeline

import (
	"bytes"
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// HeldPart names the part of the state where the rows of a keyed model are that
// are made anew and not shown yet. No model has a name with a space.
func HeldPart(model string) string { return "rows of " + model }

// heldRows are rows that a keyed model makes anew, by key, until its table shows
// them. Keys of the part begin with what they are:
//
//	s         the columns
//	r <key>   a row, its columns as rowcodec writes them
//	l <id>    what became of a dead letter of the model, an Outcome
//
// so that rows may be as many as a table has, and outlive the process.
type heldRows struct {
	store keyvalue.Store
	table *lakehouse.Table
	mem   memory.Allocator
	key   []int // the columns of the key
}

const (
	heldColumns = 's'
	heldRow     = 'r'
	heldLetter  = 'l'
)

// heldAtOnce bounds the rows that are written, or compared, at once.
const heldAtOnce = 16 << 10

func (p *Pipeline) heldRows(k *keyed) (*heldRows, error) {
	store, err := p.parts.State.Part(HeldPart(k.Name))
	if err != nil {
		return nil, fmt.Errorf("open what is held back of model %s: %w", k.Name, err)
	}
	h := &heldRows{store: store, table: k.Table, mem: p.parts.Allocator}
	for _, name := range k.Table.Key() {
		h.key = append(h.key, k.Table.Schema().FieldIndices(name)...)
	}
	return h, nil
}

func (h *heldRows) columns() []byte { return []byte(h.table.Schema().String()) }

// fits tells whether what is held has the columns that the table has now, or
// nothing is held.
func (h *heldRows) fits() (bool, error) {
	values, err := h.store.Get([][]byte{{heldColumns}})
	if err != nil {
		return false, err
	}
	return values[0] == nil || bytes.Equal(values[0], h.columns()), nil
}

// put takes what an operator changed.
func (h *heldRows) put(ctx context.Context, changes record.Changelog) error {
	if changes.Len() == 0 {
		return nil
	}
	rows, err := h.table.Conform(ctx, changes.Rows, h.mem)
	if err != nil {
		return err
	}
	defer rows.Release()
	writes := []keyvalue.Change{{Key: []byte{heldColumns}, Value: h.columns()}}
	for i, op := range changes.Ops {
		w := keyvalue.Change{Key: h.keyOf(rows, i)}
		if op != record.OpDelete {
			w.Value = rowcodec.AppendRow([]byte{}, rows.Columns(), i)
		}
		if writes = append(writes, w); len(writes) >= heldAtOnce {
			if err := h.store.Write(writes); err != nil {
				return err
			}
			writes = writes[:0]
		}
	}
	return h.store.Write(writes)
}

func (h *heldRows) keyOf(rows arrow.RecordBatch, row int) []byte {
	columns := make([]arrow.Array, len(h.key))
	for i, at := range h.key {
		columns[i] = rows.Column(at)
	}
	return rowcodec.AppendRow([]byte{heldRow}, columns, row)
}

// compare visits what the table is to change so that it has the rows that are
// held: rows that are right are left alone. Of the part it leaves the rows that
// the table did not have.
func (h *heldRows) compare(ctx context.Context, visit func(record.Changelog) error) error {
	var names []string
	for _, f := range h.table.Schema().Fields() {
		names = append(names, f.Name)
	}
	_, err := h.table.Rows(ctx, names, func(_ lakehouse.RowsFile, shown arrow.RecordBatch) error {
		rows, err := h.table.Conform(ctx, shown, h.mem)
		if err != nil {
			return err
		}
		defer rows.Release()
		for from := int64(0); from < rows.NumRows(); from += heldAtOnce {
			part := rows.NewSlice(from, min(from+heldAtOnce, rows.NumRows()))
			err := h.compareRows(part, visit)
			part.Release()
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return h.created(visit)
}

// compareRows does so for rows of the table.
func (h *heldRows) compareRows(rows arrow.RecordBatch, visit func(record.Changelog) error) error {
	keys := make([][]byte, rows.NumRows())
	for i := range keys {
		keys[i] = h.keyOf(rows, i)
	}
	held, err := h.store.Get(keys)
	if err != nil {
		return err
	}
	var updated [][]byte
	var deleted []int
	var known []keyvalue.Change
	for i, row := range held {
		switch {
		case row == nil:
			deleted = append(deleted, i)
			continue
		case !bytes.Equal(row, rowcodec.AppendRow(nil, rows.Columns(), i)):
			updated = append(updated, row)
		}
		known = append(known, keyvalue.Change{Key: keys[i]})
	}
	if err := h.store.Write(known); err != nil {
		return err
	}
	if len(deleted) > 0 {
		gone, err := record.Take(rows, deleted, h.mem)
		if err != nil {
			return err
		}
		if err := visitChanges(record.OpDelete, gone, visit); err != nil {
			return err
		}
	}
	return h.changed(record.OpUpdate, updated, visit)
}

// created visits the rows that are left: the table has none with their keys.
func (h *heldRows) created(visit func(record.Changelog) error) error {
	from, to := []byte{heldRow}, keyvalue.Behind([]byte{heldRow})
	for from != nil {
		var rows [][]byte
		next := []byte(nil)
		err := h.store.Scan(from, to, func(key, row []byte) (bool, error) {
			if len(rows) == heldAtOnce {
				next = bytes.Clone(key)
				return false, nil
			}
			rows = append(rows, bytes.Clone(row))
			return true, nil
		})
		if err != nil {
			return err
		}
		if err := h.changed(record.OpCreate, rows, visit); err != nil {
			return err
		}
		from = next
	}
	return nil
}

// changed visits rows that are held, all changed in one way.
func (h *heldRows) changed(op record.Op, rows [][]byte, visit func(record.Changelog) error) error {
	if len(rows) == 0 {
		return nil
	}
	batch, err := rowcodec.Batch(h.table.Schema(), rows, h.mem)
	if err != nil {
		return fmt.Errorf("read rows that are held back: %w", err)
	}
	return visitChanges(op, batch, visit)
}

// visitChanges releases the rows.
func visitChanges(op record.Op, rows arrow.RecordBatch, visit func(record.Changelog) error) error {
	defer rows.Release()
	ops := make([]record.Op, rows.NumRows())
	for i := range ops {
		ops[i] = op
	}
	return visit(record.Changelog{Ops: ops, Rows: rows})
}

func letterKey(id lakehouse.LetterID) []byte { return append([]byte{heldLetter}, id[:]...) }

// note keeps what became of dead letters.
func (h *heldRows) note(outcomes map[lakehouse.LetterID]lakehouse.Outcome) error {
	var writes []keyvalue.Change
	for id, outcome := range outcomes {
		writes = append(writes, keyvalue.Change{Key: letterKey(id), Value: []byte(outcome)})
	}
	if len(writes) == 0 {
		return nil
	}
	return h.store.Write(writes)
}

// outcomes is what was noted of letters, "" where nothing was.
func (h *heldRows) outcomes(letters []lakehouse.Letter) ([]lakehouse.Outcome, error) {
	keys := make([][]byte, len(letters))
	for i := range letters {
		keys[i] = letterKey(letters[i].ID())
	}
	values, err := h.store.Get(keys)
	if err != nil {
		return nil, err
	}
	all := make([]lakehouse.Outcome, len(letters))
	for i, v := range values {
		all[i] = lakehouse.Outcome(v)
	}
	return all, nil
}
