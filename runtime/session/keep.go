package session

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// keptName is the surrogate key of a row that the table showed before sessions
// were made anew. Its session has an event at the time that is in the key.
type keptName struct {
	start, end int64 // of the row
	named      int64 // the time in the surrogate key, if it is known
	known      bool
	surrogate  string // else: the key, by which the event is found
}

// KeepColumns are the columns of the table that Keep asks for.
func (o *Operator) KeepColumns() []string {
	names := []string{o.spec.SurrogateKey}
	for _, f := range o.keyFields {
		names = append(names, f.Name)
	}
	return append(names, ColumnStart, ColumnEnd)
}

// Keep tells of rows that the table shows, before their events are taken once
// more by an operator with no state. A session that has the event at the time in
// the surrogate key of such a row gets that key, of several the earliest's.
func (o *Operator) Keep(rows arrow.RecordBatch) error {
	if err := o.know(); err != nil {
		return err
	}
	columns, err := o.keptColumns(rows)
	if err != nil {
		return err
	}
	natural, err := record.SurrogateKeys(columns[1:len(columns)-1], o.mem)
	if err != nil {
		return err
	}
	defer natural.Release()
	var parts []keyPart
	for _, c := range columns[1 : len(columns)-2] {
		parts = append(parts, keyPartOf(c))
	}
	surrogate, start, end := columns[0].(*array.String), columns[len(columns)-2].(*array.Timestamp), columns[len(columns)-1].(*array.Timestamp)
	names, order := map[string][]keptName{}, [][]byte(nil)
	for row := range int(rows.NumRows()) {
		key := []byte{spaceNames}
		for _, part := range parts {
			key = part(key, row)
		}
		if names[string(key)] == nil {
			order = append(order, key)
		}
		n := keptName{start: int64(start.Value(row)), end: int64(end.Value(row)), surrogate: surrogate.Value(row)}
		n.named, n.known = n.start, natural.Value(row) == n.surrogate
		names[string(key)] = append(names[string(key)], n)
	}
	o.keeps = true
	return o.writeNames(order, names)
}

// keptColumns are KeepColumns of rows.
func (o *Operator) keptColumns(rows arrow.RecordBatch) ([]arrow.Array, error) {
	fields := o.fixed()
	columns := make([]arrow.Array, len(fields))
	for i, f := range fields {
		at := rows.Schema().FieldIndices(f.Name)
		if len(at) != 1 || !arrow.TypeEqual(rows.Column(at[0]).DataType(), f.Type) || rows.Column(at[0]).NullN() > 0 {
			return nil, fmt.Errorf("keys of sessions of %s cannot be kept: the table has no column %s of %s without nulls", o.spec.Model, f.Name, record.FormatType(f.Type))
		}
		columns[i] = rows.Column(at[0])
	}
	return columns, nil
}

// writeNames adds names to those that are kept.
func (o *Operator) writeNames(order [][]byte, names map[string][]keptName) error {
	have, err := o.state.Get(order)
	if err != nil {
		return fmt.Errorf("read kept keys of sessions of %s: %w", o.spec.Model, err)
	}
	changes := []keyvalue.Change{{Key: []byte{spaceKept}, Value: []byte{stateFormat}}}
	for i, key := range order {
		value := have[i]
		for _, n := range names[string(key)] {
			value = n.append(value)
		}
		changes = append(changes, keyvalue.Change{Key: key, Value: value})
	}
	if err := o.state.Write(changes); err != nil {
		return fmt.Errorf("write kept keys of sessions of %s: %w", o.spec.Model, err)
	}
	return nil
}

// Kept ends what Keep began: sessions have their keys. It is called between two
// epochs.
func (o *Operator) Kept() error {
	if err := o.know(); err != nil || !o.keeps {
		return err
	}
	o.keeps = false
	for from := []byte{spaceNames}; from != nil; {
		changes, next := []keyvalue.Change{{Key: []byte{spaceKept}}}, []byte(nil)
		err := o.state.Scan(from, keyvalue.Behind([]byte{spaceNames}), func(key, _ []byte) (bool, error) {
			name := append([]byte(nil), key...)
			if len(changes) >= writeChanges {
				next = name
				return false, nil
			}
			changes = append(changes, keyvalue.Change{Key: name})
			return true, nil
		})
		if err != nil {
			return fmt.Errorf("read kept keys of sessions of %s: %w", o.spec.Model, err)
		}
		if err := o.state.Write(changes); err != nil {
			return fmt.Errorf("drop kept keys of sessions of %s: %w", o.spec.Model, err)
		}
		from = next
	}
	return nil
}

// append writes a name: start varint, end - start uvarint, then 1 and
// named - start varint, or 0 and the surrogate key behind its length.
func (n keptName) append(to []byte) []byte {
	to = binary.AppendUvarint(binary.AppendVarint(to, n.start), uint64(n.end)-uint64(n.start))
	if n.known {
		return binary.AppendVarint(append(to, 1), n.named-n.start)
	}
	return keyvalue.AppendBytes(append(to, 0), []byte(n.surrogate))
}

// loadNames reads the names that are kept for the keys that are held from a
// number on.
func (o *Operator) loadNames(from int) error {
	keys := make([][]byte, 0, len(o.entries)-from)
	for id := from; id < len(o.entries); id++ {
		keys = append(keys, append([]byte{spaceNames}, o.keys.key(int32(id))...))
	}
	values, err := o.state.Get(keys)
	if err != nil {
		return fmt.Errorf("read kept keys of sessions of %s: %w", o.spec.Model, err)
	}
	for i, data := range values {
		e := &o.entries[from+i]
		r := keyvalue.NewReader(data)
		for r.Err() == nil && len(r.Rest()) > 0 {
			n := keptName{start: r.Varint()}
			n.end = int64(uint64(n.start) + r.Uvarint())
			if n.known = r.Byte() == 1; n.known {
				n.named = n.start + r.Varint()
			} else {
				n.surrogate = string(r.Bytes())
				e.unknown++
			}
			e.names = append(e.names, n)
		}
		if r.Err() != nil {
			return fmt.Errorf("read kept keys of sessions of %s: %w", o.spec.Model, r.Err())
		}
	}
	return nil
}

// find finds the events at the times that are in surrogate keys, among the rows
// of a call of Take.
func (t *taking) find() error {
	var rows []int
	for row, slot := range t.slots {
		if slot < 0 || t.entries[t.ids[row]].unknown == 0 {
			continue
		}
		at := int64(t.times.Value(row))
		for _, n := range t.entries[t.ids[row]].names {
			if !n.known && n.start <= at && at <= n.end {
				rows = append(rows, row)
				break
			}
		}
	}
	if len(rows) == 0 {
		return nil
	}
	fields := append(append([]arrow.Field(nil), t.keyFields...), arrow.Field{Name: ColumnStart, Type: record.Timestamptz, Nullable: true})
	all := newBatch(arrow.NewSchema(fields, nil), append(append([]arrow.Array(nil), t.key...), t.times), int64(len(t.slots)))
	defer all.Release()
	some, err := record.Take(all, rows, t.mem)
	if err != nil {
		return err
	}
	defer some.Release()
	keys, err := record.SurrogateKeys(some.Columns(), t.mem)
	if err != nil {
		return err
	}
	defer keys.Release()
	for i, row := range rows {
		e := &t.entries[t.ids[row]]
		for j := range e.names {
			if n := &e.names[j]; !n.known && n.surrogate == keys.Value(i) {
				n.named, n.known, e.found = int64(t.times.Value(row)), true, true
				e.unknown--
			}
		}
	}
	return nil
}

// writeFound writes the names of a key, some of which have got their times.
func (e *ending) writeFound(w *stateWriter, key []byte, entry *entry) error {
	value := w.room()
	for _, n := range entry.names {
		value = n.append(value)
	}
	value = w.keep(value)
	return w.set(w.keep(append(append(w.room(), spaceNames), key...)), value)
}

// nameOf is the time in a session's surrogate key: that of the earliest row that
// was shown of its events, or its start.
func (e *entry) nameOf(s *session) int64 {
	earliest, named := int64(0), s.start
	for i, found := 0, false; i < len(e.names); i++ {
		n := &e.names[i]
		if n.known && s.start <= n.named && n.named <= s.end && (!found || n.start < earliest) {
			earliest, named, found = n.start, n.named, true
		}
	}
	return named
}

// rename gives the sessions whose rows are to be made the surrogate keys that they
// are to be shown with. None is shown yet, so that another one is given as long
// as their events come. It returns the rows that go by it and by what became one.
func (e *ending) rename() []row {
	gone := map[row]bool{}
	for _, r := range e.gone {
		gone[r] = true
	}
	for _, c := range e.chosen {
		s := &e.sessions[c.slot]
		name := e.entries[c.key].nameOf(s)
		if s.flags&flagNamed != 0 && s.named == name {
			continue
		}
		if s.flags&flagVisible != 0 {
			gone[row{c.key, s.named}] = true
			s.flags &^= flagVisible
		}
		s.named = name
		s.flags |= flagNamed
	}
	for _, c := range e.chosen {
		s := &e.sessions[c.slot]
		if of := (row{c.key, s.named}); s.flags&flagVisible == 0 && gone[of] { // the row of another session becomes its own
			delete(gone, of)
			s.flags |= flagVisible
		}
	}
	return slices.Collect(maps.Keys(gone)) // sorted by the caller
}
