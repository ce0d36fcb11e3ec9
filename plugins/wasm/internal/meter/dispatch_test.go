package meter

import (
	"math/rand/v2"
	"testing"

	"github.com/calvelake/calve/plugins/wasm/internal/asm"
)

// In these functions local 0 is the parameter and local 1 says where the
// dispatch loop goes on.
var twoLocals = []byte{asm.I32, asm.I32}

const next = 1

// dispatching is a dispatch loop of a piece of code for each target, behind the
// block of that depth.
func dispatching(targets []uint32, pieces ...[]byte) []byte {
	code := []byte{asm.Loop, asm.Void}
	for range pieces {
		code = append(code, asm.Block, asm.Void)
	}
	code = append(code, asm.Op(asm.LocalGet, next)...)
	code = asm.U32(append(code, 0x0e), uint32(len(targets)-1))
	for _, t := range targets {
		code = asm.U32(code, t)
	}
	for _, p := range pieces {
		code = append(append(code, asm.End), p...)
	}
	return append(code, asm.End)
}

// jump leads to the piece of that number, from another one of n, below so many
// blocks of that piece.
func jump(n, from int, to int32, below int) []byte {
	return asm.Code(asm.Const(to), asm.Op(asm.LocalSet, next), asm.Op(asm.Br, uint32(n-1-from+below)))
}

// countdown takes one from the parameter and tells whether it is still there.
func countdown() []byte {
	return asm.Code(asm.Op(asm.LocalGet, 0), asm.Const(1), []byte{asm.I32Sub}, asm.Op(asm.LocalTee, 0))
}

// counting goes round n times, with two jumps onward each time.
func counting() *asm.Module {
	return withF(i32, i32, twoLocals, asm.Code(dispatching([]uint32{0, 1, 2, 3},
		jump(4, 0, 1, 0),
		jump(4, 1, 3, 0),
		[]byte{asm.Unreachable},
		asm.Code(countdown(), []byte{asm.If, asm.Void}, jump(4, 3, 0, 1), []byte{asm.End}),
	), asm.Op(asm.LocalGet, 0))...)
}

func TestDispatchLoopChecksOnceEachTimeRound(t *testing.T) {
	in := instantiate(t, counting())
	used := func(n uint64) int64 {
		if _, err := in.run(1<<40, n); err != nil {
			t.Fatal(err)
		}
		return 1<<40 - in.left() + SliceChecks - int64(int32(in.global(ExportSlice).Get()))
	}
	if got := used(1100) - used(100); got != 1000 {
		t.Errorf("1000 times round took %d units", got)
	}
}

// TestDispatchLoopsAreStoppedByTheBudget: loops of that form, or nearly, that do
// not end.
func TestDispatchLoopsAreStoppedByTheBudget(t *testing.T) {
	straight := []uint32{0, 1, 2}
	set := func(local uint32, v int32) []byte { return asm.Code(asm.Const(v), asm.Op(asm.LocalSet, local)) }
	inFirst := func(code ...[]byte) []byte { return dispatching(straight, asm.Code(code...), nil, nil) }
	toLoop := asm.Op(asm.Br, 2) // from the first piece
	for name, code := range map[string][]byte{
		"back":                        dispatching(straight, nil, jump(3, 1, 0, 0), nil),
		"to the same piece":           dispatching(straight, nil, jump(3, 1, 1, 0), nil),
		"from the last one":           dispatching(straight, nil, nil, jump(3, 2, 0, 0)),
		"to the last one from itself": dispatching(straight, nil, nil, jump(3, 2, 2, 0)),
		"a table that leads back":     dispatching([]uint32{0, 0, 0}, jump(3, 0, 2, 0), nil, nil),
		"a value beyond the table":    dispatching([]uint32{0, 2, 0}, jump(3, 0, 7, 0), nil, nil),
		"a negative value":            dispatching([]uint32{0, 2, 0}, jump(3, 0, -1, 0), nil, nil),
		"another local":               inFirst(set(2, 2), toLoop),
		"nothing set":                 inFirst(toLoop),
		"set anew":                    inFirst(set(next, 2), set(next, 0), toLoop),
		"set to what is not constant": inFirst(set(next, 2), asm.Op(asm.LocalGet, 2), asm.Op(asm.LocalSet, next), toLoop),
		"a constant for another":      inFirst(asm.Const(2), []byte{asm.Drop}, asm.Op(asm.LocalGet, 2), asm.Op(asm.LocalSet, next), toLoop),
		"set on one of two ways": inFirst(
			[]byte{asm.Block, asm.Void}, asm.Const(1), []byte{asm.BrIf, 0}, set(next, 2), []byte{asm.End}, toLoop),
		"set in an if": inFirst(asm.Const(0), []byte{asm.If, asm.Void}, set(next, 2), []byte{asm.End}, toLoop),
		"a branch on a condition": inFirst(
			asm.Const(1), set(next, 0), asm.Op(asm.BrIf, 2)),
		"a branch by a table":  inFirst(asm.Const(0), []byte{0x0e, 0, 2}),
		"a branch from an if":  inFirst(asm.Const(1), []byte{asm.If, asm.Void}, set(next, 0), asm.Op(asm.Br, 3), []byte{asm.End}),
		"out of a loop within": inFirst([]byte{asm.Loop, asm.Void}, set(next, 0), asm.Op(asm.Br, 3), []byte{asm.End}),
		"by the loop around":   asm.Code([]byte{asm.Loop, asm.Void}, set(next, 0), dispatching(straight, jump(3, 0, 2, 0), nil, asm.Op(asm.Br, 1)), []byte{asm.End}),
		"around another": dispatching(straight, nil,
			asm.Code(set(next, 0), dispatching(straight, jump(3, 0, 2, 0), nil, nil), jump(3, 1, 0, 0)), nil),
		"within another":          dispatching(straight, dispatching(straight, nil, nil, asm.Code(set(next, 0), asm.Op(asm.Br, 3))), nil, nil),
		"no first block":          asm.Code([]byte{asm.Loop, asm.Void}, set(next, 2), []byte{asm.Br, 0, asm.End}),
		"no jump table":           asm.Code([]byte{asm.Loop, asm.Void, asm.Block, asm.Void}, asm.Op(asm.LocalGet, next), []byte{asm.Drop, asm.End}, set(next, 2), []byte{asm.Br, 0, asm.End}),
		"a jump table that exits": asm.Code([]byte{asm.Loop, asm.Void, asm.Block, asm.Void}, asm.Op(asm.LocalGet, next), []byte{0x0e, 1, 0, 2, asm.End}, set(next, 0), []byte{asm.Br, 0, asm.End}),
	} {
		in := instantiate(t, withF(i32, none, twoLocals, code...))
		if _, err := in.run(1_000_000, 0); err == nil || in.left() >= 0 {
			t.Errorf("%s: got error %v with %d units left", name, err, in.left())
		}
	}
}

// TestWorkBetweenChecksOfDispatchLoopsIsBounded runs dispatch loops with random
// jumps. Each piece counts how often it is entered, in nine bytes.
func TestWorkBetweenChecksOfDispatchLoopsIsBounded(t *testing.T) {
	const slice, most = 3000, codePerCheck/9 + 1
	stopped, saved := 0, 0
	for seed := range uint64(300) {
		entries, used, err := enter(t, randomDispatch(rand.New(rand.NewPCG(seed, 2))), slice)
		if entries > most*(used+1) {
			t.Errorf("seed %d: %d entries for %d units", seed, entries, used)
		}
		if err != nil {
			stopped++
		}
		if entries > used+used/2 {
			saved++
		}
	}
	if stopped < 30 || stopped > 270 || saved < 30 {
		t.Errorf("%d of 300 programs were stopped, %d saved checks: the programs are too much alike", stopped, saved)
	}
}

func randomDispatch(r *rand.Rand) *asm.Module {
	n := 2 + r.IntN(10)
	targets := make([]uint32, n+1)
	for i := range targets {
		targets[i] = uint32(min(i, n-1))
		if r.IntN(8) == 0 {
			targets[i] = uint32(r.IntN(n))
		}
	}
	pieces := make([][]byte, n)
	for i := range pieces {
		code := asm.Code(asm.Op(asm.GlobalGet, 0), asm.Const(1), []byte{asm.I32Add}, asm.Op(asm.GlobalSet, 0))
		for range r.IntN(3) {
			to := r.Int32N(int32(n + 2))
			// On a bit of a hash of what was counted.
			bit := asm.Code(asm.Op(asm.GlobalGet, 0), asm.Const(r.Int32()|1), []byte{0x6c}, asm.Const(r.Int32N(31)), []byte{asm.I32ShrU}, asm.Const(1), []byte{0x71})
			switch r.IntN(6) {
			case 0:
				code = asm.Code(code, jump(n, i, to, 0))
			case 1:
				code = asm.Code(code, bit, asm.Op(asm.BrIf, uint32(n-1-i)))
			default:
				code = asm.Code(code, bit, []byte{asm.If, asm.Void}, jump(n, i, to, 1), []byte{asm.End})
			}
		}
		pieces[i] = code
	}
	m := &asm.Module{}
	m.Memory(1)
	m.Global(0)
	m.Export("f", asm.Function, m.Func(i32, none, twoLocals, dispatching(targets, pieces...)...))
	m.Export("entries", asm.Global, 0)
	return m
}
