package wasm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/plugins/wasm/internal/asm"
	"github.com/calvelake/calve/sdk/abi"
)

func nullable(name string, t arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: true}
}

func pageViews() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{nullable("page", arrow.BinaryTypes.String), nullable("bytes", arrow.PrimitiveTypes.Int64)}, nil)
}

func visits() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{
		nullable("visitor", arrow.BinaryTypes.String), nullable("views", arrow.PrimitiveTypes.Int64), nullable("most", arrow.PrimitiveTypes.Int64),
		nullable("path", arrow.BinaryTypes.String), nullable("rows", arrow.PrimitiveTypes.Int64), nullable("began", timestamptz),
		nullable("over", arrow.FixedWidthTypes.Boolean),
	}, nil)
}

func rowsOf(t *testing.T, s *arrow.Schema, rows string) arrow.RecordBatch {
	t.Helper()
	r, _, err := array.RecordFromJSON(memory.DefaultAllocator, s, strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Release)
	return r
}

func openVisits(t *testing.T, onError OnError) *Session {
	t.Helper()
	s, err := goPlugin(t, "visits").OpenSession(t.Context(), Init{Model: "m", Input: pageViews(), Output: visits(), Key: arrow.BinaryTypes.String, OnError: onError})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

func initialState(t *testing.T, s *Session, n int) arrow.RecordBatch {
	t.Helper()
	state, err := s.Initial(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(state.Release)
	return state
}

func checkRows(t *testing.T, got, want arrow.RecordBatch) {
	t.Helper()
	if !array.RecordEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestSessionAccumulatesMergesAndFinishes(t *testing.T) {
	s := openVisits(t, Stop)
	rows := rowsOf(t, pageViews(), `[{"page": "a", "bytes": 5}, {"page": "b", "bytes": null}, {"page": "refuse", "bytes": 9}, {"page": "c", "bytes": null}]`)
	u, err := s.Accumulate(t.Context(), rows, []uint32{0, 0, 0, 1}, initialState(t, s, 2))
	if err != nil {
		t.Fatal(err)
	}
	state, errs := u.State, u.Errors
	defer state.Release()
	checkUsed(t, "accumulate", u.Usage)
	checkRows(t, state, rowsOf(t, s.StateSchema(), `[{"views": 2, "most": 5, "path": "/ab"}, {"views": 1, "most": null, "path": "/c"}]`))
	if len(errs) != 1 || errs[0] != (RowError{Row: 2, Code: "refused", Column: "page", Message: "this page is refused"}) {
		t.Errorf("got %v", errs)
	}
	into, from := state.NewSlice(0, 1), state.NewSlice(1, 2)
	defer into.Release()
	defer from.Release()
	merged, err := s.Merge(t.Context(), into, from)
	if err != nil || len(merged.Errors) > 0 {
		t.Fatal(merged.Errors, err)
	}
	defer merged.State.Release()
	checkUsed(t, "merge", merged.Usage)
	checkRows(t, merged.State, rowsOf(t, s.StateSchema(), `[{"views": 3, "most": 5, "path": "/ab/c"}]`))

	sessions := rowsOf(t, s.FinishSchema(), `[
		{"views": 3, "most": 5, "path": "/ab/c", "_key": "ann", "_start": "2026-01-01T00:00:00Z", "_end": "2026-01-01T00:01:00Z", "_count": 4, "_closed": true},
		{"views": 0, "most": null, "path": "/", "_key": "bob", "_start": "2026-01-01T00:00:00Z", "_end": "2026-01-01T00:01:00Z", "_count": 1, "_closed": true}]`)
	r, err := s.Finish(t.Context(), sessions, NoWatermark)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	checkUsed(t, "finish", r.Usage)
	checkRows(t, r.Outputs[0].Rows, rowsOf(t, visits(), `[{"visitor": "ann", "views": 3, "most": 5, "path": "/ab/c", "rows": 4, "began": "2026-01-01T00:00:00Z", "over": true}]`))
}

func TestGroupsThatFailAreIsolated(t *testing.T) {
	s := openVisits(t, DeadLetter)
	const n = 20
	var rows, want []string
	var groups []uint32
	for g := range uint32(n) {
		page := fmt.Sprintf("p%d", g)
		expected := fmt.Sprintf(`{"views": 2, "most": 1, "path": "/%sx"}`, page)
		if g == 7 || g == 19 {
			page, expected = "panic", `{"views": 0, "most": null, "path": "/"}`
		}
		rows = append(rows, fmt.Sprintf(`{"page": %q, "bytes": 1}, {"page": "x", "bytes": 0}`, page))
		groups, want = append(groups, g, g), append(want, expected)
	}
	list := func(rows []string) string { return "[" + strings.Join(rows, ",") + "]" }
	u, err := s.Accumulate(t.Context(), rowsOf(t, pageViews(), list(rows)), groups, initialState(t, s, n))
	if err != nil {
		t.Fatal(err)
	}
	state, errs := u.State, u.Errors
	defer state.Release()
	checkRows(t, state, rowsOf(t, s.StateSchema(), list(want)))
	if len(errs) != 4 {
		t.Fatalf("got %v", errs)
	}
	for i, row := range []uint32{14, 15, 38, 39} {
		if errs[i].Row != row || errs[i].Code != CodeTrap || !strings.Contains(errs[i].Message, "a page is poison") {
			t.Errorf("got %+v, want row %d", errs[i], row)
		}
	}
	if _, err := openVisits(t, Stop).Accumulate(t.Context(), rowsOf(t, pageViews(), list(rows)), groups, initialState(t, s, n)); !errors.Is(err, ErrTrap) || !strings.Contains(err.Error(), "groups 0 to 19") {
		t.Errorf("stop: got %v", err)
	}
}

func TestPairsThatFailKeepTheEarlierState(t *testing.T) {
	s := openVisits(t, DeadLetter)
	into := rowsOf(t, s.StateSchema(), `[{"views": 1, "most": 1, "path": "a"}, {"views": 2, "most": 2, "path": "b"}, {"views": 3, "most": 3, "path": "c"}]`)
	from := rowsOf(t, s.StateSchema(), `[{"views": 1, "most": 9, "path": "x"}, {"views": 1, "most": 9, "path": "panic"}, {"views": 1, "most": 9, "path": "z"}]`)
	u, err := s.Merge(t.Context(), into, from)
	if err != nil {
		t.Fatal(err)
	}
	state, errs := u.State, u.Errors
	defer state.Release()
	checkRows(t, state, rowsOf(t, s.StateSchema(), `[{"views": 2, "most": 1, "path": "ax"}, {"views": 2, "most": 2, "path": "b"}, {"views": 4, "most": 3, "path": "cz"}]`))
	if len(errs) != 1 || errs[0].Row != 1 || errs[0].Code != CodeTrap {
		t.Errorf("got %v", errs)
	}
}

func TestMisplacedGroupsAreRefused(t *testing.T) {
	s := openVisits(t, DeadLetter)
	rows := rowsOf(t, pageViews(), `[{"page": "a", "bytes": 5}, {"page": "b", "bytes": 6}]`)
	for _, groups := range [][]uint32{{1, 0}, {0, 2}, {1, 1}, {0, 0}, {0}, {0, math.MaxUint32}} {
		if _, err := s.Accumulate(t.Context(), rows, groups, initialState(t, s, 2)); err == nil || failureCode(err) != "" {
			t.Errorf("%v: got %v", groups, err)
		}
	}
	none := rows.NewSlice(0, 0)
	defer none.Release()
	u, err := s.Accumulate(t.Context(), none, nil, initialState(t, s, 0))
	if err != nil || len(u.Errors) > 0 || u.State.NumRows() != 0 {
		t.Errorf("no rows: got %+v, %v", u, err)
	}
	u.State.Release()
}

func TestOpenSessionChecksKindAndState(t *testing.T) {
	describe := func(state string) string {
		return strings.Replace(identity, `"kind":"transform"`, `"kind":"session","state":`+state, 1)
	}
	session := func(state string) hostile {
		return hostile{describe: describe(state), extra: func(m *asm.Module) {
			for _, name := range []string{abi.ExportAccumulate, abi.ExportMerge, abi.ExportFinish} {
				m.Export(name, asm.Function, m.Func(oneI32, oneI32, nil, asm.Const(resultAt)...))
			}
		}}
	}
	for _, c := range []struct{ name, state, text string }{
		{"initial value of another type", `[{"name":"n","format":"l","initial":"many"}]`, "initial values"},
		{"no initial value", `[{"name":"n","format":"l","nullable":false}]`, `"n" is declared never to be null, but has no initial value`},
		{"a type no table can hold", `[{"name":"n","format":"vu"}]`, "utf8_view"},
	} {
		p, err := compileHostile(t, session(c.state), small)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if _, err := p.OpenSession(t.Context(), Init{Input: idOnly(), Output: idOnly(), Key: arrow.BinaryTypes.String}); !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	if _, err := compileHostile(t, hostile{describe: describe(`[{"name":"n","format":"l"}]`)}, small); !errors.Is(err, ErrMissingExport) || !strings.Contains(err.Error(), "calve_accumulate") {
		t.Errorf("without exports: got %v", err)
	}
	if _, err := goPlugin(t, "kit").OpenSession(t.Context(), Init{Input: idText(), Output: idText(), Key: arrow.BinaryTypes.String}); !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), `kind "transform", a session is needed`) {
		t.Errorf("a transform: got %v", err)
	}
}

// TestStateMayBeChangedInPlace: the guest adds 1 to its counter where it lies,
// makes it null in the last group, and returns the very column.
func TestStateMayBeChangedInPlace(t *testing.T) {
	load := func(at uint32) []byte { return asm.U32([]byte{0x28, 2}, at) }
	child := asm.Code(asm.Op(asm.LocalGet, 0), load(abi.BatchState), load(abi.ArrayChildren), load(0))
	buffer := func(i uint32) []byte { return asm.Code(child, load(abi.ArrayBuffers), load(4*i)) }
	h := hostile{
		describe: strings.Replace(identity, `"kind":"transform"`, `"kind":"session","state":[{"name":"n","format":"l","initial":41}]`, 1),
		extra: func(m *asm.Module) {
			accumulate := asm.Code(
				buffer(1), buffer(1), []byte{0x29, 3, 0}, asm.Const64(1), []byte{asm.I64Add, 0x37, 3, 0}, // values[0]++
				buffer(0), asm.Const(0b01), []byte{0x3a, 0, 0}, // validity
				child, asm.Const64(-1), []byte{0x37, 3, abi.ArrayNullCount},
				asm.Const(outputAt+abi.OutputArray), asm.Op(asm.LocalGet, 0), load(abi.BatchState), []byte{0x36, 2, 0},
				asm.Const(resultAt))
			m.Export(abi.ExportAccumulate, asm.Function, m.Func(oneI32, oneI32, nil, accumulate...))
			for _, name := range []string{abi.ExportMerge, abi.ExportFinish} {
				m.Export(name, asm.Function, m.Func(oneI32, oneI32, nil, asm.Unreachable))
			}
		},
	}
	p, err := compileHostile(t, h, small)
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.OpenSession(t.Context(), Init{Input: idOnly(), Output: idOnly(), Key: arrow.BinaryTypes.String, OnError: Stop})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(context.Background()) }()
	rows, before := idRows(2), initialState(t, s, 2)
	defer rows.Release()
	u, err := s.Accumulate(t.Context(), rows, []uint32{0, 1}, before)
	if err != nil {
		t.Fatal(err)
	}
	defer u.State.Release()
	checkRows(t, u.State, rowsOf(t, s.StateSchema(), `[{"n": 42}, {"n": null}]`))
	checkRows(t, before, rowsOf(t, s.StateSchema(), `[{"n": 41}, {"n": 41}]`))
	if _, err := s.Merge(t.Context(), before, before); !errors.Is(err, ErrTrap) {
		t.Errorf("merge: got %v", err)
	}
}
