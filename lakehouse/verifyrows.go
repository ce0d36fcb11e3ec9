package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/calvelake/calve/runtime/record"
)

// readRows reads the positions of every model's table. The ordinals of a
// record's rows may have holes: rows that where leaves out, or a data test
// refuses, keep theirs.
func (v *verifier) readRows(ctx context.Context) error {
	for _, m := range v.sorted() {
		t := v.tables[m.Table]
		if t == nil || t.table == nil {
			continue
		}
		read := v.readModel
		if v.isKeyed(m.Table) {
			read = v.readKeyed
		}
		if err := read(ctx, m, t); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) readModel(ctx context.Context, m *modelProof, t *verifiedTable) error {
	columns := []string{record.ColumnTopic, record.ColumnPartition, record.ColumnOffset, record.ColumnRow}
	var s *sourceProof
	err := scan(ctx, t.table, columns, func(r *columnReader) error {
		topic, partition := r.strings(record.ColumnTopic), r.int32s(record.ColumnPartition)
		offset, ordinal := r.int64s(record.ColumnOffset), r.int32s(record.ColumnRow)
		if r.err != nil {
			return r.err
		}
		t.rows += r.batch.NumRows()
		for i := range int(r.batch.NumRows()) {
			if topic.IsNull(i) || partition.IsNull(i) || offset.IsNull(i) || ordinal.IsNull(i) {
				v.positionless(m, t)
				continue
			}
			if s == nil || s.tp.Partition != partition.Value(i) || s.tp.Topic != topic.Value(i) {
				s = m.sources[record.TopicPartition{Topic: topic.Value(i), Partition: partition.Value(i)}]
			}
			at := RowPlace{Topic: topic.Value(i), Partition: partition.Value(i), Offset: offset.Value(i), Row: ordinal.Value(i)}
			v.row(m, t, s, at)
		}
		return nil
	})
	if err != nil {
		return v.unreadable(t, err)
	}
	return nil
}

func (v *verifier) positionless(m *modelProof, t *verifiedTable) {
	if first := v.count(finding{check: CheckUnaccounted, model: m.Model, table: t.name}); first != nil {
		first.Expected, first.Found = "every row to say which record it came from", "a row without a position, which no epoch wrote"
	}
}

// row takes one row of a model's table. s is nil if the model never read the
// row's TopicPartition.
func (v *verifier) row(m *modelProof, t *verifiedTable, s *sourceProof, at RowPlace) {
	switch {
	case s == nil || at.Row < 0 || !s.covers(at.Offset):
		v.badRow(finding{check: CheckUnaccounted, model: m.Model, table: t.name}, s, at)
	case len(s.lost) > 0 && s.gaveUp(at.Offset):
		v.badRow(finding{check: CheckLostRow, model: m.Model, table: t.name}, s, at)
	case s.isOpen(at.Offset, at.Row):
		v.badRow(finding{check: CheckUnresolved, model: m.Model, table: t.name}, s, at)
	case !s.rowsOf(at.Offset, at.Row).add(at.Offset, at.Row):
		v.badRow(finding{check: CheckDuplicateRow, model: m.Model, table: t.name}, s, at)
	}
}

func (v *verifier) badRow(f finding, s *sourceProof, at RowPlace) {
	f.at = &at
	first := v.count(f)
	if first == nil {
		return
	}
	switch f.check {
	case CheckUnaccounted:
		first.Expected, first.Found = fmt.Sprintf("offsets %s, which the model's epochs took", s.describe()), "a row outside of them"
	case CheckLostRow:
		first.Expected, first.Found = "no row of an offset that was given up as lost", "a row"
	case CheckUnresolved:
		first.Expected, first.Found = "no row of what is a dead letter that no request replayed", "a row"
	case CheckDuplicateRow:
		first.Expected, first.Found = "the row once", "it again"
	}
}

// describe lists the offsets that were taken.
func (s *sourceProof) describe() string {
	if s == nil || len(s.spans) == 0 {
		return "none"
	}
	text := fmt.Sprintf("[%d,%d)", s.spans[0].from, s.spans[0].to)
	if n := len(s.spans); n > 1 {
		text += fmt.Sprintf(" and %d more ranges up to %d", n-1, s.spans[n-1].to)
	}
	return text
}

// unreadable turns a data file that is not there into a counter-example, after
// which the table's rows are not counted, and returns any other error.
func (v *verifier) unreadable(t *verifiedTable, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	t.broken = true
	file := "a file of the table"
	var path *fs.PathError
	if errors.As(err, &path) {
		file = path.Path
	}
	v.note(finding{check: CheckMissingFile, table: t.name}, file, "no such object")
	return nil
}
