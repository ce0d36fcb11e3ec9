package expression

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

const randomColumns = "b1 boolean; b2 boolean; l1 long; l2 long!; d1 double; d2 double; s1 string; s2 string!; p1 decimal(10,2); p2 decimal(10,2); t1 timestamptz; t2 timestamptz"

// randomValue is a value for a column, with the edges of its type.
func randomValue(g generator, t arrow.DataType) any {
	switch t.ID() {
	case arrow.BOOL:
		return g.IntN(2) == 0
	case arrow.INT64:
		return []int64{0, 1, -1, 3, 100, math.MaxInt64, math.MinInt64, g.Int64N(1000) - 500}[g.IntN(8)]
	case arrow.FLOAT64:
		return []float64{0, 1, -1, 0.1, 1e200, -1e308, g.Float64()}[g.IntN(7)]
	case arrow.STRING:
		return g.pick("", "a", "ab", "b,c", "42", " 7 ", "ÄÖ", "日本語", "x'y")
	case arrow.DECIMAL128:
		return big.NewInt([]int64{0, 1, -1, 150, 9_999_999_999, -9_999_999_999, g.Int64N(100_000)}[g.IntN(7)])
	}
	return time.UnixMicro(g.Int64N(4e15) - 2e15).UTC()
}

// randomBatch is a slice from the middle of a larger batch, and its rows.
func randomBatch(g generator, schema *arrow.Schema, rows int, mem memory.Allocator) (arrow.RecordBatch, []map[string]any) {
	b := array.NewRecordBuilder(mem, schema)
	defer b.Release()
	const before, after = 3, 2
	made := make([]map[string]any, rows+before+after)
	for i := range made {
		made[i] = map[string]any{}
		for j, f := range schema.Fields() {
			var v any
			if !f.Nullable || g.IntN(4) > 0 {
				v = randomValue(g, f.Type)
			}
			made[i][f.Name] = v
			appendValue(b.Field(j), v)
		}
	}
	whole := b.NewRecordBatch()
	defer whole.Release()
	return whole.NewSlice(before, int64(before+rows)), made[before : before+rows]
}

func appendValue(b array.Builder, v any) {
	if v == nil {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(v.(bool))
	case *array.Int64Builder:
		b.Append(v.(int64))
	case *array.Float64Builder:
		b.Append(v.(float64))
	case *array.StringBuilder:
		b.Append(v.(string))
	case *array.Decimal128Builder:
		b.Append(decimal128.FromBigInt(v.(*big.Int)))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v.(time.Time).UnixMicro()))
	}
}

// boxed is a row of an array as naive has it, in a form that can be compared.
func boxed(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return "null"
	}
	switch a := a.(type) {
	case *array.Timestamp:
		return fmt.Sprint(a.Value(i).ToTime(arrow.Microsecond).UnixMicro())
	case *array.Decimal128:
		return a.Value(i).BigInt().String()
	case *array.Float64:
		return fmt.Sprint(a.Value(i) + 0)
	case *array.String:
		return fmt.Sprintf("%q", a.Value(i))
	}
	return a.ValueStr(i)
}

func plain(v any, err error) string {
	if err != nil {
		return "error"
	}
	switch v := v.(type) {
	case nil:
		return "null"
	case time.Time:
		return fmt.Sprint(v.UnixMicro())
	case float64:
		return fmt.Sprint(v + 0)
	case string:
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprint(v)
}

// Random expressions over random rows give what an evaluator without vectors
// gives, row by row.
func TestVectorsAgreeWithRows(t *testing.T) {
	schema := schemaOf(t, randomColumns)
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	taken := map[string]int{}
	for seed := range uint64(3000) {
		g := generator{rand.New(rand.NewPCG(seed, 7))}
		n := g.make(naiveTypes[g.IntN(len(naiveTypes))], 1+g.IntN(4))
		if len(n.text) > maxLength || strings.Count(n.text, "(") > maxDepth {
			continue
		}
		compareWithNaive(t, g, n, schema, mem, taken)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	for _, kind := range []string{"value", "null", "error"} {
		if taken[kind] < 1000 {
			t.Errorf("only %d rows gave a %s: the test does not see enough", taken[kind], kind)
		}
	}
}

func compareWithNaive(t *testing.T, g generator, n naive, schema *arrow.Schema, mem memory.Allocator, taken map[string]int) {
	e, err := Parse(n.text)
	if err != nil {
		t.Fatalf("%s: %v", n.text, err)
	}
	again, err := Parse(e.String())
	if err != nil || shape(again.root) != shape(e.root) {
		t.Fatalf("%s is written as %s, which is not the same: %v", n.text, e, err)
	}
	c, err := again.Check(schema)
	if err != nil {
		t.Fatalf("%s: %v", n.text, err)
	}
	batch, rows := randomBatch(g, schema, 1+g.IntN(20), mem)
	defer batch.Release()
	out, errs, err := c.Eval(batch, mem)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Release()
	failed := map[int]bool{}
	for _, e := range errs {
		failed[e.Row] = true
	}
	for i, row := range rows {
		want := plain(n.eval(row))
		got := boxed(out, i)
		switch {
		case failed[i]:
			got = "error"
			taken["error"]++
		case got == "null":
			taken["null"]++
			if !c.Nullable() {
				t.Errorf("%s: null, and said never to be", n.text)
			}
		default:
			taken["value"]++
		}
		if got != want {
			t.Errorf("%s\nrow %v\ngot:  %s\nwant: %s", n.text, row, got, want)
		}
	}
}

// shape writes a tree without places.
func shape(n node) string {
	var b strings.Builder
	switch n := n.(type) {
	case *columnNode:
		fmt.Fprintf(&b, "column%q", n.path)
	case *literalNode:
		fmt.Fprintf(&b, "literal%d%q", n.kind, n.text)
	case *unaryNode:
		b.WriteString(n.op)
	case *binaryNode:
		b.WriteString(n.op)
	case *isNode:
		fmt.Fprint(&b, "is", n.what, n.not)
	case *betweenNode:
		fmt.Fprint(&b, "between", n.not)
	case *inNode:
		fmt.Fprint(&b, "in", n.not)
	case *likeNode:
		fmt.Fprint(&b, "like", n.not)
	case *caseNode:
		fmt.Fprint(&b, "case", n.subject != nil, len(n.whens))
	case *castNode:
		fmt.Fprint(&b, "cast", n.to, n.try)
	case *callNode:
		b.WriteString(n.name)
	}
	b.WriteByte('(')
	for _, c := range children(n) {
		b.WriteString(shape(c))
	}
	b.WriteByte(')')
	return b.String()
}

// Operations that ask for an operand twice compute it once: nested sixty deep,
// the test would not end otherwise.
func TestNestedOperandsAreComputedOnce(t *testing.T) {
	for _, wrap := range []string{"(%s) is distinct from b1", "(%s) between b1 and b2", "nullif(%s, b1)", "case %s when b1 then b2 when b2 then b1 end", "(%s) in (b1, b2)"} {
		text := "b1"
		for range 60 {
			text = fmt.Sprintf(wrap, text)
		}
		schema := schemaOf(t, randomColumns)
		e, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		c, err := e.Check(schema)
		if err != nil {
			t.Fatal(err)
		}
		batch, _ := randomBatch(generator{rand.New(rand.NewPCG(1, 2))}, schema, 10, memory.DefaultAllocator)
		defer batch.Release()
		out, errs, err := c.Eval(batch, memory.DefaultAllocator)
		if err != nil || len(errs) > 0 {
			t.Fatal(err, errs)
		}
		out.Release()
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"a + 1 > 2 and not b is null", "case x when 1 then 'a' else \"Order\".b end", "- -1 - -(2)", "x not in (1, 2.5, null) or y like 'a%' escape '!'",
		"date '2024-02-29' + interval '1 day'", "cast(a as decimal(10,2)) between -1e5 and .5", "extract(year from t) <> 2020", "a is not distinct from b || 'x'",
		"not not (a = b) = c", "timestamp '2024-01-01T00:00:00+01:00'", "((((a))))", "a.b.\"c d\"",
	} {
		f.Add(seed)
	}
	schema := schemaOf(f, everything)
	batch := batchOf(f, schema, oneRow)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Parse(text)
		if err != nil {
			if at, ok := err.(*Error); !ok || at.Position < 1 || at.Position > len([]rune(text))+1 || at.Message == "" {
				t.Fatalf("%q: %#v has no place in it", text, err)
			}
			return
		}
		again, err := Parse(e.String())
		if err != nil || shape(again.root) != shape(e.root) || again.String() != e.String() {
			t.Fatalf("%q is written as %q, which is not the same: %v", text, e, err)
		}
		c, err := e.Check(schema)
		if err != nil {
			return
		}
		out, _, err := c.Eval(batch, memory.DefaultAllocator)
		if err != nil {
			t.Fatal(err)
		}
		out.Release()
	})
}

const benchmarked = "case when l1 > 100 and p1 * 2 >= 3.5 then l1 % 1000 + l2 % 1000 else coalesce(l1, 0) % 7 end"

func BenchmarkEval(b *testing.B) {
	schema := schemaOf(b, randomColumns)
	g := generator{rand.New(rand.NewPCG(1, 2))}
	batch, _ := randomBatch(g, schema, 8192, memory.DefaultAllocator)
	e, err := Parse(benchmarked)
	if err != nil {
		b.Fatal(err)
	}
	c, err := e.Check(schema)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		out, _, err := c.Eval(batch, memory.DefaultAllocator)
		if err != nil {
			b.Fatal(err)
		}
		out.Release()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/8192, "ns/row")
}

// BenchmarkBoxed is the same expression by an evaluator of values in
// interfaces, a row at a time.
func BenchmarkBoxed(b *testing.B) {
	schema := schemaOf(b, randomColumns)
	g := generator{rand.New(rand.NewPCG(1, 2))}
	_, rows := randomBatch(g, schema, 8192, memory.DefaultAllocator)
	column := func(name string) naive {
		return naive{name, func(row map[string]any) (any, error) { return row[name], nil }}
	}
	add := func(v []any) (any, error) { return v[0].(int64)%1000 + v[1].(int64)%1000, nil }
	rest := func(v []any) (any, error) { return v[0].(int64) % 7, nil }
	condition := logic(
		strictly("", func(v []any) (any, error) { return v[0].(int64) > 100, nil }, column("l1")),
		strictly("", func(v []any) (any, error) { return new(big.Int).Lsh(v[0].(*big.Int), 1).Cmp(big.NewInt(350)) >= 0, nil }, column("p1")), "and")
	yes := strictly("", add, column("l1"), column("l2"))
	no := strictly("", rest, naive{"", func(row map[string]any) (any, error) {
		if v := row["l1"]; v != nil {
			return v, nil
		}
		return int64(0), nil
	}})
	b.ReportAllocs()
	for b.Loop() {
		out := make([]any, len(rows))
		for i, row := range rows {
			v, _ := condition.eval(row)
			if v == true {
				out[i], _ = yes.eval(row)
			} else {
				out[i], _ = no.eval(row)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/8192, "ns/row")
}

func TestOneExpressionRunsSideBySide(t *testing.T) {
	schema := schemaOf(t, randomColumns)
	e, err := Parse(`case when l1 in (1, 3, 100) then upper(s1) when nullif(s1, 'a') between '0' and 'z' then md5(s2) else cast(p1 * p2 as string) end`)
	if err != nil {
		t.Fatal(err)
	}
	c, err := e.Check(schema)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	results := make([]string, 8)
	for i := range results {
		group.Go(func() {
			batch, _ := randomBatch(generator{rand.New(rand.NewPCG(5, 5))}, schema, 500, memory.DefaultAllocator)
			defer batch.Release()
			out, errs, err := c.Eval(batch, memory.DefaultAllocator)
			if err != nil {
				results[i] = err.Error()
				return
			}
			defer out.Release()
			results[i] = fmt.Sprint(out, errs)
		})
	}
	group.Wait()
	for _, r := range results[1:] {
		if r != results[0] {
			t.Fatalf("got %s\nand %s", results[0], r)
		}
	}
}
