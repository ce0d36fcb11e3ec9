package lakehouse

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/calvelake/calve/runtime/record"
)

// takeReplay takes an audit row of a replay, and checks what it must say
// whatever the tables hold.
func (v *verifier) takeReplay(m *modelProof, r AuditRow) {
	f, g := r.Fate, r.Range
	tp := record.TopicPartition{Topic: g.Topic, Partition: g.Partition}
	at := finding{check: CheckAuditRow, model: m.Model, epoch: r.Epoch, at: placeOf(tp, 0)}
	switch {
	case g.From != 0 || g.To != 0 || len(g.Lost) > 0:
		v.note(at, "a replay to take no offsets", fmt.Sprintf("[%d,%d), %d delivered", g.From, g.To, g.Delivered))
	case g.Delivered != 0: // to a keyed model, for which replayed rows are new
		m.crowded = append(m.crowded, func() {
			v.note(at, "a replay to deliver no records", fmt.Sprintf("%d delivered", g.Delivered))
		})
	case f.WithRows+f.Dead+f.Filtered != 0:
		v.note(at, "a replay to move records from dead to others, as many", fmt.Sprintf("%+d with rows, %+d dead, %+d filtered", f.WithRows, f.Dead, f.Filtered))
	case f.WithRows < 0 || f.Filtered < 0 || f.Rows < f.WithRows || f.Letters < 0:
		v.note(at, "a replay to add", fmt.Sprintf("%+d with rows, %+d filtered, %+d rows, %+d dead letters", f.WithRows, f.Filtered, f.Rows, f.Letters))
	case r.Table != m.Table && m.current && r.Table != "":
		v.note(at, fmt.Sprintf("the model's table to be %q", m.Table), fmt.Sprintf("%q", r.Table))
	}
	replay := m.source(tp).replay(r.Epoch)
	replay.rows++
	replay.fate = f
	replay.origin = record.Origin{ClusterID: strings.Clone(g.ClusterID), TopicID: strings.Clone(g.TopicID)}
}

// accountReplays compares the audit rows of replays with what the tables hold
// of them.
func (v *verifier) accountReplays() {
	for _, m := range v.sorted() {
		for _, tp := range slices.SortedFunc(maps.Keys(m.sources), record.TopicPartition.Compare) {
			v.accountReplaysOf(m, m.sources[tp])
		}
	}
}

func (v *verifier) accountReplaysOf(m *modelProof, s *sourceProof) {
	t := v.tables[m.Table]
	if t != nil && t.broken || len(s.replays) == 0 || m.keyed {
		return
	}
	if t != nil && t.table != nil {
		v.checkReplayedRows(m, s, t)
	}
	got := newRowSet() // records that have got their rows from replays
	for _, epoch := range slices.Sorted(maps.Keys(s.replays)) {
		replay := s.replays[epoch]
		at := finding{check: CheckReplay, model: m.Model, epoch: epoch, at: placeOf(s.tp, 0)}
		switch {
		case len(s.spans) == 0:
			v.note(at, "a replay of what the model's epochs took", "a TopicPartition that none took")
			continue
		case replay.rows != 1:
			v.note(at, fmt.Sprintf("one audit row for %d resolutions and %d new dead letters", replay.resolutions, replay.letters), fmt.Sprint(replay.rows))
			continue
		case replay.resolutions == 0:
			v.note(at, "resolutions of dead letters, as the audit row says", "none")
			continue
		case replay.origin != s.origin:
			at.check = CheckSource
			v.note(at, fmt.Sprintf("cluster %s and topic id %s", s.origin.ClusterID, s.origin.TopicID), fmt.Sprintf("cluster %s and topic id %s", replay.origin.ClusterID, replay.origin.TopicID))
			continue
		}
		want := record.Fate{Filtered: replay.filtered, Letters: replay.letters}
		for _, letter := range replay.took {
			if s.rows.count(letter.offset) == 0 && got.add(letter.offset, 0) {
				want.WithRows++
			}
			want.Rows += s.rowsReplayed(letter)
		}
		want.Dead = -want.WithRows - want.Filtered
		if t == nil || t.table == nil { // no rows to count
			want.Rows, want.WithRows, want.Dead = replay.fate.Rows, replay.fate.WithRows, replay.fate.Dead
		}
		if want != replay.fate {
			v.note(at, describeReplay(replay.fate)+", as the audit row says", describeReplay(want))
		}
	}
}

// rowsReplayed is how many rows the replay of a letter wrote. A record's rows
// are from the replay of its whole, but for those that were refused then and
// replayed on their own.
func (s *sourceProof) rowsReplayed(letter replayedLetter) int64 {
	if letter.ofRow {
		return 1
	}
	return s.again.count(letter.offset) - s.replayedRows.count(letter.offset)
}

// checkReplayedRows finds letters that are replayed, as their resolution says,
// and whose rows are not there.
func (v *verifier) checkReplayedRows(m *modelProof, s *sourceProof, t *verifiedTable) {
	at := finding{check: CheckResolution, model: m.Model, table: t.name}
	if offset, found := s.replayedWhole.offsetMissingIn(s.again); found {
		at.at = placeOf(s.tp, offset)
		v.note(at, "rows of a record that was replayed, as a resolution says", "none")
	}
	if offset, row, found := s.replayedRows.missingIn(s.again); found {
		at.at = placeOf(s.tp, offset)
		at.at.Row = row
		v.note(at, "the row that was replayed, as a resolution says", "none")
	}
}

func describeReplay(f record.Fate) string {
	return fmt.Sprintf("%+d records with rows, %+d dead, %+d filtered, %d rows, %d dead letters", f.WithRows, f.Dead, f.Filtered, f.Rows, f.Letters)
}
