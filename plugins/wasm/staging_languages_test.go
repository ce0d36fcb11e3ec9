package wasm

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
)

// stagingPlugin opens the staging transform of an SDK.
func stagingPlugin(t testing.TB, language string) *Transform {
	t.Helper()
	module, err := os.ReadFile(filepath.Join("testdata", "staging", language+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := testHost(t).Compile(t.Context(), module, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	tr, err := p.Open(t.Context(), Init{Input: stagingInput(), Output: stagingOutput()})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestStagingInEveryLanguageIsThatOfNativeGo(t *testing.T) {
	for _, language := range sdkLanguages {
		t.Run(language, func(t *testing.T) {
			tr := stagingPlugin(t, language)
			for _, rows := range []int{0, 1, 1000, 65536} {
				in := stagingRows(rows)
				want := nativeStaging(in)
				r := process(t, tr, in)
				if got := r.Outputs[0].Rows; !array.RecordEqual(got, want) {
					t.Errorf("%d rows: the rows differ from those of native Go", rows)
				}
				want.Release()
				in.Release()
			}
			if err := tr.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func BenchmarkStagingIn(b *testing.B) {
	in := stagingRows(benchmarkRows)
	defer in.Release()
	for _, language := range sdkLanguages {
		b.Run(language, func(b *testing.B) {
			tr := stagingPlugin(b, language)
			b.ReportAllocs()
			for b.Loop() {
				r, err := tr.Process(b.Context(), in, Meta{}, NoWatermark)
				if err != nil {
					b.Fatal(err)
				}
				r.Release()
			}
			b.ReportMetric(float64(in.NumRows())*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
