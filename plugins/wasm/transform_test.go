package wasm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

func TestEveryTypeSurvivesTheRoundTrip(t *testing.T) {
	whole := everyRow(100)
	defer whole.Release()
	for _, mode := range []string{"pass", "copy"} {
		tr := openKit(t, mode, Init{Input: everyType()})
		for _, cut := range [][2]int64{{0, 100}, {0, 0}, {3, 4}, {5, 71}, {64, 100}, {13, 13}, {0, 1}} {
			in := whole.NewSlice(cut[0], cut[1])
			r := process(t, tr, in)
			if len(r.Errors) != 0 || len(r.Outputs) != 1 || r.Outputs[0].Origin != nil {
				t.Fatalf("%s %v: got %d errors, %d outputs, origin %v", mode, cut, len(r.Errors), len(r.Outputs), r.Outputs[0].Origin)
			}
			if got := r.Outputs[0].Rows; !array.RecordEqual(got, in) {
				t.Errorf("%s %v: got\n%v\nwant\n%v", mode, cut, got, in)
			}
			in.Release()
		}
	}
}

func TestFilterKeepsOriginAndValues(t *testing.T) {
	in := idTextRows(1, "a", "b", "c", "d", "e")
	defer in.Release()
	r := process(t, openKit(t, "even", Init{}), in)
	want := idTextRows(2, "b")
	defer want.Release()
	if got := ids(r.Outputs[0]); !slices.Equal(got, []int64{2, 4}) {
		t.Errorf("got ids %v", got)
	}
	if got := r.Outputs[0].Origin; !slices.Equal(got, []int32{1, 3}) {
		t.Errorf("got origin %v", got)
	}
	if got := r.Outputs[0].Rows.NewSlice(0, 1); !array.RecordEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRowErrorsAndFiltersLeaveTheOtherRows(t *testing.T) {
	in := idTextRows(1, "a", "b", "c", "d", "e", "f")
	defer in.Release()
	r := process(t, openKit(t, "errors", Init{}), in)
	if got := ids(r.Outputs[0]); !slices.Equal(got, []int64{1, 2, 4}) {
		t.Errorf("got ids %v", got)
	}
	if got := r.Outputs[0].Origin; !slices.Equal(got, []int32{0, 1, 3}) {
		t.Errorf("got origin %v", got)
	}
	want := []RowError{
		{Row: 2, Code: "by_three", Column: "id", Message: "id 3 is divisible by 3"},
		{Row: 5, Code: "by_three", Column: "id", Message: "id 6 is divisible by 3"},
	}
	if !slices.Equal(r.Errors, want) {
		t.Errorf("got %v, want %v", r.Errors, want)
	}
}

func TestPoisonRowsAreIsolated(t *testing.T) {
	for _, c := range []struct{ poison, code, text string }{
		{"panic", CodeTrap, "row is poison"},
		{"index", CodeTrap, "index out of range"},
		{"error", CodeTrap, "row is an error"},
		{"exit", CodeTrap, "exited with status 7; it wrote: leaving"},
		{"deadlock", CodeTrap, "all goroutines are asleep"},
		{"spin", CodeLimit, "units of work"},
	} {
		t.Run(c.poison, func(t *testing.T) {
			texts := make([]string, 100)
			for i := range texts {
				texts[i] = "fine"
			}
			texts[17], texts[64] = c.poison, c.poison
			in := idTextRows(0, texts...)
			defer in.Release()
			r := process(t, openKit(t, "poison", Init{}), in)
			if len(r.Errors) != 2 || r.Errors[0].Row != 17 || r.Errors[1].Row != 64 {
				t.Fatalf("got %d errors: %v", len(r.Errors), r.Errors)
			}
			for _, e := range r.Errors {
				if e.Code != c.code || !strings.Contains(e.Message, c.text) {
					t.Errorf("got %+v, want code %q with %q", e, c.code, c.text)
				}
			}
			checkRest(t, r.Outputs[0], 100, 17, 64)
			if got := r.Metrics.Counters["rows"]; got != 98 {
				t.Errorf("counted %d rows, want those of calls that succeeded, 98", got)
			}
		})
	}
}

// checkRest checks that an output has rows 0 to n but for some, in order.
func checkRest(t *testing.T, o Output, n int, without ...int32) {
	t.Helper()
	var want []int32
	for i := range int32(n) {
		if !slices.Contains(without, i) {
			want = append(want, i)
		}
	}
	if !slices.Equal(o.Origin, want) {
		t.Errorf("got origin %v, want all but %v", o.Origin, without)
	}
	for i, id := range ids(o) {
		if id != int64(want[i]) {
			t.Fatalf("row %d has id %d, want %d", i, id, want[i])
		}
	}
}

func TestSearchForPoisonIsBounded(t *testing.T) {
	texts := make([]string, 2000)
	for i := range texts {
		texts[i] = "error"
	}
	in := idTextRows(0, texts...)
	defer in.Release()
	r := process(t, openKit(t, "poison", Init{}), in)
	if len(r.Errors) != len(texts) || r.Outputs[0].Rows.NumRows() != 0 {
		t.Fatalf("got %d errors and %d rows", len(r.Errors), r.Outputs[0].Rows.NumRows())
	}
	if last := r.Errors[len(r.Errors)-1]; last.Row != 1999 || !strings.Contains(last.Message, "not isolated") {
		t.Errorf("got %+v", last)
	}
}

func TestStopReturnsTheFailure(t *testing.T) {
	in := idTextRows(0, "fine", "panic")
	defer in.Release()
	_, err := openKit(t, "poison", Init{OnError: Stop}).Process(t.Context(), in, Meta{}, NoWatermark)
	if !errors.Is(err, ErrTrap) || !strings.Contains(err.Error(), "row is poison") {
		t.Errorf("got %v", err)
	}
}

func TestOneRowMayBecomeSeveralOrNone(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "word", Type: arrow.BinaryTypes.String}, {Name: "id", Type: arrow.PrimitiveTypes.Int64},
	}, nil)
	tr := openKit(t, "explode", Init{Output: schema})
	in := idTextRows(7, "two words", "", "one", "and then three")
	defer in.Release()
	r := process(t, tr, in)
	if got := ids(r.Outputs[0]); !slices.Equal(got, []int64{7, 7, 9, 10, 10, 10}) {
		t.Errorf("got ids %v", got)
	}
	if got := r.Outputs[0].Origin; !slices.Equal(got, []int32{0, 0, 2, 3, 3, 3}) {
		t.Errorf("got origin %v", got)
	}
	words := r.Outputs[0].Rows.Column(0).(*array.String)
	if words.Value(1) != "words" || words.Value(5) != "three" {
		t.Errorf("got %v", words)
	}
	none := idTextRows(0, "", "")
	defer none.Release()
	if r := process(t, tr, none); r.Outputs[0].Rows.NumRows() != 0 || len(r.Errors) != 0 {
		t.Errorf("of rows without words: got %v", r.Outputs[0].Rows)
	}
}

func TestRowsAreRoutedToStreams(t *testing.T) {
	in := idTextRows(-2, "a", "b", "c", "d")
	defer in.Release()
	tr := openKit(t, "route", Init{})
	r := process(t, tr, in)
	if len(r.Outputs) != 2 || r.Outputs[1].Stream != 1 {
		t.Fatalf("got %d outputs", len(r.Outputs))
	}
	if got := ids(r.Outputs[0]); !slices.Equal(got, []int64{0, 1}) {
		t.Errorf("stream 0: got %v", got)
	}
	if got := ids(r.Outputs[1]); !slices.Equal(got, []int64{-2, -1}) || !slices.Equal(r.Outputs[1].Origin, []int32{0, 1}) {
		t.Errorf("stream 1: got %v from %v", got, r.Outputs[1].Origin)
	}
	positive := idTextRows(1, "a")
	defer positive.Release()
	if r := process(t, tr, positive); len(r.Outputs) != 1 {
		t.Errorf("nothing to route: got %d outputs", len(r.Outputs))
	}
}

func TestPositionsAndWatermarkReachThePlugin(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "topic", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "partition", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		{Name: "offset", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "at", Type: timestamptz, Nullable: true},
	}, nil)
	tr := openKit(t, "positions", Init{Output: schema})
	in := idTextRows(0, "a", "b")
	defer in.Release()
	r, err := tr.Process(t.Context(), in, Meta{Topic: "täglich", Partition: 3, Offsets: []int64{41, 43}, Timestamps: []int64{1e15, 2e15}}, 99)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	got := r.Outputs[0].Rows
	if topic := got.Column(0).(*array.String); topic.Value(1) != "täglich" {
		t.Errorf("got topics %v", topic)
	}
	if p, o := got.Column(1).(*array.Int32).Value(1), got.Column(2).(*array.Int64).Value(1); p != 3 || o != 43 {
		t.Errorf("got partition %d, offset %d", p, o)
	}
	if at := got.Column(3).(*array.Timestamp).Value(0); at != 1e15 {
		t.Errorf("got timestamp %d", at)
	}
	if w := r.Metrics.Counters["watermark"]; w != 99 {
		t.Errorf("got watermark %d", w)
	}
	if r := process(t, tr, in); r.Outputs[0].Rows.Column(0).NullN() != 2 || len(r.Metrics.Counters) != 0 {
		t.Errorf("without positions: got %v, %v", r.Outputs[0].Rows, r.Metrics)
	}
}

func TestPluginSeesNoClockNoFilesNoEnvironment(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "seen", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	in := idTextRows(0, "a")
	defer in.Release()
	var seen []string
	for range 2 { // two instances, the first used once
		tr := openKit(t, "environment", Init{Output: schema})
		seen = append(seen, process(t, tr, in).Outputs[0].Rows.Column(0).(*array.String).Value(0))
	}
	want := "2020-01-01T01:00:00Z 0 0 open /etc/passwd: Capabilities insufficient"
	if seen[0] != want || seen[1] != want {
		t.Errorf("got %q, want %q", seen, want)
	}
}

func TestLogsAndMetricsReachTheHost(t *testing.T) {
	var log bytes.Buffer
	h, err := New(t.Context(), Config{Logger: slog.New(slog.NewTextHandler(&log, nil)), CacheDir: filepath.Join(t.TempDir(), "cache")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close(context.Background()) }()
	p, err := h.Compile(t.Context(), guest(t, "kit"), Limits{LogBytes: 300})
	if err != nil {
		t.Fatal(err)
	}
	in := idTextRows(0, "a", "b")
	defer in.Release()
	run := func(text string) Result {
		tr, err := p.Open(t.Context(), Init{Input: idText(), Output: idText(), Config: json.RawMessage(fmt.Sprintf(`{"mode":"log","text":%q}`, text))})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tr.Close(t.Context()) }()
		return process(t, tr, in)
	}
	r := run("hello")
	for _, want := range []string{"an info line: hello", "to standard error"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "a debug line") {
		t.Error("a level that is off was logged")
	}
	if got, want := r.Metrics.Histograms["rows"], (Histogram{Count: 1, Sum: 2, Min: 2, Max: 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	log.Reset()
	run(strings.Repeat("x", 1000))
	if log.Len() > 1000 || !strings.Contains(log.String(), "logs too much") {
		t.Errorf("the log is not bounded:\n%s", log.String())
	}
}

func TestGuestCollectsItsGarbage(t *testing.T) {
	tr := openKit(t, "garbage", Init{})
	in := idTextRows(0, "a")
	defer in.Release()
	var first, last float64
	for i := range 400 { // 1.6 GB in all, in a memory of 256 MiB
		last = process(t, tr, in).Metrics.Histograms["sys"].Max
		if i == 99 {
			first = last
		}
	}
	if last > first+16<<20 {
		t.Errorf("memory grew from %.0f to %.0f bytes", first, last)
	}
}

func TestHungryPluginIsHeldToItsMemory(t *testing.T) {
	p, err := testHost(t).Compile(t.Context(), guest(t, "kit"), Limits{MemoryBytes: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close(context.Background()) }()
	tr, err := p.Open(t.Context(), Init{Input: idText(), Output: idText(), Config: json.RawMessage(`{"mode":"hungry"}`), OnError: Stop})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tr.Close(context.Background()) }()
	in := idTextRows(0, "a")
	defer in.Release()
	if _, err := tr.Process(t.Context(), in, Meta{}, NoWatermark); !errors.Is(err, ErrMemory) {
		t.Errorf("got %v", err)
	}
}

func TestUnsetRowsOfRequiredColumns(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil)
	in := idRows(3)
	defer in.Release()
	open := func(text string) *Transform {
		return openKit(t, "", Init{Input: schema, OnError: Stop, Config: json.RawMessage(fmt.Sprintf(`{"mode":"required","text":%q}`, text))})
	}
	if _, err := open("keep").Process(t.Context(), in, Meta{}, NoWatermark); !errors.Is(err, ErrOutput) || !strings.Contains(err.Error(), `column "id": 1 nulls`) {
		t.Errorf("kept: got %v", err)
	}
	if r := process(t, open("drop"), in); !slices.Equal(ids(r.Outputs[0]), []int64{0, 2}) {
		t.Errorf("dropped: got %v", ids(r.Outputs[0]))
	}
}

func TestStagingEqualsNative(t *testing.T) {
	tr, err := goPlugin(t, "staging").Open(t.Context(), Init{Input: stagingInput(), Output: stagingOutput()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tr.Close(context.Background()) }()
	in := stagingRows(5000)
	defer in.Release()
	want := nativeStaging(in)
	defer want.Release()
	if r := process(t, tr, in); !array.RecordEqual(r.Outputs[0].Rows, want) {
		t.Errorf("got %v\nwant %v", r.Outputs[0].Rows.NewSlice(0, 20), want.NewSlice(0, 20))
	}
}

func TestCallsRunSideBySide(t *testing.T) {
	tr := openKit(t, "poison", Init{})
	var wait sync.WaitGroup
	for g := range 4 {
		wait.Go(func() {
			for i := range 20 {
				texts := []string{"fine", "fine", "fine", "fine"}
				if i%5 == g {
					texts[2] = "panic"
				}
				in := idTextRows(int64(g*1000), texts...)
				r, err := tr.Process(context.Background(), in, Meta{}, NoWatermark)
				if err != nil {
					t.Error(err)
					return
				}
				if got, want := int(r.Outputs[0].Rows.NumRows())+len(r.Errors), 4; got != want || ids(r.Outputs[0])[0] != int64(g*1000) {
					t.Errorf("got %d rows and errors, first id %d", got, ids(r.Outputs[0])[0])
				}
				r.Release()
				in.Release()
			}
		})
	}
	wait.Wait()
}

func TestEndedContextStopsBeforeTheCall(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in := idTextRows(0, "a")
	defer in.Release()
	if _, err := openKit(t, "pass", Init{}).Process(ctx, in, Meta{}, NoWatermark); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
