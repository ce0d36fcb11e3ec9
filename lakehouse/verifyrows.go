package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record"
)

// readRows reads the positions of every model's table.
func (v *verifier) readRows(ctx context.Context) error {
	for _, m := range v.sorted() {
		t := v.tables[m.Table]
		if t == nil || t.table == nil {
			continue
		}
		if err := v.readModel(ctx, m, t); err != nil {
			return err
		}
		for _, tp := range slices.SortedFunc(maps.Keys(m.sources), record.TopicPartition.Compare) {
			s := m.sources[tp]
			if offset, ordinal, found := s.rows.ordinalGap(); found && !t.broken {
				at := finding{check: CheckOrdinals, model: m.Model, table: t.name, at: placeOf(tp, offset)}
				at.at.Row = ordinal
				v.note(at, fmt.Sprintf("a row with kafka_row %d before the one with %d", ordinal-1, ordinal), "none")
			}
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
	case !s.rows.add(at.Offset, at.Row):
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

// readLetters reads the dead letters of all models. Rows with a resolution tell
// what later became of a letter and are not letters themselves.
func (v *verifier) readLetters(ctx context.Context) error {
	t := v.tables[DeadLettersDefinition(v.lake.pipeline).ID.String()]
	if t.table == nil {
		return nil
	}
	columns := []string{"letter_id", "epoch", "model", "kafka_cluster_id", "kafka_topic_id", record.ColumnTopic, record.ColumnPartition, record.ColumnOffset, record.ColumnRow, "resolution"}
	err := scan(ctx, t.table, columns, func(r *columnReader) error {
		c := letterColumns{
			id: r.strings("letter_id"), model: r.strings("model"), cluster: r.strings("kafka_cluster_id"), topicID: r.strings("kafka_topic_id"),
			topic: r.strings(record.ColumnTopic), partition: r.int32s(record.ColumnPartition),
			offset: r.int64s(record.ColumnOffset), row: r.int32s(record.ColumnRow), epoch: r.int64s("epoch"),
		}
		resolution := r.strings("resolution")
		if r.err != nil {
			return r.err
		}
		t.rows += r.batch.NumRows()
		for i := range int(r.batch.NumRows()) {
			if resolution.IsNull(i) {
				v.letter(t, c, i)
			} else { // its epoch touched the table without a new letter
				v.touched[t.name] = max(v.touched[t.name], c.epoch.Value(i))
			}
		}
		return nil
	})
	if err != nil {
		return v.unreadable(t, err)
	}
	return nil
}

type letterColumns struct {
	id, model, cluster, topicID, topic *array.String
	partition, row                     *array.Int32
	offset, epoch                      *array.Int64
}

// letter takes one dead letter. Its id is a digest of the model and the
// position, so that ids are unique if they are what they must be and positions
// are.
func (v *verifier) letter(t *verifiedTable, c letterColumns, i int) {
	tp := record.TopicPartition{Topic: c.topic.Value(i), Partition: c.partition.Value(i)}
	at := finding{
		check: CheckLetter, model: c.model.Value(i), table: t.name, epoch: c.epoch.Value(i),
		at: &RowPlace{Topic: tp.Topic, Partition: tp.Partition, Offset: c.offset.Value(i), Row: c.row.Value(i)},
	}
	var s *sourceProof
	if m := v.models[at.model]; m != nil {
		at.model = m.Model
		s = m.sources[tp]
	} else {
		at.model = strings.Clone(at.model) // the batch is released
	}
	if s == nil || at.at.Row < 0 || !s.covers(at.at.Offset) {
		v.note(at, fmt.Sprintf("offsets %s, which the model's epochs took", s.describe()), "a dead letter outside of them")
		return
	}
	letter := DeadLetter{
		Model: at.model, Origin: record.Origin{ClusterID: c.cluster.Value(i), TopicID: c.topicID.Value(i)},
		Source: &record.Slice{TopicPartition: tp, Records: []record.Record{{Offset: at.at.Offset}}}, Reject: record.Reject{Row: at.at.Row},
	}
	if letter.Origin != s.origin {
		at.check = CheckSource
		v.note(at, fmt.Sprintf("cluster %s and topic id %s, which the model reads", s.origin.ClusterID, s.origin.TopicID),
			fmt.Sprintf("cluster %s and topic id %s", letter.Origin.ClusterID, letter.Origin.TopicID))
		at.check = CheckLetter
	}
	if want := letter.ID(); c.id.Value(i) != want {
		v.note(at, "letter_id "+want, c.id.Value(i))
	}
	if !s.letters.add(at.at.Offset, at.at.Row) {
		at.check = CheckDuplicateDead
		v.note(at, "the dead letter once", "it again")
	}
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
