package meter

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/calvelake/calve/plugins/wasm/internal/asm"
)

var (
	none []byte
	i32  = []byte{asm.I32}
)

var options = Options{MemoryPages: 64, Imports: func(module, name string) bool { return module == "calve" && name == "log" }}

func rewrite(t testing.TB, m *asm.Module) []byte {
	t.Helper()
	r, err := Rewrite(m.Bytes(), options)
	if err != nil {
		t.Fatal(err)
	}
	return r.Module
}

// instance is a metered module that runs.
type instance struct {
	api.Module
	t testing.TB
}

func instantiate(t testing.TB, m *asm.Module) instance {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2))
	t.Cleanup(func() { _ = r.Close(ctx) })
	mod, err := r.InstantiateWithConfig(ctx, rewrite(t, m), wazero.NewModuleConfig())
	if err != nil {
		t.Fatal(err)
	}
	return instance{mod, t}
}

func (in instance) global(name string) api.MutableGlobal {
	return in.ExportedGlobal(name).(api.MutableGlobal)
}

func (in instance) run(budget int64, args ...uint64) (uint64, error) {
	in.t.Helper()
	in.global(ExportSlice).Set(SliceChecks)
	in.global(ExportBudget).Set(uint64(budget))
	out, err := in.ExportedFunction("f").Call(context.Background(), args...)
	if err != nil || len(out) == 0 {
		return 0, err
	}
	return out[0], nil
}

func (in instance) left() int64 { return int64(in.global(ExportBudget).Get()) }

// withF is a module with a memory and one function f, exported.
func withF(params, results, locals []byte, code ...byte) *asm.Module {
	m := &asm.Module{}
	m.Memory(1)
	m.Export("f", asm.Function, m.Func(params, results, locals, code...))
	return m
}

// spin is a loop without end.
func spin() []byte { return []byte{asm.Loop, asm.Void, asm.Br, 0, asm.End} }

func TestEndlessLoopIsStoppedByTheBudget(t *testing.T) {
	in := instantiate(t, withF(none, none, none, spin()...))
	if _, err := in.run(1_000_000); err == nil || in.left() >= 0 {
		t.Errorf("got error %v with %d units left", err, in.left())
	}
}

func TestLoopFreeRecursionIsStoppedByTheBudget(t *testing.T) {
	// f(n) = n == 0 ? 0 : f(n-1) + f(n-1): 2^60 calls, 60 deep.
	m := withF(i32, i32, none, asm.Code(
		asm.Op(asm.LocalGet, 0), []byte{asm.I32Eqz, asm.If, asm.I32}, asm.Const(0), []byte{0x05},
		asm.Op(asm.LocalGet, 0), asm.Const(1), []byte{asm.I32Sub}, asm.Op(asm.Call, 0),
		asm.Op(asm.LocalGet, 0), asm.Const(1), []byte{asm.I32Sub}, asm.Op(asm.Call, 0),
		[]byte{asm.I32Add, asm.End},
	)...)
	in := instantiate(t, m)
	if _, err := in.run(1_000_000, 60); err == nil || in.left() >= 0 {
		t.Errorf("got error %v with %d units left", err, in.left())
	}
	if got, err := in.run(1_000_000, 10); err != nil || got != 0 {
		t.Errorf("got %d, %v within the budget", got, err)
	}
}

func TestGarbageCollectionFinishesWhileAGuestSpins(t *testing.T) {
	in := instantiate(t, withF(none, none, none, spin()...))
	done := make(chan error, 1)
	go func() {
		_, err := in.run(1 << 62)
		done <- err
	}()
	for range 3 {
		runtime.GC() // would wait for the guest without end
	}
	in.global(ExportStop).Set(1)
	select {
	case err := <-done:
		if err == nil {
			t.Error("the guest returned from an endless loop")
		}
	case <-time.After(time.Minute):
		t.Fatal("the guest did not stop when asked to")
	}
}

func TestBulkOperationsAreChargedBySize(t *testing.T) {
	const n = 1 << 20
	fill := withF(none, none, none, asm.Code(asm.Const(0), asm.Const(7), asm.Const(n), []byte{asm.Misc, asm.MiscMemoryFill, 0})...)
	fill.Raw(5, []byte{1, 0, 32})
	in := instantiate(t, fill)
	if _, err := in.run(1 << 40); err != nil {
		t.Fatal(err)
	}
	used := 1<<40 - in.left() + SliceChecks - int64(int32(in.global(ExportSlice).Get()))
	if want := int64(n / 64); used < want || used > want+10 {
		t.Errorf("filling %d bytes used %d units, want about %d", n, used, want)
	}
	if b, _ := in.Memory().ReadByte(n - 1); b != 7 {
		t.Errorf("got %d at the end of what was filled", b)
	}
}

func TestLongStraightCodeWeighsMore(t *testing.T) {
	code := bytes.Repeat(asm.Code(asm.Const(1), []byte{asm.Drop}), 10_000)
	in := instantiate(t, withF(none, none, none, code...))
	if _, err := in.run(1 << 40); err != nil {
		t.Fatal(err)
	}
	if used, want := SliceChecks-int64(in.global(ExportSlice).Get()), int64(len(code)/codePerCheck); used < want || used > want+2 {
		t.Errorf("got %d units for %d bytes of code, want about %d", used, len(code), want)
	}
}

func TestRefusedMemoryIsRemembered(t *testing.T) {
	in := instantiate(t, withF(i32, i32, none, asm.Code(asm.Op(asm.LocalGet, 0), []byte{asm.MemoryGrow, 0})...))
	if got, err := in.run(1<<30, 3); err != nil || got != 1 || in.global(ExportOOM).Get() != 0 {
		t.Errorf("got %d, %v, oom %d", got, err, in.global(ExportOOM).Get())
	}
	got, err := in.run(1<<30, uint64(options.MemoryPages))
	if err != nil || int32(got) != -1 || in.global(ExportOOM).Get() != 1 {
		t.Errorf("beyond the limit: got %d, %v, oom %d", int32(got), err, in.global(ExportOOM).Get())
	}
}

func TestTableCannotGrowBeyondItsBound(t *testing.T) {
	m := withF(i32, i32, none, asm.Code([]byte{asm.RefNull, asm.FuncRef}, asm.Op(asm.LocalGet, 0), []byte{asm.Misc, asm.MiscTableGrow, 0})...)
	m.Table(1)
	in := instantiate(t, m)
	if got, err := in.run(1<<30, maxTable); err != nil || int32(got) != -1 {
		t.Errorf("got %d, %v, want -1", int32(got), err)
	}
}

func TestModuleCannotReachTheMeter(t *testing.T) {
	// The module has no globals; global 1 would be the budget.
	m := withF(none, none, none, asm.Code(asm.Const(5), asm.Op(asm.GlobalSet, 0))...)
	if _, err := Rewrite(m.Bytes(), options); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v", err)
	}
	export := withF(none, none, none)
	export.Export("g", asm.Global, 0)
	if _, err := Rewrite(export.Bytes(), options); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func TestStructureIsBounded(t *testing.T) {
	huge := &asm.Module{}
	huge.Memory(1)
	huge.Type(none, none)
	huge.Raw(3, []byte{1, 0})
	huge.Body(asm.Code([]byte{1}, asm.U32(nil, 5_000_000), []byte{asm.I64, asm.End}))

	big := withF(none, none, none)
	big.Raw(5, asm.Code([]byte{1, 0}, asm.U32(nil, 65)))

	table := withF(none, none, none)
	table.Table(maxTable + 1)

	loops := withF(none, none, none, asm.Code(
		bytes.Repeat([]byte{asm.Loop, asm.Void}, maxLoopNesting+1), bytes.Repeat([]byte{asm.End}, maxLoopNesting+1))...)

	spread := withF(none, none, bytes.Repeat(i32, 20_000), bytes.Repeat([]byte{asm.Block, asm.Void, asm.End}, 300)...)

	start := withF(none, none, none)
	start.Start(0)

	imported := &asm.Module{}
	imported.Import("env", "system", none, none)
	imported.Memory(1)

	importedMemory := withF(none, none, none)
	importedMemory.Raw(2, asm.Code([]byte{1, 3}, []byte("env"), []byte{6}, []byte("memory"), []byte{2, 0, 1}))

	noMemory := &asm.Module{}
	noMemory.Export("f", asm.Function, noMemory.Func(none, none, none))

	threads := withF(none, none, none)
	threads.Raw(5, []byte{1, 3, 1, 2})

	taken := withF(none, none, none)
	taken.Export(ExportBudget, asm.Function, 0)

	tailCall := withF(none, none, none, 0x12, 0)

	for _, c := range []struct {
		name   string
		module []byte
		want   error
		text   string
	}{
		{"no module", []byte("not wasm at all"), ErrNotModule, "does not begin"},
		{"empty", nil, ErrNotModule, "does not begin"},
		{"another version", []byte{0, 'a', 's', 'm', 2, 0, 0, 0}, ErrNotModule, "version 1"},
		{"truncated", withF(none, none, none, spin()...).Bytes()[:40], ErrInvalid, "unexpected end"},
		{"too many bytes", append(append([]byte{}, preamble...), make([]byte, maxModuleBytes)...), ErrTooLarge, "bytes"},
		{"huge locals", huge.Bytes(), ErrTooLarge, "locals"},
		{"memory beyond the limit", big.Bytes(), ErrTooLarge, "65 pages"},
		{"table bomb", table.Bytes(), ErrTooLarge, "table of 100001"},
		{"deep loops", loops.Bytes(), ErrTooLarge, "loops nested"},
		{"many locals and blocks", spread.Bytes(), ErrTooLarge, "blocks"},
		{"start section", start.Bytes(), ErrStart, "_initialize"},
		{"forbidden import", imported.Bytes(), ErrImport, `"system" of module "env"`},
		{"imported memory", importedMemory.Bytes(), ErrImport, `"memory"`},
		{"no memory", noMemory.Bytes(), ErrInvalid, "no memory"},
		{"shared memory", threads.Bytes(), ErrInvalid, "shared"},
		{"a name of the meter", taken.Bytes(), ErrInvalid, ExportBudget},
		{"tail call", tailCall.Bytes(), ErrInvalid, "tail calls"},
	} {
		_, err := Rewrite(c.module, options)
		if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %v with %q", c.name, err, c.want, c.text)
		}
	}
}
