package lakehouse

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record"
)

// sourceProof is what the audit table says of one model and TopicPartition.
type sourceProof struct {
	tp      record.TopicPartition
	origin  record.Origin // of the newest epoch
	originE int64         // its number
	epochs  int64
	spans   []span // taken, ascending, apart from each other
	lost    []Interval
	rows    *rowSet // what the model's table holds, but for what replays wrote
	letterProof
}

// source is what is known of a TopicPartition.
func (m *modelProof) source(tp record.TopicPartition) *sourceProof {
	s := m.sources[tp]
	if s == nil {
		tp.Topic = strings.Clone(tp.Topic)
		s = &sourceProof{tp: tp, rows: newRowSet(), letterProof: newLetterProof()}
		m.sources[tp] = s
	}
	return s
}

// span is offsets that one or more epochs took one after another.
type span struct {
	from, to    int64
	first, last int64 // epochs
}

func (s *sourceProof) proof() SourceProof {
	p := SourceProof{
		ClusterID: s.origin.ClusterID, TopicID: s.origin.TopicID, Topic: s.tp.Topic, Partition: s.tp.Partition,
		Epochs: s.epochs, Lost: s.lost,
	}
	if n := len(s.spans); n > 0 {
		p.From, p.To = s.spans[0].from, s.spans[n-1].to
	}
	return p
}

// covers tells whether an epoch took an offset.
func (s *sourceProof) covers(offset int64) bool {
	_, found := slices.BinarySearchFunc(s.spans, offset, func(sp span, at int64) int {
		switch {
		case sp.to <= at:
			return -1
		case sp.from > at:
			return 1
		}
		return 0
	})
	return found
}

// gaveUp tells whether an offset is an accepted loss.
func (s *sourceProof) gaveUp(offset int64) bool {
	return slices.ContainsFunc(s.lost, func(i Interval) bool { return i.From <= offset && offset < i.To })
}

// readRanges is the first pass over the audit table: which offsets each model
// took, and what it says became of them. Neighbouring ranges are joined at
// once, so that a year of epochs is a single span.
func (v *verifier) readRanges(ctx context.Context, audit *verifiedTable) error {
	if audit.table == nil {
		return nil
	}
	err := scanAudit(ctx, audit, func(r AuditRow) {
		audit.rows++
		v.last = max(v.last, r.Epoch)
		v.touch(r)
		m := v.models[r.Model]
		if m == nil {
			m = newModelProof(strings.Clone(r.Model), "")
			v.models[m.Model] = m
		}
		if !m.current && m.Table == "" {
			m.Table = strings.Clone(r.Table)
		}
		m.Delivered += r.Range.Delivered
		m.WithRows += r.Fate.WithRows
		m.Dead += r.Fate.Dead
		m.Filtered += r.Fate.Filtered
		m.Rows += r.Fate.Rows
		m.DeadLetters += r.Fate.Letters
		if r.Replays() {
			v.takeReplay(m, r)
			return
		}
		v.checkAuditRow(m, r)
		v.take(m, r)
	})
	if err != nil {
		return v.unreadable(audit, err)
	}
	for _, m := range v.models {
		for _, s := range m.sources {
			v.checkSpans(m, s)
		}
	}
	return nil
}

// touch notes which tables an epoch must have written.
func (v *verifier) touch(r AuditRow) {
	if r.Table != "" && r.Fate.Rows > 0 {
		v.touched[strings.Clone(r.Table)] = max(v.touched[r.Table], r.Epoch)
	}
	if letters := DeadLettersDefinition(v.lake.pipeline).ID.String(); r.Fate.Letters > 0 || r.Replays() && r.Range.Delivered == 0 { // a replay resolves letters
		v.touched[letters] = max(v.touched[letters], r.Epoch)
	}
}

// checkAuditRow checks what an audit row must say whatever the tables hold.
func (v *verifier) checkAuditRow(m *modelProof, r AuditRow) {
	f, g := r.Fate, r.Range
	tp := record.TopicPartition{Topic: g.Topic, Partition: g.Partition}
	at := finding{check: CheckAuditRow, model: m.Model, epoch: r.Epoch, at: placeOf(tp, g.From)}
	lost := int64(0)
	for _, i := range g.Lost {
		lost += i.To - i.From
		if i.From < g.From || i.To > g.To || i.From > i.To {
			v.note(at, fmt.Sprintf("accepted losses within [%d,%d)", g.From, g.To), fmt.Sprintf("[%d,%d)", i.From, i.To))
		}
	}
	switch {
	case g.From < 0 || g.From > g.To:
		v.note(at, "a range of offsets", fmt.Sprintf("[%d,%d)", g.From, g.To))
	case f.WithRows+f.Dead+f.Filtered != g.Delivered:
		v.note(at, fmt.Sprintf("%d records delivered to be with rows, dead or filtered", g.Delivered),
			fmt.Sprintf("%d + %d + %d", f.WithRows, f.Dead, f.Filtered))
	case g.Delivered > g.To-g.From-lost:
		m.crowded = append(m.crowded, func() {
			v.note(at, fmt.Sprintf("at most %d records of offsets [%d,%d), %d of them lost", g.To-g.From-lost, g.From, g.To, lost), fmt.Sprintf("%d delivered", g.Delivered))
		})
	case r.Table != m.Table && m.current:
		v.note(at, fmt.Sprintf("the model's table to be %q", m.Table), fmt.Sprintf("%q", r.Table))
	}
}

// take adds an epoch's range to what a model took of a TopicPartition.
func (v *verifier) take(m *modelProof, r AuditRow) {
	tp := record.TopicPartition{Topic: r.Range.Topic, Partition: r.Range.Partition}
	s := m.source(tp)
	s.epochs++
	s.lost = append(s.lost, r.Range.Lost...)
	origin := record.Origin{ClusterID: r.Range.ClusterID, TopicID: r.Range.TopicID}
	if s.originE != 0 && s.origin != origin {
		v.note(finding{check: CheckSource, model: m.Model, epoch: r.Epoch, at: placeOf(tp, r.Range.From)},
			fmt.Sprintf("cluster %s and topic id %s, as in epoch %d", s.origin.ClusterID, s.origin.TopicID, s.originE),
			fmt.Sprintf("cluster %s and topic id %s", origin.ClusterID, origin.TopicID))
	}
	if r.Epoch > s.originE {
		s.origin = record.Origin{ClusterID: strings.Clone(origin.ClusterID), TopicID: strings.Clone(origin.TopicID)}
		s.originE = r.Epoch
	}
	if r.Range.From < r.Range.To {
		v.join(m, s, span{r.Range.From, r.Range.To, r.Epoch, r.Epoch})
	}
}

// join adds a range to the spans, joining it with those that it touches.
func (v *verifier) join(m *modelProof, s *sourceProof, added span) {
	i, _ := slices.BinarySearchFunc(s.spans, added.from, func(sp span, from int64) int { return cmp.Compare(sp.to, from) })
	end := i
	for ; end < len(s.spans) && s.spans[end].from <= added.to; end++ {
		near := s.spans[end]
		at := finding{model: m.Model, epoch: added.first, at: placeOf(s.tp, max(near.from, added.from))}
		switch {
		case near.from < added.to && added.from < near.to:
			at.check = CheckAuditOverlap
			v.note(at, "each offset taken by one epoch", fmt.Sprintf("epoch %d took [%d,%d), epochs %d to %d took [%d,%d)",
				added.first, max(near.from, added.from), min(near.to, added.to), near.first, near.last, near.from, near.to))
		case near.to == added.from && near.last >= added.first, added.to == near.from && added.last >= near.first:
			at.check = CheckEpochOrder
			v.note(at, "offsets to rise with the number of the epoch", fmt.Sprintf("[%d,%d) in epochs %d to %d, [%d,%d) in epochs %d to %d",
				near.from, near.to, near.first, near.last, added.from, added.to, added.first, added.last))
		}
		added = span{min(added.from, near.from), max(added.to, near.to), min(added.first, near.first), max(added.last, near.last)}
	}
	s.spans = slices.Replace(s.spans, i, end, added)
}

// checkSpans finds what no epoch took between two that did.
func (v *verifier) checkSpans(m *modelProof, s *sourceProof) {
	slices.SortFunc(s.lost, func(a, b Interval) int { return cmp.Compare(a.From, b.From) })
	for i := 1; i < len(s.spans); i++ {
		before, after := s.spans[i-1], s.spans[i]
		if m.keyed && s.takesAgain(after.first) {
			continue // it came back to the project, and took its input's table in
		}
		at := finding{check: CheckAuditGap, model: m.Model, epoch: after.first, at: placeOf(s.tp, before.to)}
		v.note(at, fmt.Sprintf("epoch %d to go on at %d, where epoch %d ended", after.first, before.to, before.last),
			fmt.Sprintf("it begins at %d; no epoch took [%d,%d)", after.from, before.to, after.from))
	}
}

// takesAgain tells whether a keyed model took rows from its input's table in an
// epoch or later.
func (s *sourceProof) takesAgain(from int64) bool {
	for epoch, r := range s.replays {
		if f := r.fate; epoch >= from && f.WithRows+f.Dead+f.Filtered > 0 {
			return true
		}
	}
	return false
}

// account is the second pass: it compares each audit row with what the tables
// hold of its range.
func (v *verifier) account(ctx context.Context, audit *verifiedTable) error {
	if audit.table == nil {
		return nil
	}
	letters := v.tables[DeadLettersDefinition(v.lake.pipeline).ID.String()]
	err := scanAudit(ctx, audit, func(r AuditRow) {
		if r.Replays() {
			return
		}
		m := v.models[r.Model]
		tp := record.TopicPartition{Topic: r.Range.Topic, Partition: r.Range.Partition}
		s := m.sources[tp]
		from, to := r.Range.From, r.Range.To
		compare := func(check Check, t *verifiedTable, what string, expected, found int64) {
			if expected != found {
				v.note(finding{check: check, model: m.Model, table: t.name, epoch: r.Epoch, at: placeOf(tp, from)},
					fmt.Sprintf("%d %s in offsets [%d,%d), as the audit row says", expected, what, from, to), fmt.Sprint(found))
			}
		}
		if !letters.broken {
			compare(CheckLetters, letters, "dead letters", r.Fate.Letters, s.whole.within(from, to, nil).rows+s.single.within(from, to, nil).rows)
		}
		t := v.tables[m.Table]
		if t == nil || t.broken || m.keyed || letters.broken && len(s.replays) > 0 {
			return // no rows to tell records with rows from dead ones by, or replayed rows from others
		}
		rows := s.rows.within(from, to, nil)
		compare(CheckWithRows, t, "records with rows", r.Fate.WithRows, rows.offsets)
		compare(CheckRows, t, "rows", r.Fate.Rows, rows.rows)
		if !letters.broken {
			compare(CheckDead, letters, "records with dead letters and no row", r.Fate.Dead,
				s.whole.within(from, to, s.rows).offsets+s.single.within(from, to, s.rows).offsets)
		}
	})
	if err != nil {
		return v.unreadable(audit, err)
	}
	if !letters.broken {
		v.accountReplays()
	}
	return nil
}

// scanAudit reads the audit table. The strings of a row are valid until visit
// returns.
func scanAudit(ctx context.Context, audit *verifiedTable, visit func(AuditRow)) error {
	columns := []string{
		"epoch", "reader", "model", "table_name", "kafka_cluster_id", "kafka_topic_id", "kafka_topic", "kafka_partition",
		"from_offset", "to_offset", "leader_epoch", "lost", "delivered", "with_rows", "dead", "filtered", "rows", "dead_letters", "watermark",
	}
	return scan(ctx, audit.table, columns, func(r *columnReader) error {
		epoch, reader, model, tableName := r.int64s("epoch"), r.strings("reader"), r.strings("model"), r.strings("table_name")
		cluster, topicID, topic := r.strings("kafka_cluster_id"), r.strings("kafka_topic_id"), r.strings("kafka_topic")
		partition, from, to := r.int32s("kafka_partition"), r.int64s("from_offset"), r.int64s("to_offset")
		leader, lost, delivered := r.int32s("leader_epoch"), r.lists("lost"), r.int64s("delivered")
		withRows, dead, filtered := r.int64s("with_rows"), r.int64s("dead"), r.int64s("filtered")
		rows, letters, watermark := r.int64s("rows"), r.int64s("dead_letters"), r.times("watermark")
		if r.err != nil {
			return r.err
		}
		for i := range int(r.batch.NumRows()) {
			visit(AuditRow{
				Epoch: epoch.Value(i), Reader: reader.Value(i), Model: model.Value(i), Table: tableName.Value(i),
				Range: Range{
					ClusterID: cluster.Value(i), TopicID: topicID.Value(i), Topic: topic.Value(i), Partition: partition.Value(i),
					From: from.Value(i), To: to.Value(i), LeaderEpoch: leader.Value(i), Delivered: delivered.Value(i),
					Watermark: micros(watermark, i), Lost: intervalsAt(lost, i),
				},
				Fate: record.Fate{
					Delivered: delivered.Value(i), WithRows: withRows.Value(i), Dead: dead.Value(i), Filtered: filtered.Value(i),
					Rows: rows.Value(i), Letters: letters.Value(i),
				},
			})
		}
		return nil
	})
}

func intervalsAt(lost *array.List, i int) []Interval {
	if lost.IsNull(i) {
		return nil
	}
	start, end := lost.ValueOffsets(i)
	element := lost.ListValues().(*array.Struct)
	from, to := element.Field(0).(*array.Int64), element.Field(1).(*array.Int64)
	var out []Interval
	for j := start; j < end; j++ {
		out = append(out, Interval{From: from.Value(int(j)), To: to.Value(int(j))})
	}
	return out
}
