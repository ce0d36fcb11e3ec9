package meter

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/calvelake/calve/plugins/wasm/internal/asm"
)

const (
	callIndirect = 0x11
	tableSet     = 0x26
	refFunc      = 0xd2
)

// twice calls something twice with one less than the parameter, which is how
// often that is done one within the other.
func twice(call []byte) []byte {
	less := asm.Code(asm.Op(asm.LocalGet, 0), asm.Const(1), []byte{asm.I32Sub})
	return asm.Code(asm.Op(asm.LocalGet, 0), []byte{asm.If, asm.Void}, less, call, less, call, []byte{asm.End})
}

func callOf(f uint32) []byte { return asm.Op(asm.Call, f) }

// throughTable calls entry i of the table.
func throughTable(i int32) []byte { return asm.Code(asm.Const(i), []byte{callIndirect, 0, 0}) }

// chain is n functions without results of which each does the next twice.
func chain(n int, next func(i int) []byte) *asm.Module {
	m := withF(i32, none, none, twice(next(1))...)
	for i := 1; i < n-1; i++ {
		m.Func(i32, none, none, twice(next(i+1))...)
	}
	m.Func(i32, none, none)
	return m
}

// inTable puts the first n functions into a table.
func inTable(m *asm.Module, n int) *asm.Module {
	m.Table(uint32(n))
	b := asm.U32([]byte{1, 0, 0x41, 0, asm.End}, uint32(n))
	for f := range n {
		b = asm.U32(b, uint32(f))
	}
	m.Raw(9, b)
	return m
}

func long(code []byte) []byte {
	for range 100 {
		code = append(code, 0x01) // nop
	}
	return code
}

// TestCallsOfShortFunctionsAreStoppedByTheBudget: each module makes 2^60 calls,
// at most 60 deep, mostly of functions that could do without a check.
func TestCallsOfShortFunctionsAreStoppedByTheBudget(t *testing.T) {
	const deep = 60
	next := func(i int) []byte { return callOf(uint32(i)) }
	pair := withF(i32, none, none, twice(callOf(1))...)
	pair.Func(i32, none, none, twice(callOf(0))...)
	ring := withF(i32, none, none, twice(callOf(1))...)
	ring.Func(i32, none, none, long(twice(callOf(2)))...)
	ring.Func(i32, none, none, twice(callOf(0))...)
	mixed := withF(i32, none, none, twice(callOf(1))...)
	mixed.Func(i32, none, none, twice(throughTable(0))...)
	stored := withF(i32, none, none, asm.Code(asm.Const(1), asm.Op(refFunc, 1), []byte{tableSet, 0}, asm.Op(asm.LocalGet, 0), throughTable(1))...)
	stored.Func(i32, none, none, twice(throughTable(1))...)
	wrapped := withF(i32, none, none, twice(callOf(1))...)
	wrapped.Func(i32, none, none, asm.Code(asm.Op(asm.LocalGet, 0), callOf(2))...)
	wrapped.Func(i32, none, none, asm.Code(asm.Op(asm.LocalGet, 0), callOf(0))...)
	for name, m := range map[string]*asm.Module{
		"itself":                        withF(i32, none, none, twice(callOf(0))...),
		"one another":                   pair,
		"a long one among short ones":   ring,
		"itself through wrappers":       wrapped,
		"itself through a table":        inTable(withF(i32, none, none, twice(throughTable(0))...), 1),
		"one another through a table":   inTable(mixed, 1),
		"what it puts into the table":   inTable(stored, 2),
		"the next, without a cycle":     chain(deep+1, next),
		"the next, through a table":     inTable(chain(deep+1, func(i int) []byte { return throughTable(int32(i)) }), deep+1),
		"the next, and a long one last": chain(deep+1, func(i int) []byte { return callOf(uint32(min(i, deep/2))) }),
	} {
		in := instantiate(t, m)
		if _, err := in.run(1_000_000, deep); err == nil || in.left() >= 0 {
			t.Errorf("%s: got error %v with %d units left", name, err, in.left())
		}
		if _, err := in.run(1_000_000, 3); err != nil {
			t.Errorf("%s: got %v within the budget", name, err)
		}
	}
}

func TestShortFunctionsCountWithTheirCallers(t *testing.T) {
	// f(n) calls a function n times.
	calling := func(call []byte) *asm.Module {
		return withF(i32, none, none, asm.Code(
			[]byte{asm.Loop, asm.Void}, call,
			asm.Op(asm.LocalGet, 0), asm.Const(1), []byte{asm.I32Sub}, asm.Op(asm.LocalTee, 0), []byte{asm.BrIf, 0, asm.End})...)
	}
	called := func(call, code []byte) *asm.Module {
		m := calling(call)
		m.Func(none, none, none, code...)
		return inTable(m, 2)
	}
	looping := asm.Code([]byte{asm.Loop, asm.Void, asm.End})
	eight := asm.Code(callOf(1), callOf(1), callOf(1), callOf(1), callOf(1), callOf(1), callOf(1), callOf(1))
	for _, c := range []struct {
		name string
		m    *asm.Module
		want int64 // units of each iteration
	}{
		{"short", called(callOf(1), nil), 1},
		{"eight short ones", called(eight, nil), 2}, // 8 × (16 + 1) bytes
		{"long", called(callOf(1), long(long(nil))), 3},
		{"with a loop", called(callOf(1), looping), 3},
		{"through a table", called(asm.Code(asm.Const(1), []byte{callIndirect, 1, 0}), nil), 2},
	} {
		in := instantiate(t, c.m)
		used := func(n uint64) int64 {
			if _, err := in.run(1<<40, n); err != nil {
				t.Fatal(err)
			}
			return 1<<40 - in.left() + SliceChecks - int64(int32(in.global(ExportSlice).Get()))
		}
		if got := used(1100) - used(100); got != 1000*c.want {
			t.Errorf("%s: 1000 calls took %d units, want %d each", c.name, got, c.want)
		}
	}
}

// TestWorkBetweenChecksIsBounded runs programs of functions that call one another
// at random, each of which counts its entries. An entry takes at least callBytes
// of a unit's codePerCheck, or a unit.
func TestWorkBetweenChecksIsBounded(t *testing.T) {
	const slice, most = 3000, codePerCheck/callBytes + 1
	stopped, saved := 0, 0
	for seed := range uint64(200) {
		entries, used, err := enter(t, randomProgram(rand.New(rand.NewPCG(seed, 1))), slice)
		if entries > most*(used+1) {
			t.Errorf("seed %d: %d entries for %d units", seed, entries, used)
		}
		if err != nil {
			stopped++
		}
		if entries > 2*used {
			saved++
		}
	}
	if stopped < 20 || stopped > 180 || saved < 20 {
		t.Errorf("%d of 200 programs were stopped, %d saved checks: the programs are too much alike", stopped, saved)
	}
}

// randomProgram is up to ten functions that call one another, up to 40 deep.
func randomProgram(r *rand.Rand) *asm.Module {
	n := 1 + r.IntN(10)
	m := &asm.Module{}
	m.Memory(1)
	m.Global(0)
	for f := range n {
		code := asm.Code(asm.Op(asm.GlobalGet, 0), asm.Const(1), []byte{asm.I32Add}, asm.Op(asm.GlobalSet, 0))
		code = asm.Code(code, asm.Op(asm.LocalGet, 0), []byte{asm.I32Eqz, asm.If, asm.Void, asm.Return, asm.End})
		for range r.IntN(4) {
			less := asm.Code(asm.Op(asm.LocalGet, 0), asm.Const(1), []byte{asm.I32Sub})
			switch r.IntN(8) {
			case 0:
				code = asm.Code(code, less, throughTable(r.Int32N(int32(n))))
			case 1:
				code = asm.Code(code, []byte{asm.Loop, asm.Void}, less, callOf(uint32(r.IntN(n))), []byte{asm.End})
			case 2:
				code = long(code)
			default:
				to := r.IntN(n)
				if r.IntN(3) > 0 { // mostly without cycles
					to = min(f+1+r.IntN(2), n-1)
				}
				code = asm.Code(code, less, callOf(uint32(to)))
			}
		}
		m.Func(i32, none, none, code...)
	}
	m.Export("f", asm.Function, 0)
	m.Export("entries", asm.Global, 0)
	return inTable(m, n)
}

// enter runs f(40) for a slice and no longer. It returns how many functions were
// entered, and the units they took.
func enter(t *testing.T, m *asm.Module, slice int64) (entries, used int64, err error) {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2))
	defer func() { _ = r.Close(ctx) }()
	mod, err := r.InstantiateWithConfig(ctx, rewrite(t, m), wazero.NewModuleConfig())
	if err != nil {
		t.Fatal(err)
	}
	in := instance{mod, t}
	in.global(ExportSlice).Set(uint64(slice))
	_, err = in.ExportedFunction("f").Call(ctx, 40)
	left := int64(int32(in.global(ExportSlice).Get()))
	if err != nil {
		left = SliceChecks + in.left() // when it was spent
	}
	return int64(mod.ExportedGlobal("entries").Get()), slice - left, err
}
