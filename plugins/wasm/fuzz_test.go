package wasm

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"
)

// refusals are the errors that a module may end in.
var refusals = []error{
	ErrNotModule, ErrInvalidModule, ErrModuleTooLarge, ErrRefusedImport, ErrStartSection, ErrMissingExport, ErrDescription,
	ErrMismatch, ErrRefusedConfig, ErrTrap, ErrBudget, ErrMemory, ErrOutput, ErrOutputLimit,
}

// try compiles, opens and runs whatever data is. It must end in rows or in an
// error of this package, never in a panic.
func try(t *testing.T, data []byte) {
	t.Helper()
	limits := Limits{Budget: 1 << 16, MemoryBytes: 1 << 20, OutputBytes: 1 << 20, OutputRows: 1000}
	p, err := testHost(t).Compile(t.Context(), data, limits)
	if err != nil {
		checkRefusal(t, err)
		return
	}
	defer func() { _ = p.Close(context.Background()) }()
	tr, err := p.Open(t.Context(), Init{Input: idOnly(), Output: idOnly()})
	if err != nil {
		checkRefusal(t, err)
		return
	}
	defer func() { _ = tr.Close(context.Background()) }()
	in := idRows(3)
	defer in.Release()
	r, err := tr.Process(t.Context(), in, Meta{}, NoWatermark)
	if err != nil {
		checkRefusal(t, err)
		return
	}
	r.Release()
}

func checkRefusal(t *testing.T, err error) {
	t.Helper()
	for _, known := range refusals {
		if errors.Is(err, known) {
			return
		}
	}
	t.Errorf("an error of no kind: %v", err)
}

// mutate changes some bytes of a module, and now and then its length.
func mutate(data []byte, r *rand.Rand) []byte {
	data = bytes.Clone(data)
	for range 1 + r.IntN(4) {
		at := r.IntN(len(data))
		switch r.IntN(8) {
		case 0:
			data = append(data[:at], data[min(at+1+r.IntN(8), len(data)):]...)
		case 1:
			data = append(data[:at], append([]byte{byte(r.Uint32())}, data[at:]...)...)
		case 2:
			data[at] ^= 1 << r.IntN(8)
		default:
			data[at] = byte(r.Uint32())
		}
		if len(data) == 0 {
			return []byte{0}
		}
	}
	return data
}

func TestMutantsEndInErrorsOfThisPackage(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	modules := [][]byte{hostile{}.module(), logger(3, 10).module(), allocOnce(spinForever()).module(), spoiled("", func(*returned) {}).module()}
	for i := range 2000 {
		try(t, mutate(modules[i%len(modules)], r))
	}
}

func FuzzCompile(f *testing.F) {
	for _, a := range attacks() {
		if len(a.module) < 8<<10 {
			f.Add(a.module, uint64(0))
		}
	}
	f.Add(hostile{}.module(), uint64(1))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		if len(data) > 64<<10 || len(data) == 0 {
			return
		}
		if seed != 0 { // what the fuzzer does to bytes rarely leaves a module
			data = mutate(data, rand.New(rand.NewPCG(seed, 0)))
		}
		try(t, data)
	})
}
