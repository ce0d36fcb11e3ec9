package wasm

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/plugins/wasm/internal/asm"
	"github.com/calvelake/calve/sdk/abi"
)

// Where a hostile plugin keeps what it returns.
const (
	resultAt   = 1024
	outputAt   = 1088
	arrayAt    = 1152
	describeAt = 2048
	arenaAt    = 64 << 10
	pages      = 8
)

// identity describes a plugin that returns column id.
const identity = `{"abi":1,"name":"hostile","version":"1","kind":"transform","input":"any",
	"outputs":[{"stream":0,"columns":[{"name":"id","format":"l","nullable":false}]}]}`

// hostile is a plugin in which one thing is wrong.
type hostile struct {
	describe string
	leave    string            // an export that is left out
	bodies   map[string][]byte // instead of what an export does
	locals   []byte            // of each body: i32
	extra    func(m *asm.Module)
	data     map[uint32][]byte
}

var oneI32 = []byte{asm.I32}

// module assembles the plugin. What is not spoiled works: calve_process returns
// the first column of its input.
func (h hostile) module() []byte {
	m := &asm.Module{}
	if h.extra != nil {
		h.extra(m)
	}
	m.Memory(pages)
	describe := h.describe
	if describe == "" {
		describe = identity
	}
	m.Data(describeAt, []byte(describe))
	process := asm.Code( // outputs[0].array = batch.array
		asm.Const(outputAt+abi.OutputArray), asm.Op(asm.LocalGet, 0), []byte{0x28, 2, abi.BatchArray}, []byte{0x36, 2, 0},
		asm.Const(resultAt))
	m.Data(resultAt, struct32(abi.ResultSize, map[int]uint32{abi.ResultNOutputs: 1, abi.ResultOutputs: outputAt}))
	for at, b := range h.data {
		m.Data(at, b)
	}
	for _, e := range []struct {
		name            string
		params, results []byte
		body            []byte
	}{
		{abi.ExportMarker, nil, nil, nil},
		{abi.ExportAlloc, oneI32, oneI32, asm.Const(arenaAt)},
		{abi.ExportDescribe, nil, []byte{asm.I64}, asm.Const64(describeAt<<32 | int64(len(describe)))},
		{abi.ExportInit, []byte{asm.I32, asm.I32}, oneI32, asm.Const(resultAt + 512)},
		{abi.ExportProcess, oneI32, oneI32, process},
	} {
		if e.name == h.leave {
			continue
		}
		if body, ok := h.bodies[e.name]; ok {
			e.body = body
		}
		m.Export(e.name, asm.Function, m.Func(e.params, e.results, h.locals, e.body...))
	}
	return m.Bytes()
}

// struct32 is a struct of that size with some u32 fields.
func struct32(size int, fields map[int]uint32) []byte {
	b := make([]byte, size)
	for at, v := range fields {
		binary.LittleEndian.PutUint32(b[at:], v)
	}
	return b
}

func idOnly() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil)
}

func idRows(n int) arrow.RecordBatch {
	texts := make([]string, n)
	rows := idTextRows(0, texts...)
	defer rows.Release()
	return array.NewRecordBatch(idOnly(), []arrow.Array{rows.Column(0)}, int64(n))
}

var small = Limits{Budget: 1 << 24, MemoryBytes: 4 << 20}

func compileHostile(t *testing.T, h hostile, l Limits) (*Plugin, error) {
	t.Helper()
	p, err := testHost(t).Compile(t.Context(), h.module(), l)
	if err == nil {
		t.Cleanup(func() { _ = p.Close(context.Background()) })
	}
	return p, err
}

func openHostile(t *testing.T, h hostile, l Limits, onError OnError) *Transform {
	t.Helper()
	p, err := compileHostile(t, h, l)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := p.Open(t.Context(), Init{Input: idOnly(), Output: idOnly(), OnError: onError})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close(context.Background()) })
	return tr
}

func spinForever() []byte {
	return []byte{asm.Loop, asm.Void, asm.Br, 0, asm.End, asm.Unreachable}
}

func TestHarmlessTwinOfTheHostilePluginsWorks(t *testing.T) {
	in := idRows(5)
	defer in.Release()
	r := process(t, openHostile(t, hostile{}, small, Stop), in)
	if got := ids(r.Outputs[0]); len(got) != 5 || got[4] != 4 {
		t.Errorf("got %v", got)
	}
}

func TestCompileRefusesWhatIsNoPlugin(t *testing.T) {
	for _, c := range []struct {
		name   string
		module []byte
		want   error
		text   string
	}{
		{"no module", []byte("#!/bin/sh"), ErrNotModule, "does not begin with"},
		{"garbage behind the preamble", []byte("\x00asm\x01\x00\x00\x00garbage"), ErrInvalidModule, ""},
		{"no marker", hostile{leave: abi.ExportMarker}.module(), ErrMissingExport, `"calve_abi_1"`},
		{"no alloc", hostile{leave: abi.ExportAlloc}.module(), ErrMissingExport, `"calve_alloc"`},
		{"no process", hostile{leave: abi.ExportProcess}.module(), ErrMissingExport, `"calve_process"`},
		{"process of another type", hostile{leave: abi.ExportProcess, extra: func(m *asm.Module) {
			m.Export(abi.ExportProcess, asm.Function, m.Func(nil, nil, nil))
		}}.module(), ErrMissingExport, "wrong type"},
		{"forbidden import", hostile{extra: func(m *asm.Module) { m.Import("env", "system", oneI32, oneI32) }}.module(), ErrRefusedImport, `"system" of module "env"`},
		{"import of another type", hostile{extra: func(m *asm.Module) { m.Import("calve", "log", nil, nil) }}.module(), nil, "log"},
		{"start section", hostile{extra: func(m *asm.Module) { m.Start(0) }}.module(), ErrStartSection, "_initialize"},
		{"table bomb", hostile{extra: func(m *asm.Module) { m.Table(50_000_000) }}.module(), ErrModuleTooLarge, "table of 50000000"},
		{"code that does not validate", hostile{bodies: map[string][]byte{abi.ExportAlloc: nil}}.module(), ErrInvalidModule, ""},
		{"describe traps", hostile{bodies: map[string][]byte{abi.ExportDescribe: {asm.Unreachable}}}.module(), ErrTrap, "calve_describe: unreachable"},
		{"describe never returns", hostile{bodies: map[string][]byte{abi.ExportDescribe: spinForever()}}.module(), ErrBudget, "calve_describe"},
		{"describe outside memory", hostile{bodies: map[string][]byte{abi.ExportDescribe: asm.Const64(-1)}}.module(), ErrDescription, "outside the memory"},
		{"describe is no JSON", hostile{describe: "describe me"}.module(), ErrDescription, "invalid character"},
		{"describe has another key", hostile{describe: `{"abi":1,"colour":"red"}`}.module(), ErrDescription, "colour"},
		{"another ABI version", hostile{describe: strings.Replace(identity, `"abi":1`, `"abi":2`, 1)}.module(), ErrDescription, "abi is 2"},
	} {
		p, err := testHost(t).Compile(t.Context(), c.module, small)
		if err == nil {
			_ = p.Close(t.Context())
		}
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %v with %q", c.name, err, c.want, c.text)
		}
	}
}

func TestFailingCallsBecomeRowErrorsOrStop(t *testing.T) {
	deep := asm.Code(asm.Op(asm.LocalGet, 0), asm.Op(asm.Call, 4))
	bomb := asm.Code([]byte{asm.Loop, asm.Void}, asm.Const(16), []byte{asm.MemoryGrow, 0}, asm.Const(-1), []byte{0x47, asm.BrIf, 0, asm.End, asm.Unreachable})
	result := func(fields map[int]uint32) map[uint32][]byte {
		return map[uint32][]byte{resultAt: struct32(abi.ResultSize, fields)}
	}
	staticResult := map[string][]byte{abi.ExportProcess: asm.Const(resultAt)}
	for _, c := range []struct {
		name   string
		plugin hostile
		want   error
		code   string
		text   string
	}{
		{"trap", hostile{bodies: map[string][]byte{abi.ExportProcess: {asm.Unreachable}}}, ErrTrap, CodeTrap, "unreachable"},
		{"division by zero", hostile{bodies: map[string][]byte{abi.ExportProcess: asm.Code(asm.Const(1), asm.Const(0), []byte{0x6d})}}, ErrTrap, CodeTrap, "divide by zero"},
		{"load outside memory", hostile{bodies: map[string][]byte{abi.ExportProcess: asm.Code(asm.Const(-4), []byte{0x28, 2, 0})}}, ErrTrap, CodeTrap, "out of bounds"},
		{"endless loop", hostile{bodies: map[string][]byte{abi.ExportProcess: spinForever()}}, ErrBudget, CodeLimit, "units of work"},
		{"endless recursion", hostile{bodies: map[string][]byte{abi.ExportProcess: deep}}, nil, "", ""},
		{"alloc never returns", allocOnce(spinForever()), ErrBudget, CodeLimit, "calve_alloc"},
		{"memory bomb", hostile{bodies: map[string][]byte{abi.ExportProcess: bomb}}, ErrMemory, CodeLimit, "4194304 bytes"},
		{"alloc gives nothing", allocOnce(asm.Const(0)), ErrMemory, CodeLimit, "no room"},
		{"alloc gives an odd address", allocOnce(asm.Const(arenaAt + 1)), ErrOutput, CodeOutput, "not aligned"},
		{"alloc gives what is not there", allocOnce(asm.Const(-64)), ErrOutput, CodeOutput, "outside the memory"},
		{"result outside memory", hostile{bodies: map[string][]byte{abi.ExportProcess: asm.Const(-32)}}, ErrOutput, CodeOutput, "result"},
		{"result not aligned", hostile{bodies: map[string][]byte{abi.ExportProcess: asm.Const(resultAt + 2)}}, ErrOutput, CodeOutput, "not aligned"},
		{"unknown status", hostile{bodies: staticResult, data: result(map[int]uint32{abi.ResultStatus: 9})}, ErrOutput, CodeOutput, "status 9"},
		{"status failed", hostile{bodies: staticResult, data: result(map[int]uint32{abi.ResultStatus: abi.StatusFailed})}, ErrTrap, CodeTrap, "status 1"},
		{"a status of its own", hostile{bodies: staticResult, data: result(map[int]uint32{abi.ResultStatus: 77})}, ErrTrap, CodeTrap, "status 77"},
		{"status retry", hostile{bodies: staticResult, data: result(map[int]uint32{abi.ResultStatus: abi.StatusRetry})}, ErrTrap, CodeTrap, "for now"},
		{"message outside memory", hostile{bodies: staticResult, data: result(map[int]uint32{abi.ResultMessagePtr: math.MaxUint32, abi.ResultMessageLen: 9})}, ErrOutput, CodeOutput, "message"},
		{"a stream nobody declared", hostile{data: map[uint32][]byte{outputAt: struct32(abi.OutputSize, map[int]uint32{abi.OutputStream: 3})}}, ErrOutput, CodeOutput, "output stream 3"},
		{"array outside memory", hostile{bodies: staticResult, data: map[uint32][]byte{outputAt: struct32(abi.OutputSize, map[int]uint32{abi.OutputArray: 0x7ffffff8})}}, ErrOutput, CodeOutput, "outside the memory"},
		{"row errors outside memory", hostile{bodies: staticResult, data: result(map[int]uint32{abi.ResultRowErrors: 0x7ffffff8})}, ErrOutput, CodeOutput, "row errors"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := idRows(3)
			defer in.Release()
			_, err := openHostile(t, c.plugin, small, Stop).Process(t.Context(), in, Meta{}, NoWatermark)
			if c.want == nil { // the stack or the budget ends first
				if failureCode(err) == "" {
					t.Fatalf("got %v, want a failure of the plugin", err)
				}
				return
			}
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Fatalf("stop: got %v, want %v with %q", err, c.want, c.text)
			}
			r := process(t, openHostile(t, c.plugin, small, DeadLetter), in)
			if len(r.Errors) != 3 || len(r.Outputs) != 1 || r.Outputs[0].Rows.NumRows() != 0 {
				t.Fatalf("dead letters: got %d errors, %v", len(r.Errors), r.Outputs)
			}
			for i, e := range r.Errors {
				if int(e.Row) != i || e.Code != c.code || !strings.Contains(e.Message, c.text) {
					t.Errorf("dead letters: got %+v, want row %d, code %q, %q", e, i, c.code, c.text)
				}
			}
		})
	}
}

// allocOnce is a plugin whose calve_alloc serves calve_init, which is its first
// call, and runs that code afterwards.
func allocOnce(then []byte) hostile {
	return hostile{
		extra: func(m *asm.Module) { m.Global(0) },
		bodies: map[string][]byte{abi.ExportAlloc: asm.Code(
			asm.Op(asm.GlobalGet, 0), []byte{asm.I32Eqz, asm.If, asm.I32},
			asm.Const(1), asm.Op(asm.GlobalSet, 0), asm.Const(arenaAt), []byte{0x05}, then, []byte{asm.End})},
	}
}

func TestOpenRefusesWhatDoesNotStart(t *testing.T) {
	refuse := map[uint32][]byte{
		resultAt + 512: struct32(abi.ResultSize, map[int]uint32{abi.ResultStatus: abi.StatusRefused, abi.ResultMessagePtr: 4000, abi.ResultMessageLen: 11}),
		4000:           []byte("no such key"),
	}
	for _, c := range []struct {
		name   string
		plugin hostile
		want   error
		text   string
	}{
		{"configuration refused", hostile{data: refuse}, ErrRefusedConfig, "no such key"},
		{"init traps", hostile{bodies: map[string][]byte{abi.ExportInit: {asm.Unreachable}}}, ErrTrap, "calve_init"},
		{"init never returns", hostile{bodies: map[string][]byte{abi.ExportInit: spinForever()}}, ErrBudget, "calve_init"},
		{"init returns garbage", hostile{bodies: map[string][]byte{abi.ExportInit: asm.Const(-1)}}, ErrOutput, "result"},
		{"derived, but nothing announced", hostile{describe: strings.Replace(identity, `[{"name":"id","format":"l","nullable":false}]`, `"derived"`, 1)}, ErrMismatch, "announced no schema"},
		{"another kind", hostile{describe: strings.Replace(identity, "transform", "session", 1)}, ErrMismatch, `kind "session"`},
		{"a type no table can hold", hostile{describe: strings.Replace(identity, `"l"`, `"vu"`, 1)}, ErrMismatch, "utf8_view"},
	} {
		p, err := compileHostile(t, c.plugin, small)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		_, err = p.Open(t.Context(), Init{Model: "orders", Input: idOnly(), Output: idOnly()})
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), `model "orders"`) {
			t.Errorf("%s: got %v, want %v with %q", c.name, err, c.want, c.text)
		}
	}
}

func TestGarbageCollectionFinishesWhileAPluginSpins(t *testing.T) {
	tr := openHostile(t, hostile{bodies: map[string][]byte{abi.ExportProcess: spinForever()}}, Limits{Budget: 1 << 50}, Stop)
	in := idRows(1)
	defer in.Release()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := tr.Process(ctx, in, Meta{}, NoWatermark)
		done <- err
	}()
	for range 3 {
		runtime.GC() // without the meter the collector waits for the guest without end
	}
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the plugin was not stopped when the context ended")
	}
}

func TestHostCallsUseUpTheBudget(t *testing.T) {
	log := hostile{
		extra:  func(m *asm.Module) { m.Import("calve", "log", []byte{asm.I32, asm.I32, asm.I32}, nil) },
		bodies: map[string][]byte{abi.ExportProcess: asm.Code([]byte{asm.Loop, asm.Void}, asm.Const(0), asm.Const(describeAt), asm.Const(100), asm.Op(asm.Call, 0), []byte{asm.Br, 0, asm.End, asm.Unreachable})},
	}
	in := idRows(1)
	defer in.Release()
	_, err := openHostile(t, log, small, Stop).Process(t.Context(), in, Meta{}, NoWatermark)
	if !errors.Is(err, ErrBudget) {
		t.Errorf("got %v", err)
	}
}

func TestImportsRefusePointersOutsideMemory(t *testing.T) {
	log := hostile{
		extra:  func(m *asm.Module) { m.Import("calve", "log", []byte{asm.I32, asm.I32, asm.I32}, nil) },
		bodies: map[string][]byte{abi.ExportProcess: asm.Code(asm.Const(3), asm.Const(-1), asm.Const(100), asm.Op(asm.Call, 0), asm.Const(resultAt))},
	}
	in := idRows(1)
	defer in.Release()
	_, err := openHostile(t, log, small, Stop).Process(t.Context(), in, Meta{}, NoWatermark)
	if !errors.Is(err, ErrTrap) || !strings.Contains(err.Error(), "pointer outside memory") {
		t.Errorf("got %v", err)
	}
}

func TestAbortOfAssemblyScriptShowsItsMessage(t *testing.T) {
	text := []byte{6, 0, 0, 0, 'n', 0, 0xe9, 0, 't', 0} // its length in bytes, then UTF-16
	abort := hostile{
		extra:  func(m *asm.Module) { m.Import("env", "abort", []byte{asm.I32, asm.I32, asm.I32, asm.I32}, nil) },
		data:   map[uint32][]byte{4000: text},
		bodies: map[string][]byte{abi.ExportProcess: asm.Code(asm.Const(4004), asm.Const(0), asm.Const(1), asm.Const(2), asm.Op(asm.Call, 0), asm.Const(resultAt))},
	}
	in := idRows(1)
	defer in.Release()
	_, err := openHostile(t, abort, small, Stop).Process(t.Context(), in, Meta{}, NoWatermark)
	if !errors.Is(err, ErrTrap) || !strings.Contains(err.Error(), "abort: nét") {
		t.Errorf("got %v", err)
	}
}

func TestMemoryLimitHolds(t *testing.T) {
	_, err := compileHostile(t, hostile{}, Limits{MemoryBytes: (pages - 1) * pageBytes})
	if !errors.Is(err, ErrModuleTooLarge) || !strings.Contains(err.Error(), "8 pages") {
		t.Errorf("got %v", err)
	}
	for _, l := range []Limits{{Budget: -1}, {MemoryBytes: 1}} {
		if _, err := compileHostile(t, hostile{}, l); err == nil {
			t.Errorf("%+v: accepted", l)
		}
	}
}
