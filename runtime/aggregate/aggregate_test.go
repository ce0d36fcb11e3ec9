package aggregate

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
)

// row is one row of an argument, nil for null, with its place.
type row struct {
	value any // bool, int64, float64, string, *big.Int (a decimal's digits)
	at    place
}

func typeOf(t testing.TB, text string) arrow.DataType {
	t.Helper()
	typ, err := record.ParseType(text)
	if err != nil {
		t.Fatal(err)
	}
	return typ
}

// arrayOf makes a column of rows, from the middle of a larger one.
func arrayOf(typ arrow.DataType, rows []row) arrow.Array {
	b := array.NewBuilder(memory.DefaultAllocator, typ)
	defer b.Release()
	b.AppendNull()
	for _, r := range rows {
		if r.value == nil {
			b.AppendNull()
			continue
		}
		switch b := b.(type) {
		case *array.BooleanBuilder:
			b.Append(r.value.(bool))
		case *array.Int32Builder:
			b.Append(int32(r.value.(int64)))
		case *array.Int64Builder:
			b.Append(r.value.(int64))
		case *array.Date32Builder:
			b.Append(arrow.Date32(r.value.(int64)))
		case *array.TimestampBuilder:
			b.Append(arrow.Timestamp(r.value.(int64)))
		case *array.Float32Builder:
			b.Append(float32(r.value.(float64)))
		case *array.Float64Builder:
			b.Append(r.value.(float64))
		case *array.Decimal128Builder:
			b.Append(decimal128.FromBigInt(r.value.(*big.Int)))
		case *array.StringBuilder:
			b.Append(r.value.(string))
		case *array.BinaryBuilder:
			b.AppendString(r.value.(string))
		}
	}
	whole := b.NewArray()
	defer whole.Release()
	return array.NewSlice(whole, 1, int64(whole.Len()))
}

// rowsIn says that the rows of one topic belong to slots.
func rowsIn(rows []row, slots []int32) *Rows {
	out := &Rows{Slots: slots}
	for _, r := range rows {
		out.Order.Topic, out.Order.Partition = r.at.topic, r.at.partition
		out.Order.Times = append(out.Order.Times, r.at.time)
		out.Order.Offsets = append(out.Order.Offsets, r.at.offset)
		out.Order.Ordinals = append(out.Order.Ordinals, r.at.ordinal)
	}
	return out
}

func setOf(t testing.TB, limits Limits, calls ...Call) *Set {
	t.Helper()
	s, err := New(calls, limits)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// resultsOf gives the results of a slot as texts, a fault as its message.
func resultsOf(s *Set, slot int) []string {
	arrays, faults := s.Results([]int{slot}, memory.DefaultAllocator)
	out := make([]string, len(arrays))
	for i, a := range arrays {
		out[i] = a.ValueStr(0)
		a.Release()
	}
	for _, f := range faults {
		out[f.Call] = f.Message
	}
	return out
}

// addAll adds rows to slot 0, which is made.
func addAll(s *Set, typ arrow.DataType, rows []row) {
	s.Grow(1)
	a := arrayOf(typ, rows)
	defer a.Release()
	arguments := slices.Repeat([]arrow.Array{a}, len(s.calls))
	for i, c := range s.calls {
		if c.Argument == nil {
			arguments[i] = nil
		}
	}
	s.Add(rowsIn(rows, make([]int32, len(rows))), arguments)
}

func TestAggregatesOfFewRows(t *testing.T) {
	const null = "(null)"
	f := func(call, typ string, values []any, want string) {
		t.Helper()
		c := Call{Function: call, Argument: typeOf(t, typ)}
		rows := make([]row, len(values))
		for i, v := range values {
			rows[i] = row{v, place{time: int64(i), topic: "t"}}
		}
		s := setOf(t, Limits{DistinctValues: 3}, c)
		addAll(s, c.Argument, rows)
		if got := resultsOf(s, 0)[0]; got != want {
			t.Errorf("%s(%s) of %v: got %s, want %s", call, typ, values, got, want)
		}
	}
	dec := func(v int64) *big.Int { return big.NewInt(v) }
	most := new(big.Int).Sub(new(big.Int).Exp(big.NewInt(10), big.NewInt(38), nil), big.NewInt(1))
	nan, inf := math.NaN(), math.Inf(1)

	f("count", "string", []any{"a", nil, "b"}, "2")
	f("count", "string", []any{nil}, "0")
	f("count_if", "boolean", []any{true, false, nil, true}, "2")
	f("sum", "int", []any{int64(1), nil, int64(math.MaxInt32)}, "2147483648")
	f("sum", "long", []any{nil}, null)
	f("sum", "long", []any{int64(math.MaxInt64), int64(1), int64(-1)}, "9223372036854775807")
	f("sum", "long", []any{int64(math.MaxInt64), int64(1)}, "the sum does not fit long; cast the argument to a decimal, as in sum(cast(x as decimal(38,0)))")
	f("sum", "decimal(10,2)", []any{dec(150), dec(-25)}, "1.25")
	f("sum", "decimal(38,0)", []any{most, most, new(big.Int).Neg(most)}, most.String())
	f("sum", "decimal(38,0)", []any{most, dec(1)}, "the sum does not fit decimal(38,0); cast the argument to a decimal, as in sum(cast(x as decimal(38,0)))")
	f("sum", "double", []any{1e308, 1e308, -1e308, -1e308, 1.5}, "1.5")
	f("sum", "double", []any{1e100, 1.0, -1e100}, "1")
	f("sum", "double", []any{float64(1 << 53), 1.0}, "9.007199254740992e+15")
	f("sum", "double", []any{float64(1<<53 + 2), 1.0}, "9.007199254740996e+15")
	f("sum", "double", []any{float64(1 << 53), 1.0, 1e-300}, "9.007199254740994e+15")
	f("sum", "double", []any{math.MaxFloat64, math.Ldexp(1, 970)}, "the sum does not fit double")
	f("sum", "double", []any{1e308, 1e308}, "the sum does not fit double")
	f("sum", "double", []any{inf, 1.0}, "+Inf")
	f("sum", "double", []any{inf, -inf}, "NaN")
	f("sum", "float", []any{0.5, 0.25}, "0.75")
	f("avg", "int", []any{int64(1), int64(2), nil}, "1.5")
	f("avg", "long", []any{int64(math.MaxInt64), int64(math.MaxInt64)}, "9.223372036854776e+18")
	f("avg", "double", []any{1.0, 2.0}, "1.5")
	f("avg", "decimal(5,2)", []any{dec(100), dec(100), dec(101)}, "1.003333")
	f("avg", "decimal(5,2)", []any{dec(-100), dec(-100), dec(-102)}, "-1.006667")
	f("min", "string", []any{"b", "ab", nil}, "ab")
	f("max", "binary", []any{"b", "a"}, "Yg==")
	f("max", "boolean", []any{false, true}, "true")
	f("min", "date", []any{int64(0), int64(-1)}, "1969-12-31")
	f("max", "double", []any{1.0, nan, inf}, "NaN")
	f("min", "double", []any{nan, 1.0}, "1")
	f("min", "float", []any{0.0, math.Copysign(0, -1)}, "0")
	f("any", "long", []any{int64(3), int64(1), int64(2)}, "1")
	f("first", "string", []any{nil, "x", "y"}, "x")
	f("last", "timestamptz", []any{int64(0), int64(1_000_000), nil}, "1970-01-01T00:00:01Z")
	f("first", "long", []any{nil}, null)
	f("count_distinct", "double", []any{0.0, math.Copysign(0, -1), nan, nan}, "2")
	f("count_distinct", "string", []any{strings.Repeat("x", 100), strings.Repeat("x", 100), strings.Repeat("x", 101), nil}, "2")
	f("count_distinct", "long", []any{int64(1), int64(2), int64(3), int64(4)}, "there are more than 3 distinct values; use approx_count_distinct")
	f("approx_count_distinct", "long", []any{int64(1), int64(2), int64(2), nil}, "2")
	f("approx_count_distinct", "long", []any{nil}, "0")
}

func TestCountWithoutAnArgumentCountsRows(t *testing.T) {
	s := setOf(t, Limits{}, Call{Function: "count"})
	addAll(s, arrow.PrimitiveTypes.Int64, []row{{}, {}, {}})
	if got := resultsOf(s, 0)[0]; got != "3" {
		t.Errorf("got %s, want 3", got)
	}
}

func TestFirstAndLastGoByTimeThenPosition(t *testing.T) {
	s := setOf(t, Limits{}, Call{"first", arrow.BinaryTypes.String}, Call{"last", arrow.BinaryTypes.String})
	// Each row alone, for they are of different topics; the order is that of
	// their values.
	rows := []row{
		{"a", place{time: 1, topic: "u", partition: 9, offset: 9, ordinal: 9}},
		{"b", place{time: 2, topic: "t", partition: 0, offset: 3, ordinal: 0}},
		{"c", place{time: 2, topic: "t", partition: 0, offset: 3, ordinal: 1}},
		{"d", place{time: 2, topic: "t", partition: 0, offset: 4, ordinal: 0}},
		{"e", place{time: 2, topic: "t", partition: 1, offset: 0, ordinal: 0}},
		{"f", place{time: 2, topic: "u", partition: 0, offset: 0, ordinal: 0}},
	}
	g := rand.New(rand.NewPCG(7, 7))
	for range 50 {
		from, to := g.IntN(len(rows)), g.IntN(len(rows))
		from, to = min(from, to), max(from, to)
		some := slices.Clone(rows[from : to+1])
		g.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
		s.Reset()
		for i := range some {
			addAll(s, arrow.BinaryTypes.String, some[i:i+1])
		}
		if got, want := resultsOf(s, 0), []string{rows[from].value.(string), rows[to].value.(string)}; !slices.Equal(got, want) {
			t.Fatalf("rows %d to %d: got %v, want %v", from, to, got, want)
		}
	}
}

func TestTextsThatAreTooLongAreFound(t *testing.T) {
	texts := arrow.BinaryTypes.String
	s := setOf(t, Limits{TextBytes: 3}, Call{"max", texts}, Call{"count_distinct", texts}, Call{"first", texts}, Call{Function: "count"})
	a := arrayOf(texts, []row{{value: "abc"}, {value: "abcd"}, {}, {value: "ab"}})
	defer a.Release()
	var got []string
	for _, f := range s.Check([]arrow.Array{a, a, a, nil}) {
		got = append(got, fmt.Sprintf("row %d call %d: %s", f.Row, f.Call, f.Message))
	}
	want := []string{
		"row 1 call 0: max would keep a value of 4 bytes, it may be 3; shorten it, as in substr(x, 1, 1000)",
		"row 1 call 2: first would keep a value of 4 bytes, it may be 3; shorten it, as in substr(x, 1, 1000)",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestTypesThatDoNotFitAreRefused(t *testing.T) {
	f := func(function, typ, want string) {
		t.Helper()
		var argument arrow.DataType
		if typ != "" {
			argument = typeOf(t, typ)
		}
		got, err := ResultType(function, argument)
		if err == nil || err.Error() != want {
			t.Errorf("%s(%s): got %v, %v, want the error %s", function, typ, got, err, want)
		}
		if _, err := New([]Call{{function, argument}}, Limits{}); err == nil {
			t.Errorf("%s(%s): a set is made of it", function, typ)
		}
	}
	f("sum", "string", "sum needs a number, found string; cast it, as in sum(cast(x as long))")
	f("avg", "date", "avg needs a number, found date; cast it, as in avg(cast(x as long))")
	f("count_if", "long", "count_if needs a condition that is true or false, found long")
	f("max", "list<int>", "max does not take list<int>, only count does; aggregate one of its fields, or use a plugin")
	f("median", "long", `there is no aggregate "median"`)
	f("first", "", "first does not take nothing, only count does; aggregate one of its fields, or use a plugin")
}

func TestResultsHaveTheTypesOfTheDefinition(t *testing.T) {
	for _, c := range [][3]string{
		{"sum", "int", "long"}, {"sum", "decimal(10,2)", "decimal(20,2)"}, {"sum", "decimal(30,2)", "decimal(38,2)"}, {"sum", "float", "double"},
		{"avg", "long", "double"}, {"avg", "decimal(10,2)", "decimal(14,6)"}, {"avg", "decimal(38,37)", "decimal(38,38)"},
		{"min", "float", "float"}, {"last", "decimal(3,1)", "decimal(3,1)"}, {"any", "binary", "binary"}, {"count", "list<int>", "long"},
	} {
		argument := typeOf(t, c[1])
		typ, err := ResultType(c[0], argument)
		if err != nil {
			t.Fatal(err)
		}
		if got := typeName(typ); got != c[2] {
			t.Errorf("%s(%s): got %s, want %s", c[0], c[1], got, c[2])
		}
		s := setOf(t, Limits{}, Call{c[0], argument})
		s.Grow(1)
		made, _ := s.Results([]int{0}, memory.DefaultAllocator)
		if !arrow.TypeEqual(made[0].DataType(), typ) {
			t.Errorf("%s(%s): the column is %s, want %s", c[0], c[1], made[0].DataType(), typ)
		}
		made[0].Release()
	}
}

func TestSketchesAreWithinTheirError(t *testing.T) {
	s := setOf(t, Limits{}, Call{"approx_count_distinct", arrow.PrimitiveTypes.Int64})
	s.Grow(1)
	total := 0
	for _, n := range []int{1, 10, 100, 500, 1000, 5000, 20_000, 100_000} {
		rows := make([]row, n-total)
		for i := range rows {
			rows[i] = row{value: int64(total + i)}
		}
		addAll(s, arrow.PrimitiveTypes.Int64, rows)
		total = n
		var got int
		if _, err := fmt.Sscan(resultsOf(s, 0)[0], &got); err != nil {
			t.Fatal(err)
		}
		if off := math.Abs(float64(got-n)) / float64(n); off > 4*0.01625 {
			t.Errorf("%d values: got %d, off by %.1f%%", n, got, 100*off)
		}
	}
}

// The hash is part of the format of state.
func TestTheHashOfSketchesStaysTheSame(t *testing.T) {
	for text, want := range map[string]uint64{"": 0xefd01f60ba992926, "a": 0x82a2a958a9bece5b, "calve": 0x9ae12925ff0942b9} {
		if got := hash([]byte(text)); got != want {
			t.Errorf("hash of %q: got %#x, want %#x", text, got, want)
		}
	}
}

func TestStateOfOneCallIsPinned(t *testing.T) {
	f := func(call, typ string, want []byte, values ...any) {
		t.Helper()
		c := Call{call, typeOf(t, typ)}
		var rows []row
		for i, v := range values {
			rows = append(rows, row{v, place{time: int64(i) - 1, topic: "tp", partition: 2, offset: 7, ordinal: 1}})
		}
		s := setOf(t, Limits{}, c)
		addAll(s, c.Argument, rows)
		if got := s.Append(nil, 0); !bytes.Equal(got, want) {
			t.Errorf("%s(%s) of %v: got %#v, want %#v", call, typ, values, got, want)
		}
	}
	f("count", "long", []byte{3}, int64(1), int64(2), int64(3))
	f("sum", "long", []byte{2, 2, 0xff, 0x38}, int64(-100), int64(-100))
	f("sum", "double", []byte{2, 0, 1, 16, 0, 0, 0, 0, 0, 0, 8, 0}, 0.5, 0.25+1.25)
	f("max", "string", []byte{1, 2, 'a', 'b'}, "ab")
	f("first", "long", []byte{1, 1, 2, 't', 'p', 4, 14, 2, 10}, int64(5))
	f("count_distinct", "string", []byte{0, 2, 2, 1, 'a', 2, 1, 'b'}, "b", "a", "b")
	f("min", "long", []byte{0})
}
