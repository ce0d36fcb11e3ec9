package meter

import (
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/calvelake/calve/plugins/wasm/internal/asm"
)

func BenchmarkRewrite(b *testing.B) {
	data := samples()[0].Bytes()
	for b.Loop() {
		if _, err := Rewrite(data, options); err != nil {
			b.Fatal(err)
		}
	}
}

// mix is a loop with some work in it: f(n) folds n numbers into a hash.
func mix() *asm.Module {
	step := asm.Code(
		asm.Op(asm.LocalGet, 1), asm.Const(31), []byte{0x6c}, asm.Op(asm.LocalGet, 0), []byte{0x73}, // h*31 ^ n
		asm.Op(asm.LocalTee, 1), asm.Const(13), []byte{0x76}, asm.Op(asm.LocalGet, 1), []byte{0x73}, // h ^ h>>13
		asm.Op(asm.LocalTee, 1), asm.Const(1023), []byte{0x71, 0x2d, 0, 0}, // + memory[h & 1023]
		asm.Op(asm.LocalGet, 1), []byte{asm.I32Add}, asm.Op(asm.LocalSet, 1))
	return withF(i32, i32, i32, asm.Code(
		[]byte{asm.Loop, asm.Void}, step,
		asm.Op(asm.LocalGet, 0), asm.Const(1), []byte{asm.I32Sub}, asm.Op(asm.LocalTee, 0), []byte{asm.BrIf, 0, asm.End},
		asm.Op(asm.LocalGet, 1))...)
}

// calls is a loop that does no more than call a short function.
func calls() *asm.Module {
	m := withF(i32, i32, i32, asm.Code(
		[]byte{asm.Loop, asm.Void},
		asm.Op(asm.LocalGet, 1), asm.Op(asm.LocalGet, 0), asm.Op(asm.Call, 1), asm.Op(asm.LocalSet, 1),
		asm.Op(asm.LocalGet, 0), asm.Const(1), []byte{asm.I32Sub}, asm.Op(asm.LocalTee, 0), []byte{asm.BrIf, 0, asm.End},
		asm.Op(asm.LocalGet, 1))...)
	two := []byte{asm.I32, asm.I32}
	m.Func(two, i32, none, asm.Code(asm.Op(asm.LocalGet, 0), asm.Op(asm.LocalGet, 1), []byte{0x73}, asm.Const(31), []byte{0x6c})...)
	return m
}

// BenchmarkCost compares loops as they are with the same loops metered.
func BenchmarkCost(b *testing.B) {
	const iterations = 1 << 20
	ctx := context.Background()
	for _, c := range []struct {
		name   string
		module []byte
	}{
		{"work/plain", mix().Bytes()}, {"work/metered", rewrite(b, mix())},
		{"calls/plain", calls().Bytes()}, {"calls/metered", rewrite(b, calls())},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2))
			defer func() { _ = r.Close(ctx) }()
			in, err := r.InstantiateWithConfig(ctx, c.module, wazero.NewModuleConfig())
			if err != nil {
				b.Fatal(err)
			}
			if budget := in.ExportedGlobal(ExportBudget); budget != nil {
				budget.(api.MutableGlobal).Set(1 << 62)
			}
			f := in.ExportedFunction("f")
			for b.Loop() {
				if _, err := f.Call(ctx, iterations); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/iterations, "ns/iteration")
		})
	}
}
