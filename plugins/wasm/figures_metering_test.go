//go:build unix

package wasm

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/calvelake/calve/sdk/abi"
)

// BenchmarkFigureMetering reports what metering costs: the time of a call as a
// multiple of that of the same call of the module as its author built it, the
// worst of the plugins. It is the median of several pairs of instances, one of
// which may lie better in memory than the other; of each pair, whose calls take
// turns, the best calls are compared.
func BenchmarkFigureMetering(b *testing.B) {
	wide, narrow := wideRows(b, benchmarkRows), stagingRows(benchmarkRows)
	defer wide.Release()
	defer narrow.Release()
	identity, module := openIdentity(b, wide.Schema())
	duels := map[string]*duel{"identity": newDuel(b, identity, module, wide)}
	for _, language := range sdkLanguages {
		module, err := os.ReadFile(filepath.Join("testdata", "staging", language+".wasm"))
		if err != nil {
			b.Fatal(err)
		}
		duels[language] = newDuel(b, stagingPlugin(b, language), module, narrow)
	}
	for b.Loop() {
		for range pairs {
			for _, d := range duels {
				d.fight(b)
			}
		}
	}
	worst := 0.0
	for name, d := range duels {
		b.ReportMetric(d.ratio(), name+"-metered/unmetered")
		worst = max(worst, d.ratio())
	}
	b.ReportMetric(worst, "plugin.metering.cost")
}

const (
	pairs  = 7  // of instances of a duel
	duelOf = 50 // calls of each instance
)

// duel compares the calls of a plugin with those of its module unmetered.
type duel struct {
	transform *Transform
	compiled  wazero.CompiledModule // unmetered
	rows      arrow.RecordBatch
	ratios    []float64 // of each pair
}

func newDuel(b *testing.B, tr *Transform, module []byte, rows arrow.RecordBatch) *duel {
	b.Helper()
	compiled, err := tr.plugin.host.compile(b.Context(), module)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = compiled.Close(context.Background()) })
	return &duel{transform: tr, compiled: compiled, rows: rows}
}

// ratio is the median.
func (d *duel) ratio() float64 {
	slices.Sort(d.ratios)
	return d.ratios[len(d.ratios)/2]
}

// fight lets a new pair of instances work in turn.
func (d *duel) fight(b *testing.B) {
	b.Helper()
	ctx := b.Context()
	metered, _, err := d.transform.newInstance(ctx)
	if err != nil {
		b.Fatal(err)
	}
	defer metered.close(ctx)
	unmetered := d.newUnmetered(b)
	defer unmetered.close(ctx)
	best, bestUnmetered := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	for range duelOf {
		best = min(best, d.timed(b, metered))
		bestUnmetered = min(bestUnmetered, d.timed(b, unmetered))
	}
	d.ratios = append(d.ratios, float64(best)/float64(bestUnmetered))
}

// timed is the time of one call: copy in, call, check, copy out.
func (d *duel) timed(b *testing.B, in *instance) time.Duration {
	b.Helper()
	c := call{export: abi.ExportProcess, rows: d.rows, budget: d.transform.plugin.limits.Budget}
	start := time.Now()
	p, err := d.transform.callInstance(b.Context(), in, c, Meta{}, NoWatermark)
	took := time.Since(start)
	if err != nil {
		b.Fatal(err)
	}
	releaseParts([]part{p})
	return took
}

// newUnmetered is an instance of the module as it is.
func (d *duel) newUnmetered(b *testing.B) *instance {
	b.Helper()
	ctx, p := b.Context(), d.transform.plugin
	in := &instance{plugin: p, env: newEnvironment(p.digest, p.host.logger), functions: map[string]api.Function{}}
	in.slice, in.budget, in.stop, in.denied = &freeGlobal{}, &freeGlobal{}, &freeGlobal{}, &freeGlobal{}
	in.env.budget = in.budget
	allocating := experimental.WithMemoryAllocator(ctx, newAllocator())
	module, err := p.host.runtime.InstantiateModule(allocating, d.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		b.Fatal(err)
	}
	in.module = module
	for name := range exportTypes {
		if f := in.module.ExportedFunction(name); f != nil {
			in.functions[name] = f
		}
	}
	if _, ok := in.functions[abi.ExportInitialize]; ok {
		if _, err := in.call(ctx, p.limits.Budget, abi.ExportInitialize); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := d.transform.configure(ctx, in); err != nil {
		b.Fatal(err)
	}
	return in
}

// freeGlobal stands in for a global of the meter in a module that has none.
type freeGlobal struct {
	api.MutableGlobal
	value uint64
}

func (g *freeGlobal) Get() uint64 { return g.value }

func (g *freeGlobal) Set(v uint64) { g.value = v }
