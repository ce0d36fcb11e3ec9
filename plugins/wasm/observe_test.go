package wasm

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/calvelake/calve/plugins/wasm/internal/asm"
	"github.com/calvelake/calve/sdk/abi"
)

// recorder sums up by name and labels.
type recorder struct {
	mu   sync.Mutex
	sums map[string]float64
}

func (r *recorder) Add(name string, delta float64, labels ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sums == nil {
		r.sums = map[string]float64{}
	}
	r.sums[name+" "+strings.Join(labels, " ")] += delta
}

func observedHost(t *testing.T, c Config) *Host {
	t.Helper()
	h, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close(context.Background()) })
	return h
}

func TestRecorderGetsWhatCallsAndPluginsCount(t *testing.T) {
	r := &recorder{}
	p, err := observedHost(t, Config{Metrics: r}).Compile(t.Context(), guest(t, "kit"), Limits{Budget: 1 << 27})
	if err != nil {
		t.Fatal(err)
	}
	for mode, texts := range map[string][]string{"poison": {"a", "panic"}, "log": {"b", "c", "d"}} {
		tr, err := p.Open(t.Context(), Init{Model: "m", Input: idText(), Output: idText(), Config: json.RawMessage(fmt.Sprintf(`{"mode":%q}`, mode))})
		if err != nil {
			t.Fatal(err)
		}
		in := idTextRows(0, texts...)
		process(t, tr, in)
		in.Release()
		if err := tr.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	const who = "plugin kit version 1.2.3 model m"
	for key, want := range map[string]float64{
		metricCalls + " " + who + " result ok":          2, // a, and b to d
		metricCalls + " " + who + " result plugin_trap": 2, // both rows, and the second alone
		metricCounter + " " + who + " name batches":     1,
		metricCounter + " " + who + " name rows":        1,
		metricCount + " " + who + " name rows":          1,
		metricSum + " " + who + " name rows":            3,
	} {
		if got := r.sums[key]; got != want {
			t.Errorf("%s: got %v, want %v (of %v)", key, got, want, r.sums)
		}
	}
	if r.sums[metricWork+" "+who] <= 0 {
		t.Errorf("no work was recorded: %v", r.sums)
	}
	// A retry of one of two rows is granted half of the budget.
	if got, want := r.sums[metricBudget+" "+who], float64(int64(4)<<27); got <= r.sums[metricWork+" "+who] || got > want {
		t.Errorf("calls were granted %v units, want at most %v and more than they used", got, want)
	}
}

// TestNamesOfMetricsAreBounded: each call counts under one name more than may be
// used, all of them new: the bytes of a growing number.
func TestNamesOfMetricsAreBounded(t *testing.T) {
	const nameAt = 4000
	counting := hostile{
		extra: func(m *asm.Module) {
			m.Import(abi.ImportModule, abi.ImportCounter, []byte{asm.I32, asm.I32, asm.I64}, nil)
			m.Global('0')
		},
		bodies: map[string][]byte{abi.ExportProcess: asm.Code(
			asm.Op(asm.GlobalGet, 0), asm.Const(1), []byte{asm.I32Add}, asm.Op(asm.GlobalSet, 0),
			asm.Const(nameAt), asm.Op(asm.GlobalGet, 0), []byte{0x3a, 0, 0}, // i32.store8
			asm.Const(nameAt), asm.Const(1), asm.Const64(1), asm.Op(asm.Call, 0), passFirst())},
	}
	r := &recorder{}
	p, err := observedHost(t, Config{Metrics: r}).Compile(t.Context(), counting.module(), small)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := p.Open(t.Context(), Init{Input: idOnly(), Output: idOnly()})
	if err != nil {
		t.Fatal(err)
	}
	in := idRows(1)
	defer in.Release()
	const calls = abi.DefaultMetrics + 9
	for range calls {
		process(t, tr, in)
	}
	names, refused := 0, 0.0
	for key, n := range r.sums {
		switch {
		case strings.HasPrefix(key, metricCounter):
			names++
		case strings.HasPrefix(key, metricRefused):
			refused = n
		}
	}
	if names != abi.DefaultMetrics || refused != 9 {
		t.Errorf("got %d names, %v refused", names, refused)
	}
	if err := tr.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLogIsBoundedByEpoch(t *testing.T) {
	counter, r := &countingHandler{}, &recorder{}
	limits := small
	limits.EpochLogBytes = 250
	p, err := observedHost(t, Config{Logger: slog.New(counter), Metrics: r}).Compile(t.Context(), logger(1, 99).module(), limits)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := p.Open(t.Context(), Init{Input: idOnly(), Output: idOnly()})
	if err != nil {
		t.Fatal(err)
	}
	in := idRows(1)
	defer in.Release()
	for epoch := range 2 {
		counter.lines, counter.bytes = 0, 0
		for range 5 {
			process(t, tr, in)
		}
		if counter.bytes != 2*99 || counter.lines != 3 { // two lines and the word that more was dropped
			t.Errorf("epoch %d: got %d lines, %d bytes", epoch, counter.lines, counter.bytes)
		}
		tr.NextEpoch()
	}
	if got := r.sums[metricLogCut+" plugin hostile version 1 model "]; got != 6 {
		t.Errorf("got %v calls cut, want 6 (%v)", got, r.sums)
	}
	if err := tr.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
