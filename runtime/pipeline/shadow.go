package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/calvelake/calve/runtime/record"
)

// Shadow is a plugin that runs beside a model's own, on the same rows, and
// writes nothing: only how what it makes differs is told. Whatever it does, the
// run goes on as if it were not there, but for the time that it takes.
type Shadow struct {
	Plugin Transformer
	Ref    string
}

// Differences are those between what a model's plugin makes of rows and what
// its shadow does. Rows are compared by their place: TopicPartition, offset and
// the ordinal within the record.
type Differences struct {
	Equal         int64 // rows that both make alike
	Different     int64 // rows that both make, in some column otherwise
	OnlyCurrent   int64 // rows that the model's plugin makes and the shadow does not
	OnlyCandidate int64 // and the other way round

	CurrentErrors   int64 // row errors
	CandidateErrors int64

	// Uncompared counts rows on which the shadow failed as a whole, by more than
	// row errors; Failure is the first reason.
	Uncompared int64
	Failure    string

	Columns  map[string]int64 // rows that differ, by column
	Examples []Difference     // the first maxExamples
}

// Difference is one row that is not alike.
type Difference struct {
	At     record.TopicPartition
	Offset int64
	Row    int32  // its ordinal (kafka_row)
	Column string // "" if one of the two has no such row
	// Current and Candidate are the values as text, cut after maxExampleText
	// bytes; where Column is "", the row, or why there is none.
	Current, Candidate string
}

// Shadowed is what a run has found of one model's shadow, in epochs that were
// committed.
type Shadowed struct {
	Model  string
	Ref    string
	Digest string // of the shadow
	Differences
}

const (
	maxExamples    = 10
	maxExampleText = 200
)

// compare runs the shadow on the rows that the model's plugin was given and
// compares what the two made.
func (s *Shadow) compare(ctx context.Context, given record.Batch, current Applied) *Differences {
	rows, rejects, err := s.transform(ctx, given)
	if err != nil {
		return &Differences{Uncompared: given.Rows.NumRows(), Failure: clip(err.Error()), Columns: map[string]int64{}}
	}
	defer rows.Release()
	c := comparison{source: given.Source, current: sideOf(current.Rows, current.Rejects), candidate: sideOf(rows, rejects)}
	c.found.Columns = map[string]int64{}
	if !c.current.rows.Schema().Equal(c.candidate.rows.Schema()) {
		return &Differences{Uncompared: given.Rows.NumRows(), Failure: "its columns are not those of the model", Columns: map[string]int64{}}
	}
	c.run()
	return &c.found
}

// transform recovers: a fault in the reading of what a candidate returns is not
// to end the run, which does not depend on it.
func (s *Shadow) transform(ctx context.Context, given record.Batch) (rows record.Batch, rejects []record.Reject, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("BUG: the candidate's call panicked: %v", r)
		}
	}()
	return s.Plugin.Transform(ctx, given)
}

// add sums differences up.
func (d *Differences) add(other *Differences) {
	d.Equal += other.Equal
	d.Different += other.Different
	d.OnlyCurrent += other.OnlyCurrent
	d.OnlyCandidate += other.OnlyCandidate
	d.CurrentErrors += other.CurrentErrors
	d.CandidateErrors += other.CandidateErrors
	d.Uncompared += other.Uncompared
	d.Failure = cmp.Or(d.Failure, other.Failure)
	if d.Columns == nil {
		d.Columns = map[string]int64{}
	}
	for column, n := range other.Columns {
		d.Columns[column] += n
	}
	d.Examples = append(d.Examples, other.Examples[:min(len(other.Examples), maxExamples-len(d.Examples))]...)
}

// compare adds what the comparison of a slice found.
func (e *epoch) compare(o outcome) {
	if o.compared == nil {
		return
	}
	sum := e.compared[o.model.Name]
	if sum == nil {
		sum = &Differences{}
		e.compared[o.model.Name] = sum
	}
	sum.add(o.compared)
}

// reportShadows logs what a committed epoch's comparisons found.
func (p *Pipeline) reportShadows(e *epoch) {
	for _, model := range slices.Sorted(maps.Keys(e.compared)) {
		m, found := p.model(model), e.compared[model]
		attributes := append([]any{"epoch", e.number, "model", model, "candidate", m.Shadow.Ref}, found.attributes()...)
		p.parts.Logger.Info("shadow compared", attributes...)
		p.stats.shadowed(Shadowed{Model: model, Ref: m.Shadow.Ref, Digest: m.Shadow.Plugin.Digest()}, found)
	}
}

// attributes are for a log.
func (d *Differences) attributes() []any {
	return []any{
		"equal", d.Equal, "different", d.Different, "only_current", d.OnlyCurrent, "only_candidate", d.OnlyCandidate,
		"current_errors", d.CurrentErrors, "candidate_errors", d.CandidateErrors, "uncompared", d.Uncompared,
	}
}

// shadowed adds an epoch's differences to those of the run.
func (s *stats) shadowed(of Shadowed, found *Differences) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shadows == nil {
		s.shadows = map[string]*Shadowed{}
	}
	sum := s.shadows[of.Model]
	if sum == nil {
		sum = &of
		s.shadows[of.Model] = sum
	}
	sum.add(found)
}

func (s *Shadowed) clone() Shadowed {
	out := *s
	out.Columns, out.Examples = maps.Clone(s.Columns), slices.Clone(s.Examples)
	return out
}

// clip cuts a text to what an example shows.
func clip(text string) string {
	if len(text) <= maxExampleText {
		return text
	}
	cut := maxExampleText
	for cut > 0 && text[cut]&0xc0 == 0x80 { // not within a character
		cut--
	}
	return text[:cut] + " …"
}
