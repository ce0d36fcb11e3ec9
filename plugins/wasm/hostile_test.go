package wasm

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
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
	last     func(m *asm.Module) // spoils what is there
	data     map[uint32][]byte
	at       uint32 // where the description is, 0: describeAt
	pages    uint32 // of memory, 0: pages
}

var oneI32 = []byte{asm.I32}

// module assembles the plugin. What is not spoiled works: calve_process returns
// the first column of its input.
func (h hostile) module() []byte {
	m := &asm.Module{}
	if h.extra != nil {
		h.extra(m)
	}
	m.Memory(cmp.Or(h.pages, pages))
	describe := h.describe
	if describe == "" {
		describe = identity
	}
	at := cmp.Or(h.at, describeAt)
	m.Data(at, []byte(describe))
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
		{abi.ExportDescribe, nil, []byte{asm.I64}, asm.Const64(int64(at)<<32 | int64(len(describe)))},
		{abi.ExportInit, []byte{asm.I32, asm.I32}, oneI32, asm.Const(resultAt + 512)},
		{abi.ExportProcess, oneI32, oneI32, passFirst()},
	} {
		if e.name == h.leave {
			continue
		}
		if body, ok := h.bodies[e.name]; ok {
			e.body = body
		}
		m.Export(e.name, asm.Function, m.Func(e.params, e.results, h.locals, e.body...))
	}
	if h.last != nil {
		h.last(m)
	}
	return m.Bytes()
}

// passFirst is calve_process: outputs[0].array = batch.array.
func passFirst() []byte {
	return asm.Code(asm.Const(outputAt+abi.OutputArray), asm.Op(asm.LocalGet, 0), []byte{0x28, 2, abi.BatchArray}, []byte{0x36, 2, 0}, asm.Const(resultAt))
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
