package wasm

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm/internal/asm"
	"github.com/calvelake/calve/plugins/wasm/internal/meter"
	"github.com/calvelake/calve/sdk/abi"
)

// attack is a hostile module and the error that it must end in.
type attack struct {
	name   string
	module []byte
	want   error  // what the error is
	text   string // what it says of this module
	code   string // of the row errors, where it is calve_process that fails
	output *arrow.Schema
	limits Limits
}

// attacks is the whole suite.
func attacks() []attack {
	return slices.Concat(malformedModules(), bombs(), hostileDescriptions(), hostileStarts(), hostileCalls(), hostileImports(), hostileOutputs(), hostileTexts())
}

func TestSuiteHasAtLeastFortyHostileModulesWithAnErrorEach(t *testing.T) {
	all := attacks()
	names, modules := map[string]bool{}, map[string]bool{}
	for _, a := range all {
		names[a.name], modules[string(a.module)] = true, true
		if a.want == nil || a.text == "" {
			t.Errorf("%s: no error is expected of it", a.name)
		}
	}
	if len(names) != len(all) || len(modules) != len(all) || len(all) < 40 {
		t.Errorf("got %d attacks with %d names and %d modules, want at least 40 that differ", len(all), len(names), len(modules))
	}
}

func TestHostileModulesEndInTheirErrorsWhileTheCollectorRuns(t *testing.T) {
	collected, stop := collect(t)
	for _, a := range attacks() {
		t.Run(a.name, func(t *testing.T) {
			err := a.run(t, Stop)
			if !errors.Is(err, a.want) || !strings.Contains(err.Error(), a.text) {
				t.Fatalf("got %v, want %v with %q", err, a.want, a.text)
			}
			if got := failureCode(err); a.code != "" && got != a.code {
				t.Errorf("got code %q, want %q", got, a.code)
			}
		})
	}
	in := idRows(5)
	defer in.Release()
	r := process(t, openHostile(t, hostile{}, small, Stop), in)
	if got := ids(r.Outputs[0]); !slices.Equal(got, []int64{0, 1, 2, 3, 4}) {
		t.Errorf("the harmless twin afterwards: got %v", got)
	}
	stop()
	if <-collected == 0 {
		t.Error("the collector never finished while the suite ran")
	}
}

// collect runs the garbage collector without pause until stop is called: a
// guest that does not let go of its thread would hold it, and all of the
// process, for good.
func collect(t *testing.T) (cycles <-chan int, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		n := 0
		for ctx.Err() == nil {
			runtime.GC()
			n++
		}
		done <- n
	}()
	return done, cancel
}

func TestRowsOfHostileCallsAreDeadLettered(t *testing.T) {
	for _, a := range attacks() {
		if a.code == "" {
			continue
		}
		t.Run(a.name, func(t *testing.T) {
			tr, err := a.open(t, DeadLetter)
			if err != nil {
				t.Fatal(err)
			}
			in := idRows(3)
			defer in.Release()
			r := process(t, tr, in)
			if len(r.Errors) != 3 || len(r.Outputs) != 1 || r.Outputs[0].Rows.NumRows() != 0 {
				t.Fatalf("got %d errors, %v", len(r.Errors), r.Outputs)
			}
			for i, e := range r.Errors {
				// What returns three rows for any number of rows is refused for that.
				if int(e.Row) != i || e.Code != a.code && e.Code != CodeOutput || e.Message == "" {
					t.Errorf("got %+v, want row %d, code %q", e, i, a.code)
				}
			}
		})
	}
}

func TestWorkOfHostileCallsStaysWithinTheBudget(t *testing.T) {
	// A check is charged after it was passed, the price of a host call and of a
	// bulk operation before: what is above the budget is one of each.
	const above = meter.SliceChecks + hostCallUnits + 1<<26
	for _, a := range attacks() {
		if a.code == "" {
			continue
		}
		tr, err := a.open(t, Stop)
		if err != nil {
			t.Fatalf("%s: %v", a.name, err)
		}
		in := idRows(3)
		limits := tr.plugin.limits
		_, used, err := tr.attempt(t.Context(), call{export: abi.ExportProcess, rows: in, budget: limits.Budget}, Meta{}, NoWatermark)
		in.Release()
		if err == nil || used.usage.Work > limits.Budget+above {
			t.Errorf("%s: %d units of work, the budget is %d; %v", a.name, used.usage.Work, limits.Budget, err)
		}
	}
}

// open compiles and opens the plugin.
func (a attack) open(t *testing.T, onError OnError) (*Transform, error) {
	t.Helper()
	l := a.limits
	if l == (Limits{}) {
		l = small
	}
	p, err := testHost(t).Compile(t.Context(), a.module, l)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	output := a.output
	if output == nil {
		output = idOnly()
	}
	tr, err := p.Open(t.Context(), Init{Model: "orders", Input: idOnly(), Output: output, OnError: onError})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = tr.Close(context.Background()) })
	return tr, nil
}

// run does what a pipeline does with a plugin, until it fails.
func (a attack) run(t *testing.T, onError OnError) error {
	t.Helper()
	tr, err := a.open(t, onError)
	if err != nil {
		return err
	}
	in := idRows(3)
	defer in.Release()
	r, err := tr.Process(t.Context(), in, Meta{}, NoWatermark)
	if err == nil {
		r.Release()
	}
	return err
}

func TestCompilerThatPanicsIsAnError(t *testing.T) {
	// wazero looks up the type of a called function before it checks that there
	// is one. The module is handed to it as it is: the meter refuses it.
	_, err := testHost(t).compile(t.Context(), callOfNoType().Bytes())
	if !errors.Is(err, ErrInvalidModule) || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("got %v", err)
	}
}

// callOfNoType is a module that calls a function whose type does not exist.
func callOfNoType() *asm.Module {
	m := &asm.Module{}
	m.Memory(1)
	m.Type(nil, nil)
	m.Raw(3, []byte{2, 0, 9})
	m.Body(asm.Code([]byte{0}, asm.Op(asm.Call, 1), []byte{asm.End}))
	m.Body([]byte{0, asm.End})
	return m
}

func TestGiantLogsAreCut(t *testing.T) {
	counter := &countingHandler{}
	h, err := New(t.Context(), Config{Logger: slog.New(counter)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close(context.Background()) }()
	limits := small
	limits.LogBytes = 1000
	p, err := h.Compile(t.Context(), logger(3000, 100).module(), limits)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := p.Open(t.Context(), Init{Input: idOnly(), Output: idOnly()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tr.Close(context.Background()) }()
	in := idRows(1)
	defer in.Release()
	process(t, tr, in)
	if counter.bytes > 1000 || counter.lines != 10 { // nine of 100 bytes and the word that more was dropped
		t.Errorf("got %d lines, %d bytes", counter.lines, counter.bytes)
	}
}

// logger is a plugin that logs that many lines of that many bytes in a call.
func logger(lines, bytes int32) hostile {
	return hostile{
		extra:  func(m *asm.Module) { m.Import(abi.ImportModule, abi.ImportLog, []byte{asm.I32, asm.I32, asm.I32}, nil) },
		locals: oneI32,
		bodies: map[string][]byte{abi.ExportProcess: asm.Code(
			[]byte{asm.Loop, asm.Void}, asm.Const(0x1), asm.Const(describeAt), asm.Const(bytes), asm.Op(asm.Call, 0),
			asm.Op(asm.LocalGet, 1), asm.Const(1), []byte{asm.I32Add}, asm.Op(asm.LocalTee, 1), asm.Const(lines), []byte{asm.I32LtU, asm.BrIf, 0, asm.End},
			passFirst())},
	}
}

// countingHandler counts what a plugin logs.
type countingHandler struct{ lines, bytes int }

func (*countingHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *countingHandler) Handle(_ context.Context, r slog.Record) error {
	h.lines++
	r.Attrs(func(a slog.Attr) bool {
		h.bytes += len(a.Value.String())
		return true
	})
	return nil
}

func (h *countingHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h *countingHandler) WithGroup(string) slog.Handler { return h }
