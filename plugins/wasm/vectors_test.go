package wasm

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/plugins/wasm/internal/cdata"
	"github.com/calvelake/calve/sdk/abi"
)

// vectors is a file of sdk/conformance.
type vectors struct {
	About   string            `json:"about"`
	Columns []abi.Column      `json:"columns"`
	Rows    []json.RawMessage `json:"rows"`
	Cases   []vector          `json:"cases"`
}

type vector struct {
	Name   string          `json:"name"`
	Config json.RawMessage `json:"config"`

	Take       *[2]int64 `json:"take"`
	Repeat     int       `json:"repeat"`
	Topic      string    `json:"topic"`
	Partition  int32     `json:"partition"`
	Offsets    []int64   `json:"offsets"`
	Timestamps []int64   `json:"timestamps"`
	Watermark  *int64    `json:"watermark"`

	wantStream
	More       map[uint32]wantStream    `json:"more"`
	Errors     []wantError              `json:"errors"`
	Counters   map[string]int64         `json:"counters"`
	Histograms map[string]wantHistogram `json:"histograms"`
	Logs       []logLine                `json:"logs"`
	Fails      string                   `json:"fails"`
	Refused    string                   `json:"refused"`
}

type wantStream struct {
	Columns []abi.Column      `json:"columns"`
	Want    []json.RawMessage `json:"want"`
	Origin  []int32           `json:"origin"`
}

type wantError struct {
	Row     uint32 `json:"row"`
	Code    string `json:"code"`
	Column  string `json:"column"`
	Message string `json:"message"`
}

type wantHistogram struct {
	Count int64   `json:"count"`
	Sum   float64 `json:"sum"`
	Min   float64 `json:"min"`
	Max   float64 `json:"max"`
}

type logLine struct {
	Level string `json:"level"`
	Text  string `json:"text"`
}

func readVectors(t *testing.T) map[string]vectors {
	t.Helper()
	return readKindVectors[vectors](t, "", 6)
}

// readKindVectors reads the files of a kind's folder, of which there are at least
// so many.
func readKindVectors[V any](t *testing.T, folder string, least int) map[string]V {
	t.Helper()
	files := map[string]V{}
	names, err := filepath.Glob(filepath.Join(conformanceDir, folder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if filepath.Base(name) == "describe.json" {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(readFile(t, name)))
		d.DisallowUnknownFields()
		var v V
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		files[strings.TrimSuffix(filepath.Base(name), ".json")] = v
	}
	if len(files) < least {
		t.Fatalf("found %d files of vectors", len(files))
	}
	return files
}

func conformanceSchema(t *testing.T, columns []abi.Column) *arrow.Schema {
	t.Helper()
	s, err := cdata.Schema(columns)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func conformanceRows(t *testing.T, schema *arrow.Schema, rows []json.RawMessage) arrow.RecordBatch {
	t.Helper()
	if len(rows) == 0 {
		return emptyBatch(schema)
	}
	text, err := json.Marshal(rows)
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// conformanceLog keeps what a plugin logs.
type conformanceLog struct{ text bytes.Buffer }

func (l *conformanceLog) Write(b []byte) (int, error) { return l.text.Write(b) }

func (l *conformanceLog) reset() { l.text.Reset() }

func (l *conformanceLog) take(t *testing.T) []logLine {
	t.Helper()
	var lines []logLine
	for line := range strings.Lines(l.text.String()) {
		var e logLine
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, e)
	}
	return lines
}
