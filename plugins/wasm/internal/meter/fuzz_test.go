package meter

import (
	"context"
	"errors"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/calvelake/calve/plugins/wasm/internal/asm"
)

// samples are modules with a function f of an i32 that returns an i32.
func samples() []*asm.Module {
	sum := asm.Code( // 1 + … + n
		[]byte{asm.Loop, asm.Void},
		asm.Op(asm.LocalGet, 1), asm.Op(asm.LocalGet, 0), []byte{asm.I32Add}, asm.Op(asm.LocalSet, 1),
		asm.Op(asm.LocalGet, 0), asm.Const(1), []byte{asm.I32Sub}, asm.Op(asm.LocalTee, 0), []byte{asm.BrIf, 0, asm.End},
		asm.Op(asm.LocalGet, 1))
	fill := asm.Code(
		asm.Const(16), asm.Op(asm.LocalGet, 0), asm.Const(64), []byte{asm.Misc, asm.MiscMemoryFill, 0},
		asm.Const(100), asm.Const(16), asm.Const(32), []byte{asm.Misc, asm.MiscMemoryCopy, 0, 0},
		asm.Const(120), []byte{0x2d, 0, 0}) // i32.load8_u
	grow := asm.Code(asm.Op(asm.LocalGet, 0), []byte{asm.MemoryGrow, 0, asm.MemorySize, 0, asm.I32Add})
	branches := asm.Code(
		[]byte{asm.Block, asm.Void, asm.Block, asm.Void, asm.Block, asm.Void},
		asm.Op(asm.LocalGet, 0), []byte{0x0e, 2, 0, 1, 2, asm.End}, asm.Const(10), []byte{asm.Return, asm.End},
		asm.Const(20), []byte{asm.Return, asm.End}, asm.Const(30))
	indirect := withF(i32, i32, none, asm.Code(asm.Op(asm.LocalGet, 0), asm.Const(0), []byte{0x11, 1, 0})...)
	indirect.Func(i32, i32, none, asm.Code(asm.Op(asm.LocalGet, 0), asm.Const(3), []byte{asm.I32Add})...)
	indirect.Table(1)
	indirect.Raw(9, []byte{1, 0, 0x41, 0, asm.End, 1, 1})
	globals := withF(i32, i32, none, asm.Code(asm.Op(asm.GlobalGet, 0), asm.Op(asm.LocalGet, 0), []byte{asm.I32Add}, asm.Op(asm.GlobalSet, 0), asm.Op(asm.GlobalGet, 0))...)
	globals.Global(7)
	return []*asm.Module{
		withF(i32, i32, i32, sum...), withF(i32, i32, none, fill...), withF(i32, i32, none, grow...),
		withF(i32, i32, none, branches...), indirect, globals, counting(), calls(),
	}
}

// compare runs a module as it is and metered. It reports whether the metered
// one ran to its end.
func compare(t *testing.T, data []byte, arg uint64) bool {
	ctx := context.Background()
	config := wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2).WithMemoryLimitPages(options.MemoryPages)
	r := wazero.NewRuntimeWithConfig(ctx, config)
	defer func() { _ = r.Close(ctx) }()
	metered, err := Rewrite(data, options)
	if err != nil {
		return false // not compiled as it is: it might take all memory
	}
	plain, plainErr := compile(ctx, r, data)
	compiled, err := compile(ctx, r, metered.Module)
	if (err == nil) != (plainErr == nil) {
		t.Fatalf("as it is: %v; metered: %v", plainErr, err)
	}
	if err != nil || len(plain.ImportedFunctions()) > 0 {
		return false
	}
	f, ok := compiled.ExportedFunctions()["f"]
	if !ok || len(f.ParamTypes()) != 1 || len(f.ResultTypes()) != 1 {
		return false
	}
	in, err := r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		return false
	}
	in.ExportedGlobal(ExportBudget).(api.MutableGlobal).Set(1 << 20)
	got, err := in.ExportedFunction("f").Call(ctx, arg)
	if int64(in.ExportedGlobal(ExportBudget).Get()) < 0 {
		return false // it did not end, so neither would the other
	}
	original, instErr := r.InstantiateModule(ctx, plain, wazero.NewModuleConfig().WithName(""))
	if instErr != nil {
		t.Fatalf("metered could be instantiated, as it is: %v", instErr)
	}
	want, wantErr := original.ExportedFunction("f").Call(ctx, arg)
	if (err == nil) != (wantErr == nil) || err == nil && got[0] != want[0] {
		t.Fatalf("f(%d): metered %v, %v; as it is %v, %v", arg, got, err, want, wantErr)
	}
	return err == nil
}

// compile recovers: wazero panics on some malformed modules.
func compile(ctx context.Context, r wazero.Runtime, data []byte) (c wazero.CompiledModule, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("the compiler panicked")
		}
	}()
	return r.CompileModule(ctx, data)
}

func TestMeteringChangesNoResult(t *testing.T) {
	for i, m := range samples() {
		for _, arg := range []uint64{0, 1, 2, 3, 100} {
			if ran := compare(t, m.Bytes(), arg); !ran && arg != 0 {
				t.Errorf("sample %d did not run with %d", i, arg)
			}
		}
	}
}

func FuzzRewrite(f *testing.F) {
	for _, m := range samples() {
		f.Add(m.Bytes(), uint32(5))
	}
	f.Fuzz(func(t *testing.T, data []byte, arg uint32) {
		if len(data) > 1<<16 {
			return
		}
		compare(t, data, uint64(arg))
	})
}
