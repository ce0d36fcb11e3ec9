package aggregate

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
)

var argumentTypes = []string{"boolean", "int", "long", "float", "double", "decimal(10,2)", "decimal(38,4)", "string", "binary", "date", "timestamptz", "timestamp"}

// callsOver lists all calls that take a type.
func callsOver(typ arrow.DataType) []Call {
	calls := []Call{{Function: "count"}}
	for _, f := range []string{"count", "count_if", "sum", "avg", "min", "max", "any", "first", "last", "count_distinct", "approx_count_distinct"} {
		if _, err := ResultType(f, typ); err == nil {
			calls = append(calls, Call{f, typ})
		}
	}
	return calls
}

// randomRows are rows with places that no two share, with the edges of the
// type among their values.
func randomRows(g *rand.Rand, typ arrow.DataType, n int) []row {
	rows := make([]row, n)
	for i := range rows {
		rows[i].at = place{time: g.Int64N(5), topic: []string{"t", "u"}[g.IntN(2)], partition: g.Int32N(2), offset: int64(i), ordinal: g.Int32N(3)}
		if g.IntN(5) > 0 {
			rows[i].value = randomValue(g, typ)
		}
	}
	return rows
}

func randomValue(g *rand.Rand, typ arrow.DataType) any {
	switch typ := typ.(type) {
	case *arrow.BooleanType:
		return g.IntN(2) == 0
	case *arrow.Int32Type, *arrow.Date32Type:
		return []int64{0, 1, -1, math.MaxInt32, math.MinInt32, int64(int32(g.Uint32()))}[g.IntN(6)]
	case *arrow.Int64Type, *arrow.TimestampType:
		return []int64{0, 1, -1, math.MaxInt64, math.MinInt64, int64(g.Uint64()), g.Int64N(100)}[g.IntN(7)]
	case *arrow.Float32Type:
		return float64(math.Float32frombits(g.Uint32()))
	case *arrow.Float64Type:
		// NaN and infinities would hide everything else.
		edges := []float64{
			0, math.Copysign(0, -1), 1, -0.1, 1e308, -1e308, math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64,
			1 << 53, 1<<53 + 2, -1 << 53, 3, // sums of these are halfway between two doubles
			g.NormFloat64(), math.Ldexp(g.NormFloat64(), g.IntN(2000)-1000),
		}
		return edges[g.IntN(len(edges))]
	case *arrow.Decimal128Type:
		most := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(typ.Precision)), nil)
		v := new(big.Int).Mod(new(big.Int).Mul(new(big.Int).SetUint64(g.Uint64()), new(big.Int).SetUint64(g.Uint64())), most)
		if g.IntN(2) == 0 {
			v.Neg(v)
		}
		return v
	}
	return []string{"", "a", "ab", "b", strings.Repeat("long ", g.IntN(20)), fmt.Sprint(g.IntN(50))}[g.IntN(6)]
}

// expect computes a call of rows from its definition; a text that begins with !
// is a fault.
func expect(c Call, typ arrow.DataType, rows []row) any {
	var values []row
	for _, r := range rows {
		if r.value != nil {
			values = append(values, r)
		}
	}
	switch c.Function {
	case "count":
		if c.Argument == nil {
			return int64(len(rows))
		}
		return int64(len(values))
	case "count_if":
		return int64(len(slices.DeleteFunc(values, func(r row) bool { return r.value == false })))
	case "count_distinct":
		different := map[string]bool{}
		for _, r := range values {
			if r.value == math.Copysign(0, -1) {
				r.value = 0.0
			}
			different[fmt.Sprint(r.value)] = true
		}
		return int64(len(different))
	}
	if len(values) == 0 {
		return nil
	}
	byValue := func(a, b row) int { return compareAny(a.value, b.value) }
	byPlace := func(a, b row) int { return a.at.compare(b.at) }
	switch c.Function {
	case "min", "any":
		return slices.MinFunc(values, byValue).value
	case "max":
		return slices.MaxFunc(values, byValue).value
	case "first":
		return slices.MinFunc(values, byPlace).value
	case "last":
		return slices.MaxFunc(values, byPlace).value
	}
	return expectTotal(c, typ, values)
}

func compareAny(a, b any) int {
	switch a := a.(type) {
	case bool:
		if a == b.(bool) {
			return 0
		} else if a {
			return 1
		}
		return -1
	case int64:
		return cmp.Compare(a, b.(int64))
	case float64: // NaN is the greatest
		x, y := a, b.(float64)
		switch {
		case x < y || !math.IsNaN(x) && math.IsNaN(y):
			return -1
		case x > y || math.IsNaN(x) && !math.IsNaN(y):
			return 1
		}
		return 0
	case *big.Int:
		return a.Cmp(b.(*big.Int))
	}
	return strings.Compare(a.(string), b.(string))
}

const fault = "does not fit"

// expectTotal adds up rationals.
func expectTotal(c Call, typ arrow.DataType, values []row) any {
	sum, result := new(big.Rat), must(ResultType(c.Function, typ))
	for _, r := range values {
		switch v := r.value.(type) {
		case int64:
			sum.Add(sum, new(big.Rat).SetInt64(v))
		case *big.Int:
			sum.Add(sum, new(big.Rat).SetInt(v))
		case float64:
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return expectSpecial(values)
			}
			sum.Add(sum, new(big.Rat).SetFloat64(v))
		}
	}
	n := new(big.Rat).SetInt64(int64(len(values)))
	if result, ok := result.(*arrow.Decimal128Type); ok {
		if c.Function == "avg" {
			more := int64(result.Scale - typ.(*arrow.Decimal128Type).Scale)
			sum.Mul(sum, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(more), nil)))
			sum.Quo(sum, n)
		}
		digits, _ := new(big.Int).SetString(sum.FloatString(0), 10) // rounds half away from zero
		if new(big.Int).Abs(digits).Cmp(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(result.Precision)), nil)) >= 0 {
			return fault
		}
		return digits
	}
	if result.ID() == arrow.INT64 {
		if !sum.Num().IsInt64() {
			return fault
		}
		return sum.Num().Int64()
	}
	if c.Function == "avg" && classOf(typ) == classInteger {
		sum.Quo(sum, n)
	}
	f, _ := sum.Float64()
	switch {
	case math.IsInf(f, 0):
		return fault
	case c.Function == "avg" && classOf(typ) == classDouble:
		f /= float64(len(values)) // the sum is rounded first
	}
	return f
}

// expectSpecial adds up infinities and NaN.
func expectSpecial(values []row) float64 {
	total := 0.0
	for _, r := range values {
		if v := r.value.(float64); math.IsNaN(v) || math.IsInf(v, 0) {
			total += v
		}
	}
	return total
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// textOf is how a column shows a value.
func textOf(t *testing.T, typ arrow.DataType, value any) string {
	t.Helper()
	if value == fault {
		return fault
	}
	if v, ok := value.(float64); ok && v == 0 {
		value = 0.0
	}
	a := arrayOf(typ, []row{{value: value}})
	defer a.Release()
	return a.ValueStr(0)
}

// TestResultsAreThoseOfTheDefinition adds random rows in random order to groups
// that are merged, written and read at random.
func TestResultsAreThoseOfTheDefinition(t *testing.T) {
	for seed := range uint64(400) {
		g := rand.New(rand.NewPCG(seed, 1))
		typ := typeOf(t, argumentTypes[seed%uint64(len(argumentTypes))])
		calls := callsOver(typ)
		rows := randomRows(g, typ, 1+g.IntN(40))
		whole := split(t, g, calls, typ, rows)
		got := resultsOf(whole, 0)
		for i, c := range calls {
			if c.Function == "approx_count_distinct" {
				continue
			}
			want := textOf(t, must(ResultType(c.Function, c.Argument)), expect(c, typ, rows))
			if want == fault && strings.Contains(got[i], fault) {
				continue
			}
			if got[i] != want {
				t.Fatalf("seed %d: %s(%s) of %v: got %s, want %s", seed, c.Function, typeName(typ), rows, got[i], want)
			}
		}
		g.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		if a, b := whole.Append(nil, 0), split(t, g, calls, typ, rows).Append(nil, 0); !bytes.Equal(a, b) {
			t.Fatalf("seed %d: the state of %v over the same rows differs:\n%x\n%x", seed, calls, a, b)
		}
	}
}

// split adds rows to several slots, in batches of one topic each, and merges
// the slots to slot 0.
func split(t *testing.T, g *rand.Rand, calls []Call, typ arrow.DataType, rows []row) *Set {
	t.Helper()
	s := setOf(t, Limits{}, calls...)
	parts := 1 + g.IntN(4)
	s.Grow(parts)
	for from := 0; from < len(rows); {
		to := from + 1
		for to < len(rows) && rows[to].at.topic == rows[from].at.topic && rows[to].at.partition == rows[from].at.partition {
			to++
		}
		addParts(s, g, typ, rows[from:to], parts)
		from = to
		if g.IntN(3) == 0 {
			s = reload(t, s, parts, calls)
		}
	}
	for from := parts - 1; from > 0; from-- {
		s.Merge(g.IntN(from), from)
	}
	return s
}

// addParts adds each row to a slot, and twice none of it.
func addParts(s *Set, g *rand.Rand, typ arrow.DataType, rows []row, parts int) {
	noise := slices.Concat(rows[:1], rows, rows[:1])
	slots := make([]int32, len(noise))
	for i := range slots {
		slots[i] = g.Int32N(int32(parts))
	}
	slots[0], slots[len(slots)-1] = -1, -1
	a := arrayOf(typ, noise)
	defer a.Release()
	arguments := slices.Repeat([]arrow.Array{a}, len(s.calls))
	arguments[0] = nil // count()
	s.Add(rowsIn(noise, slots), arguments)
}

// reload writes and reads all slots, other numbers of them.
func reload(t *testing.T, s *Set, parts int, calls []Call) *Set {
	t.Helper()
	again := setOf(t, Limits{}, calls...)
	again.Grow(parts)
	for i := range parts {
		data := s.Append(nil, i)
		rest, err := again.Load(i, append(slices.Clone(data), "behind"...))
		if err != nil || string(rest) != "behind" {
			t.Fatalf("load %x: rest %q, %v", data, rest, err)
		}
		if got := again.Append(nil, i); !bytes.Equal(got, data) {
			t.Fatalf("state %x is %x when it was read", data, got)
		}
	}
	return again
}

func TestBytesThatEndEarlyAreRefused(t *testing.T) {
	for i, name := range argumentTypes {
		typ := typeOf(t, name)
		s := setOf(t, Limits{}, callsOver(typ)...)
		s.Grow(1)
		g := rand.New(rand.NewPCG(uint64(i), 3))
		addParts(s, g, typ, randomRows(g, typ, 1), 1)
		data := s.Append(nil, 0)
		for n := range data {
			again := setOf(t, Limits{}, callsOver(typ)...)
			again.Grow(1)
			if _, err := again.Load(0, data[:n]); !errors.Is(err, ErrState) {
				t.Fatalf("%s: %d of %d bytes: got %v, want ErrState", name, n, len(data), err)
			}
		}
	}
}

// FuzzLoad reads any bytes: what is read can be written, and be merged and
// shown.
func FuzzLoad(f *testing.F) {
	for i, name := range argumentTypes {
		typ := typeOf(f, name)
		s := setOf(f, Limits{}, callsOver(typ)...)
		s.Grow(1)
		g := rand.New(rand.NewPCG(uint64(i), 2))
		addParts(s, g, typ, randomRows(g, typ, 1), 1)
		f.Add(byte(i), s.Append(nil, 0))
	}
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		s := setOf(t, Limits{}, callsOver(typeOf(t, argumentTypes[int(which)%len(argumentTypes)]))...)
		s.Grow(2)
		if _, err := s.Load(0, data); err != nil {
			return
		}
		if _, err := s.Load(1, s.Append(nil, 0)); err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if a, b := s.Append(nil, 0), s.Append(nil, 1); !bytes.Equal(a, b) {
			t.Fatalf("state %x is %x when it was read again", a, b)
		}
		resultsOf(s, 0)
		s.Merge(0, 1)
		resultsOf(s, 0)
	})
}

func BenchmarkAdd(b *testing.B) {
	const rows, groups = 8192, 2000
	g := rand.New(rand.NewPCG(1, 1))
	for _, c := range []Call{{"count", nil}, {"sum", typeOf(b, "long")}, {"sum", typeOf(b, "double")}, {"max", typeOf(b, "timestamptz")}, {"first", typeOf(b, "string")}, {"count_distinct", typeOf(b, "long")}, {"approx_count_distinct", typeOf(b, "long")}} {
		b.Run(c.Function+"("+typeName(c.Argument)+")", func(b *testing.B) {
			typ := c.Argument
			if typ == nil {
				typ = arrow.PrimitiveTypes.Int64
			}
			made := make([]row, rows)
			slots := make([]int32, rows)
			for i := range made {
				made[i] = row{at: place{time: int64(i), offset: int64(i)}}
				slots[i] = g.Int32N(groups)
				switch typ.ID() {
				case arrow.FLOAT64:
					made[i].value = g.Float64() * 1000
				case arrow.STRING:
					made[i].value = fmt.Sprintf("/page/%d", g.IntN(100))
				default:
					made[i].value = g.Int64N(1000)
				}
			}
			a, in := arrayOf(typ, made), rowsIn(made, slots)
			arguments := []arrow.Array{a}
			if c.Argument == nil {
				arguments[0] = nil
			}
			s := setOf(b, Limits{}, c)
			s.Grow(groups)
			b.ResetTimer()
			for b.Loop() {
				s.Add(in, arguments)
			}
			b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
