package lakehouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/calvelake/calve/runtime/record"
)

// letterProof is what is known of a model's dead letters of one
// TopicPartition. A record is dead as a whole (one letter) or some of its rows
// are (a letter each), never both.
type letterProof struct {
	whole  *rowSet // offsets, with ordinal 0
	single *rowSet // of one row
	later  *rowSet // of one row, refused when its record was replayed

	resolvedWhole, resolvedRows *rowSet // have any resolution
	closedWhole, closedRows     *rowSet // one that is final
	replayedWhole, replayedRows *rowSet // of those, the replayed ones
	again                       *rowSet // rows of the table that replays wrote

	replays map[int64]*replayProof // by epoch
}

func newLetterProof() letterProof {
	return letterProof{
		whole: newRowSet(), single: newRowSet(), later: newRowSet(),
		resolvedWhole: newRowSet(), resolvedRows: newRowSet(), closedWhole: newRowSet(), closedRows: newRowSet(),
		replayedWhole: newRowSet(), replayedRows: newRowSet(), again: newRowSet(),
		replays: map[int64]*replayProof{},
	}
}

// isOpen tells whether a row is of what was refused and never replayed.
func (p *letterProof) isOpen(offset int64, ordinal int32) bool {
	return p.whole.has(offset, 0) && !p.replayedWhole.has(offset, 0) ||
		(p.single.has(offset, ordinal) || p.later.has(offset, ordinal)) && !p.replayedRows.has(offset, ordinal)
}

// rowsOf is the set that a row belongs to: those that its record's epoch wrote,
// or those that a replay did.
func (s *sourceProof) rowsOf(offset int64, ordinal int32) *rowSet {
	if s.replayedWhole.has(offset, 0) || s.replayedRows.has(offset, ordinal) {
		return s.again
	}
	return s.rows
}

// readLetters reads the dead letters of all models and what became of them.
func (v *verifier) readLetters(ctx context.Context) error {
	t := v.tables[DeadLettersDefinition(v.lake.pipeline).ID.String()]
	if t.table == nil {
		return nil
	}
	err := scan(ctx, t.table, letterPlace, func(r *columnReader) error {
		c, err := placeColumns(r)
		if err != nil {
			return err
		}
		t.rows += r.batch.NumRows()
		for i := range int(r.batch.NumRows()) {
			v.letterRow(t, &c, i)
		}
		return nil
	})
	if err != nil {
		return v.unreadable(t, err)
	}
	for _, m := range v.models {
		for _, s := range m.sources {
			v.checkLetters(m, s, t)
		}
	}
	return nil
}

// letterRow takes one row of the table: a letter, or what became of one.
func (v *verifier) letterRow(t *verifiedTable, c *letterColumns, i int) {
	l := c.place(i)
	at := finding{
		check: CheckLetter, model: l.Model, table: t.name, epoch: l.Epoch,
		at: &RowPlace{Topic: l.Topic, Partition: l.Partition, Offset: l.Record.Offset, Row: l.Row},
	}
	var s *sourceProof
	keyed := false
	if m := v.models[l.Model]; m != nil {
		at.model = m.Model
		s, keyed = m.sources[l.TopicPartition], m.keyed
	} else {
		at.model = strings.Clone(l.Model) // the batch is released
	}
	takenIn := keyed && l.Reader == ReplayReader // from its input's table, and perhaps not for the first time
	if s == nil || l.Row < 0 || !takenIn && !s.covers(l.Record.Offset) {
		v.note(at, fmt.Sprintf("offsets %s, which the model's epochs took", s.describe()), "a dead letter outside of them")
		return
	}
	if l.Origin != s.origin && (!takenIn || s.originE != 0) {
		at.check = CheckSource
		v.note(at, fmt.Sprintf("cluster %s and topic id %s, which the model reads", s.origin.ClusterID, s.origin.TopicID),
			fmt.Sprintf("cluster %s and topic id %s", l.ClusterID, l.TopicID))
		at.check = CheckLetter
	}
	// The id is a digest of the model and the place, so that ids are unique if
	// they are what they must be and places are.
	if want := l.ID().String(); c.id.Value(i) != want {
		v.note(at, "letter_id "+want, c.id.Value(i))
	}
	switch {
	case c.isLetter(i) && takenIn:
		s.later.add(l.Record.Offset, l.Row)
	case c.isLetter(i):
		v.letter(at, s, &l)
	default:
		v.resolution(at, s, &l, Outcome(c.resolution.Value(i)))
	}
}

// letter takes one dead letter.
func (v *verifier) letter(at finding, s *sourceProof, l *Letter) {
	set := s.whole
	switch {
	case l.OfRow && l.Reader == ReplayReader:
		set = s.later
		s.replay(l.Epoch).letters++
	case l.OfRow:
		set = s.single
	case l.Reader == ReplayReader:
		v.note(at, "a replay to leave a record's letter as it is", "a new letter of the whole record")
		return
	}
	if !set.add(l.Record.Offset, l.Row) || l.OfRow && set == s.later && s.single.has(l.Record.Offset, l.Row) {
		at.check = CheckDuplicateDead
		v.note(at, "the dead letter once", "it again")
	}
}

// resolution takes what became of a letter.
func (v *verifier) resolution(at finding, s *sourceProof, l *Letter, outcome Outcome) {
	at.check = CheckResolution
	replay := s.replay(l.Epoch)
	replay.resolutions++
	resolved, closed, replayed := s.resolvedWhole, s.closedWhole, s.replayedWhole
	if l.OfRow {
		resolved, closed, replayed = s.resolvedRows, s.closedRows, s.replayedRows
	}
	resolved.add(l.Record.Offset, l.Row)
	switch outcome {
	case Refused:
		return
	case Replayed:
		replayed.add(l.Record.Offset, l.Row)
		replay.took = append(replay.took, replayedLetter{l.Record.Offset, l.OfRow})
	case Filtered:
		if !l.OfRow {
			replay.filtered++
		}
	case Discarded:
	default:
		v.note(at, "replayed, filtered, refused or discarded", fmt.Sprintf("%q", outcome))
	}
	if !closed.add(l.Record.Offset, l.Row) {
		v.note(at, "one resolution that closes the letter", "another one")
	}
}

// checkLetters checks what only all of the table's rows together tell.
func (v *verifier) checkLetters(m *modelProof, s *sourceProof, t *verifiedTable) {
	at := func(check Check, offset int64, row int32) finding {
		f := finding{check: check, model: m.Model, table: t.name, at: placeOf(s.tp, offset)}
		f.at.Row = row
		return f
	}
	if offset, found := s.single.offsetIn(s.whole); found {
		v.note(at(CheckLetter, offset, 0), "one dead letter of the whole record, or some of its rows", "both")
	}
	whole := []*rowSet{s.whole}
	if m.keyed {
		whole = append(whole, s.later)
	}
	if offset, _, found := s.resolvedWhole.missingIn(whole...); found {
		v.note(at(CheckResolution, offset, 0), "the dead letter that was resolved", "none")
	}
	if offset, row, found := s.resolvedRows.missingIn(s.single, s.later); found {
		v.note(at(CheckResolution, offset, row), "the dead letter that was resolved", "none")
	}
	if offset, found := s.later.offsetMissingIn(s.replayedWhole); found && !m.keyed {
		v.note(at(CheckLetter, offset, 0), "a dead letter of a replay to be of a record that was replayed", "a record that was not")
	}
}

// replay is what is known of an epoch's replay.
func (p *letterProof) replay(epoch int64) *replayProof {
	r := p.replays[epoch]
	if r == nil {
		r = &replayProof{}
		p.replays[epoch] = r
	}
	return r
}

// replayProof is what one epoch made of a model's dead letters of a
// TopicPartition.
type replayProof struct {
	rows        int64 // of the audit table that tell of it; must be 1
	fate        record.Fate
	origin      record.Origin
	resolutions int64
	took        []replayedLetter
	filtered    int64 // whole records
	letters     int64 // that came up new
}

type replayedLetter struct {
	offset int64
	ofRow  bool
}
