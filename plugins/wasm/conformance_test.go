package wasm

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/plugins/wasm/internal/cdata"
	"github.com/calvelake/calve/sdk/abi"
)

// conformanceDir holds the vectors and describes them.
var conformanceDir = filepath.Join("..", "..", "sdk", "conformance")

// sdkLanguages is every SDK; each has a conformance and a staging plugin.
var sdkLanguages = []string{"assemblyscript", "c", "go", "rust"}

func TestConformance(t *testing.T) {
	files := readVectors(t)
	for _, language := range sdkLanguages {
		t.Run(language, func(t *testing.T) {
			module := readFile(t, filepath.Join("testdata", "conformance", language+".wasm"))
			logs := &conformanceLog{}
			plugin := conformancePlugin(t, module, logs)
			checkDescription(t, plugin, filepath.Join(conformanceDir, "describe.json"))
			for name, file := range files {
				t.Run(name, func(t *testing.T) { file.run(t, plugin, logs) })
			}
			t.Run("memory", func(t *testing.T) { checkMemory(t, plugin, files["types"]) })
		})
	}
}

// conformancePlugin compiles a module on a host of its own, which logs to logs.
func conformancePlugin(t *testing.T, module []byte, logs *conformanceLog) *Plugin {
	t.Helper()
	h, err := New(t.Context(), Config{Logger: slog.New(slog.NewJSONHandler(logs, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	p, err := h.Compile(t.Context(), module, Limits{Budget: 1 << 28})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// checkDescription compares what a plugin says of itself with a file.
func checkDescription(t *testing.T, p *Plugin, file string) {
	t.Helper()
	want, err := abi.ParseDescribe(readFile(t, file))
	if err != nil {
		t.Fatal(err)
	}
	// Spaces within a JSON Schema are the author's.
	got, err := json.Marshal(p.Describe())
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, wanted) {
		t.Errorf("it describes itself as\n%s\nwant\n%s", got, wanted)
	}
}

func (f vectors) run(t *testing.T, p *Plugin, logs *conformanceLog) {
	schema := conformanceSchema(t, f.Columns)
	whole := conformanceRows(t, schema, f.Rows)
	defer whole.Release()
	for _, c := range f.Cases {
		t.Run(c.Name, func(t *testing.T) { c.run(t, p, whole, logs) })
	}
}

// run opens the plugin for a case and gives it the same batch twice: an instance
// that was used answers as a fresh one.
func (c vector) run(t *testing.T, p *Plugin, whole arrow.RecordBatch, logs *conformanceLog) {
	output := whole.Schema()
	if c.Columns != nil {
		output = conformanceSchema(t, c.Columns)
	}
	init := Init{Pipeline: "conformance", Model: c.Name, Config: c.Config, Input: whole.Schema(), Output: output}
	if c.Fails != "" {
		init.OnError = Stop
	}
	tr, err := p.Open(t.Context(), init)
	if c.Refused != "" {
		if !errors.Is(err, ErrRefusedConfig) || !strings.Contains(err.Error(), c.Refused) {
			t.Errorf("got %v, want it to be refused with %q", err, c.Refused)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := tr.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	in := c.input(t, whole)
	defer in.Release()
	for range 2 {
		logs.reset()
		r, err := tr.Process(t.Context(), in, c.meta(), c.watermark())
		switch {
		case c.Fails == "" && err != nil:
			t.Fatal(err)
		case c.Fails == "":
			c.check(t, r, in)
			r.Release()
		case !errors.Is(err, ErrTrap) || !strings.Contains(err.Error(), c.Fails):
			t.Fatalf("got %v, want a failure with %q", err, c.Fails)
		}
		if got := logs.take(t); c.Fails == "" && len(c.Errors) == 0 && !slices.Equal(got, c.Logs) {
			t.Errorf("it logged %v, want %v", got, c.Logs)
		}
	}
}

// input is the rows of the case, tiled where it repeats them.
func (c vector) input(t *testing.T, whole arrow.RecordBatch) arrow.RecordBatch {
	t.Helper()
	from, to := int64(0), whole.NumRows()
	if c.Take != nil {
		from, to = c.Take[0], c.Take[1]
	}
	return tile(t, whole.NewSlice(from, to), c.Repeat)
}

// tile takes over rows.
func tile(t *testing.T, rows arrow.RecordBatch, times int) arrow.RecordBatch {
	t.Helper()
	if times == 0 {
		return rows
	}
	defer rows.Release()
	tiled, err := concatenate(slices.Repeat([]arrow.RecordBatch{rows}, times))
	if err != nil {
		t.Fatal(err)
	}
	return tiled
}

func (c vector) meta() Meta {
	return Meta{Topic: c.Topic, Partition: c.Partition, Offsets: c.Offsets, Timestamps: c.Timestamps}
}

func (c vector) watermark() int64 {
	if c.Watermark == nil {
		return NoWatermark
	}
	return *c.Watermark
}

func (c vector) check(t *testing.T, r Result, in arrow.RecordBatch) {
	t.Helper()
	rowsOfOne := int32(in.NumRows()) / int32(max(c.Repeat, 1))
	streams := map[uint32]wantStream{abi.StreamMain: c.wantStream}
	maps.Copy(streams, c.More)
	for _, o := range r.Outputs {
		want, ok := streams[o.Stream]
		if !ok {
			t.Errorf("stream %d: got %d rows, want it not to be touched", o.Stream, o.Rows.NumRows())
			continue
		}
		delete(streams, o.Stream)
		rows := in
		if want.Want != nil {
			schema := in.Schema()
			if want.Columns != nil {
				schema = conformanceSchema(t, want.Columns)
			}
			rows = tile(t, conformanceRows(t, schema, want.Want), c.Repeat)
			defer rows.Release()
		}
		checkStream(t, o, rows, want.origin(rowsOfOne, c.Repeat))
	}
	for stream := range streams {
		t.Errorf("stream %d is not there", stream)
	}
	checkErrors(t, r.Errors, repeated(c.Errors, c.Repeat, uint32(rowsOfOne)))
	if got := r.Metrics.Counters; !maps.Equal(got, c.Counters) {
		t.Errorf("got counters %v, want %v", got, c.Counters)
	}
	histograms := map[string]wantHistogram{}
	for name, h := range r.Metrics.Histograms {
		histograms[name] = wantHistogram(h)
	}
	if !maps.Equal(histograms, c.Histograms) {
		t.Errorf("got histograms %v, want %v", histograms, c.Histograms)
	}
}

// origin tiles the origin of rows that are repeated.
func (w wantStream) origin(rows int32, times int) []int32 {
	if w.Origin == nil {
		return nil
	}
	all := []int32{}
	for k := range int32(max(times, 1)) {
		for _, o := range w.Origin {
			all = append(all, k*rows+o)
		}
	}
	return all
}

func checkStream(t *testing.T, o Output, want arrow.RecordBatch, origin []int32) {
	t.Helper()
	if origin == nil && o.Origin != nil { // one to one may be spelt out
		for i := range int32(want.NumRows()) {
			origin = append(origin, i)
		}
	}
	if !slices.Equal(o.Origin, origin) {
		t.Errorf("stream %d: got origin %v, want %v", o.Stream, beginning(o.Origin), beginning(origin))
	}
	if !sameColumns(o.Rows.Schema(), want.Schema()) || o.Rows.NumRows() != want.NumRows() {
		t.Errorf("stream %d: got %d rows of %s, want %d of %s", o.Stream, o.Rows.NumRows(), o.Rows.Schema(), want.NumRows(), want.Schema())
		return
	}
	for i, column := range o.Rows.Columns() {
		if array.Equal(column, want.Column(i)) {
			continue
		}
		for row := range column.Len() {
			if !array.SliceEqual(column, int64(row), int64(row+1), want.Column(i), int64(row), int64(row+1)) {
				t.Errorf("stream %d: column %q, row %d: got %s, want %s", o.Stream, o.Rows.ColumnName(i), row, column.ValueStr(row), want.Column(i).ValueStr(row))
				break
			}
		}
	}
}

func beginning(rows []int32) []int32 { return rows[:min(len(rows), 50)] }

// repeated is the errors of rows that are repeated.
func repeated(errors []wantError, times int, rows uint32) []wantError {
	var all []wantError
	for k := range uint32(max(times, 1)) {
		for _, e := range errors {
			e.Row += k * rows
			all = append(all, e)
		}
	}
	return all
}

func checkErrors(t *testing.T, got []RowError, want []wantError) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("got %d row errors, want %d: %v", len(got), len(want), got[:min(len(got), 10)])
		return
	}
	for i, e := range got {
		w := want[i]
		same := e.Message == w.Message || strings.HasPrefix(w.Code, "plugin_") && strings.Contains(e.Message, w.Message)
		if e.Row != w.Row || e.Code != w.Code || e.Column != w.Column || !same {
			t.Errorf("got row error %+v, want %+v", e, w)
		}
	}
}

// checkMemory runs many batches: a guest that leaks grows by what they hold.
func checkMemory(t *testing.T, p *Plugin, file vectors) {
	schema := conformanceSchema(t, file.Columns)
	whole := conformanceRows(t, schema, file.Rows)
	defer whole.Release()
	in := tile(t, whole.NewSlice(0, whole.NumRows()), 10)
	defer in.Release()
	tr, err := p.Open(t.Context(), Init{Input: schema, Output: schema, Config: json.RawMessage(`{"mode":"copy"}`)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := tr.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	const batches = 100
	size := func() int {
		for range batches {
			r, err := tr.Process(t.Context(), in, Meta{}, NoWatermark)
			if err != nil {
				t.Fatal(err)
			}
			r.Release()
		}
		return len(tr.idle[0].memory())
	}
	first, second := size(), size()
	held := int(cdata.BatchBytes(cdata.Batch{Rows: in})) * batches
	if second-first > held/4 {
		t.Errorf("memory grew from %d bytes to %d over %d batches, which hold %d bytes", first, second, batches, held)
	}
}
