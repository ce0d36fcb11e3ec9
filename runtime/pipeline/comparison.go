package pipeline

import (
	"cmp"
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record"
)

// side is what one of two plugins made of the same rows.
type side struct {
	rows     arrow.RecordBatch
	places   []rowOf                  // of rows, in order
	refused  map[int32]*record.Reject // by record: it has no rows (see Applied)
	rejected map[rowOf]*record.Reject // single rows
	errors   int64
}

func sideOf(batch record.Batch, rejects []record.Reject) side {
	s := side{rows: batch.Rows, refused: map[int32]*record.Reject{}, rejected: map[rowOf]*record.Reject{}, errors: int64(len(rejects))}
	for i := range rejects {
		r := &rejects[i]
		if r.OfRow {
			s.rejected[rowOf{r.Record, r.Row}] = r
		} else if s.refused[r.Record] == nil {
			s.refused[r.Record] = r
		}
	}
	ordinals := batch.RowOrdinals()
	s.places = make([]rowOf, len(ordinals))
	for i, ordinal := range ordinals {
		s.places[i] = rowOf{batch.Records[i], ordinal}
	}
	return s
}

// skip is the first row at or behind i that is to be written.
func (s *side) skip(i int) int {
	for i < len(s.places) && s.refused[s.places[i].record] != nil {
		i++
	}
	return i
}

// absence says why a side has no row at a place.
func (s *side) absence(at rowOf) string {
	r := s.refused[at.record]
	if r == nil {
		r = s.rejected[at]
	}
	if r == nil {
		return "no row"
	}
	return clip("row error " + r.Code + ": " + r.Message)
}

// row is a row as text, for examples.
func (s *side) row(i int) string {
	var b strings.Builder
	for j, c := range s.rows.Columns() {
		if j > 0 {
			b.WriteString(", ")
		}
		b.WriteString(s.rows.ColumnName(j) + "=" + c.ValueStr(i))
		if b.Len() > maxExampleText {
			break
		}
	}
	return clip(b.String())
}

// comparison walks the rows of two sides side by side, by their places, in
// which both are in order.
type comparison struct {
	source             *record.Slice
	current, candidate side
	found              Differences
}

func (c *comparison) run() {
	c.found.CurrentErrors, c.found.CandidateErrors = c.current.errors, c.candidate.errors
	i, j := c.current.skip(0), c.candidate.skip(0)
	for i < len(c.current.places) || j < len(c.candidate.places) {
		switch order := c.order(i, j); {
		case order < 0:
			at := c.current.places[i]
			c.found.OnlyCurrent++
			c.example(at, Difference{Current: c.current.row(i), Candidate: c.candidate.absence(at)})
			i = c.current.skip(i + 1)
		case order > 0:
			at := c.candidate.places[j]
			c.found.OnlyCandidate++
			c.example(at, Difference{Current: c.current.absence(at), Candidate: c.candidate.row(j)})
			j = c.candidate.skip(j + 1)
		default:
			c.rows(i, j)
			i, j = c.current.skip(i+1), c.candidate.skip(j+1)
		}
	}
}

// order tells which side's row comes first; a side that has ended comes last.
func (c *comparison) order(i, j int) int {
	switch {
	case j == len(c.candidate.places):
		return -1
	case i == len(c.current.places):
		return 1
	}
	a, b := c.current.places[i], c.candidate.places[j]
	return cmp.Or(cmp.Compare(a.record, b.record), cmp.Compare(a.ordinal, b.ordinal))
}

// rows compares two rows of one place, column by column.
func (c *comparison) rows(i, j int) {
	equal := true
	for k, column := range c.current.rows.Columns() {
		other := c.candidate.rows.Column(k)
		if sameValue(column, i, other, j) {
			continue
		}
		equal = false
		name := c.current.rows.ColumnName(k)
		c.found.Columns[name]++
		c.example(c.current.places[i], Difference{Column: name, Current: clip(column.ValueStr(i)), Candidate: clip(other.ValueStr(j))})
	}
	if equal {
		c.found.Equal++
	} else {
		c.found.Different++
	}
}

func (c *comparison) example(at rowOf, d Difference) {
	if len(c.found.Examples) == maxExamples {
		return
	}
	d.At, d.Offset, d.Row = c.source.TopicPartition, c.source.Records[at.record].Offset, at.ordinal
	c.found.Examples = append(c.found.Examples, d)
}

// sameValue tells whether two values are alike. Not-a-number is like itself: it
// is what both made. Columns of these types are compared without an allocation
// a row.
func sameValue(a arrow.Array, i int, b arrow.Array, j int) bool {
	if a.IsNull(i) || b.IsNull(j) {
		return a.IsNull(i) == b.IsNull(j)
	}
	switch a := a.(type) {
	case *array.Int64:
		return a.Value(i) == b.(*array.Int64).Value(j)
	case *array.Int32:
		return a.Value(i) == b.(*array.Int32).Value(j)
	case *array.String:
		return a.Value(i) == b.(*array.String).Value(j)
	case *array.Timestamp:
		return a.Value(i) == b.(*array.Timestamp).Value(j)
	case *array.Boolean:
		return a.Value(i) == b.(*array.Boolean).Value(j)
	case *array.Float64:
		return sameFloat(a.Value(i), b.(*array.Float64).Value(j))
	case *array.Float32:
		return sameFloat(float64(a.Value(i)), float64(b.(*array.Float32).Value(j)))
	}
	return array.SliceEqual(a, int64(i), int64(i+1), b, int64(j), int64(j+1)) || a.ValueStr(i) == b.ValueStr(j)
}

func sameFloat(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
