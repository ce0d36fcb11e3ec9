package session

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// tally is a plugin that counts and sums bytes. It refuses rows of
// refusedBytes, and sessions by their number of rows.
type tally struct {
	calls       int
	refuseMerge bool
	blind       bool // makes the same columns of all sessions of a key
}

const (
	refusedBytes = 13
	refuses      = 5 // of so many rows one session is refused, one left out
)

func tallyState() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int64}, {Name: "sum", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "least", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
}

func tallyAdds() []arrow.Field {
	return []arrow.Field{{Name: "tallied", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "over", Type: arrow.FixedWidthTypes.Boolean, Nullable: true}}
}

func withTally(t testing.TB, spec Spec) Spec {
	t.Helper()
	spec.Plugin, spec.PluginInput, spec.Adds = &tally{}, []string{"page", "bytes"}, tallyAdds()
	return spec
}

func (p *tally) StateSchema() *arrow.Schema { return tallyState() }

func (p *tally) Initial(n int) (arrow.RecordBatch, error) {
	return tallies(slices.Repeat([]tallied{{}}, n)), nil
}

type tallied struct {
	n, sum int64
	least  string // "" for null
}

func tallies(rows []tallied) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, tallyState())
	defer b.Release()
	for _, r := range rows {
		b.Field(0).(*array.Int64Builder).Append(r.n)
		b.Field(1).(*array.Int64Builder).Append(r.sum)
		if r.least == "" {
			b.Field(2).AppendNull()
		} else {
			b.Field(2).(*array.StringBuilder).Append(r.least)
		}
	}
	return b.NewRecordBatch()
}

func talliedOf(state arrow.RecordBatch) []tallied {
	out := make([]tallied, state.NumRows())
	for i := range out {
		out[i] = tallied{n: state.Column(0).(*array.Int64).Value(i), sum: state.Column(1).(*array.Int64).Value(i)}
		if c := state.Column(2).(*array.String); c.IsValid(i) {
			out[i].least = c.Value(i)
		}
	}
	return out
}

func (a tallied) with(b tallied) tallied {
	least := min(a.least, b.least)
	if least == "" {
		least = cmp.Or(a.least, b.least)
	}
	return tallied{a.n + b.n, a.sum + b.sum, least}
}

func (p *tally) Accumulate(_ context.Context, rows arrow.RecordBatch, groups []uint32, state arrow.RecordBatch) (Update, error) {
	p.calls++
	all, out := talliedOf(state), Update{}
	pages, bytes := rows.Column(0).(*array.String), rows.Column(1).(*array.Int64)
	for i, g := range groups {
		if i > 0 && g != groups[i-1] && g != groups[i-1]+1 || i == 0 && g != 0 {
			return Update{}, fmt.Errorf("groups %v are not in order", groups)
		}
		if bytes.IsValid(i) && bytes.Value(i) == refusedBytes {
			out.Errors = append(out.Errors, RowError{Row: i, Code: "unlucky", Column: "bytes", Message: "13"})
			continue
		}
		one := tallied{n: 1}
		if bytes.IsValid(i) {
			one.sum = bytes.Value(i)
		}
		if pages.IsValid(i) {
			one.least = pages.Value(i)
		}
		all[g] = all[g].with(one)
	}
	if len(groups) > 0 && int(groups[len(groups)-1]) != len(all)-1 {
		return Update{}, fmt.Errorf("%d groups and %d rows of state", groups[len(groups)-1]+1, len(all))
	}
	out.State = tallies(all)
	return out, nil
}

func (p *tally) Merge(_ context.Context, into, from arrow.RecordBatch) (Update, error) {
	a, b, out := talliedOf(into), talliedOf(from), Update{}
	for i := range a {
		if p.refuseMerge {
			out.Errors = append(out.Errors, RowError{Row: i, Code: "apart", Message: "no merge"})
			continue
		}
		a[i] = a[i].with(b[i])
	}
	out.State = tallies(a)
	return out, nil
}

// show is what Finish makes of a session of one key column or several.
func (p *tally) show(key string, a tallied) string {
	if p.blind {
		return key
	}
	return fmt.Sprintf("%s n=%d sum=%d least=%s", key, a.n, a.sum, a.least)
}

func (p *tally) Finish(_ context.Context, sessions arrow.RecordBatch, _ int64) (Finished, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(tallyAdds(), nil))
	defer b.Release()
	out := Finished{Origin: []int32{}}
	key, counts, closed := sessions.Column(3), sessions.Column(6).(*array.Int64), sessions.Column(7).(*array.Boolean)
	for i, a := range talliedOf(sessions) {
		if a.n != counts.Value(i) {
			return Finished{}, fmt.Errorf("session %d has %d rows in state and %d of the host's", i, a.n, counts.Value(i))
		}
		switch a.n % refuses {
		case 3:
			continue
		case 4:
			out.Errors = append(out.Errors, RowError{Row: i, Code: "odd", Message: "four"})
			continue
		}
		out.Origin = append(out.Origin, int32(i))
		b.Field(0).(*array.StringBuilder).Append(p.show(key.ValueStr(i), a))
		b.Field(1).(*array.BooleanBuilder).Append(closed.Value(i) && !p.blind)
	}
	out.Rows = b.NewRecordBatch()
	return out, nil
}
