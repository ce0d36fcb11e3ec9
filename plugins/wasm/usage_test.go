package wasm

import (
	"encoding/json"
	"testing"

	"github.com/calvelake/calve/plugins/wasm/internal/asm"
	"github.com/calvelake/calve/sdk/abi"
)

func checkUsed(t *testing.T, what string, u Usage) {
	t.Helper()
	if u.Work <= 0 || u.Memory < pageBytes || u.Memory%pageBytes != 0 {
		t.Errorf("%s used %+v, want some work, and whole pages of memory", what, u)
	}
}

// turning is a plugin whose process turns a loop n times and asks for pages of
// memory.
func turning(t *testing.T, n, pages int32) *Transform {
	t.Helper()
	return openHostile(t, hostile{locals: oneI32, bodies: map[string][]byte{abi.ExportProcess: asm.Code(
		asm.Const(pages), []byte{asm.MemoryGrow, 0, asm.Drop},
		asm.Const(n), asm.Op(asm.LocalSet, 1),
		[]byte{asm.Loop, asm.Void}, asm.Op(asm.LocalGet, 1), asm.Const(1), []byte{asm.I32Sub}, asm.Op(asm.LocalTee, 1),
		[]byte{asm.BrIf, 0, asm.End}, passFirst())}}, Limits{}, Stop)
}

func TestUsageIsTheWorkAndTheMemoryOfABatch(t *testing.T) {
	in := idRows(3)
	defer in.Release()
	once, more, grown := process(t, turning(t, 1000, 0), in), process(t, turning(t, 51_000, 0), in), process(t, turning(t, 1000, 5), in)
	if got := more.Usage.Work - once.Usage.Work; got != 50_000 {
		t.Errorf("50000 more turns of a loop took %d units", got)
	}
	if got := grown.Usage.Memory - once.Usage.Memory; got != 5*pageBytes {
		t.Errorf("5 pages more are %d bytes", got)
	}
	tr := turning(t, 1000, 0)
	for range 3 {
		if r := process(t, tr, in); r.Usage != once.Usage {
			t.Errorf("the same batch used %+v, before %+v", r.Usage, once.Usage)
		}
	}
}

func TestUsageSumsTheCallsOfABisection(t *testing.T) {
	r := &recorder{}
	p, err := observedHost(t, Config{Metrics: r}).Compile(t.Context(), guest(t, "kit"), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	tr, err := p.Open(t.Context(), Init{Model: "m", Input: idText(), Output: idText(), Config: json.RawMessage(`{"mode":"poison"}`)})
	if err != nil {
		t.Fatal(err)
	}
	in := idTextRows(0, "a", "b", "panic", "c")
	defer in.Release()
	result := process(t, tr, in)
	if len(result.Errors) != 1 {
		t.Fatalf("got %v", result.Errors)
	}
	checkUsed(t, "process", result.Usage)
	const who = "plugin kit version 1.2.3 model m"
	if calls := r.sums[metricCalls+" "+who+" result ok"]; calls != 2 {
		t.Errorf("got %v calls that succeeded, want 2", calls)
	}
	if want := r.sums[metricWork+" "+who]; float64(result.Usage.Work) != want {
		t.Errorf("got %d units, the calls took %v", result.Usage.Work, want)
	}
}
