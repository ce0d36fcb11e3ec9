package wasm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

func TestOpenComparesColumns(t *testing.T) {
	field := func(name string, t arrow.DataType, null bool) arrow.Field {
		return arrow.Field{Name: name, Type: t, Nullable: null}
	}
	p := goPlugin(t, "staging")
	input, output := stagingInput().Fields(), stagingOutput().Fields()
	edit := func(fields []arrow.Field, i int, f arrow.Field) *arrow.Schema {
		fields = slices.Clone(fields)
		fields[i] = f
		return arrow.NewSchema(fields, nil)
	}
	for _, c := range []struct {
		name          string
		input, output *arrow.Schema
		text          string
	}{
		{"input lacks a column", arrow.NewSchema(input[1:], nil), stagingOutput(), `it needs column "id" of type long, the model hands over qty, price`},
		{"input of another type", edit(input, 1, field("qty", arrow.PrimitiveTypes.Int64, true)), stagingOutput(), `it needs column "qty" of type int, in the model it is long`},
		{"input that cannot be passed", edit(input, 1, field("qty", arrow.PrimitiveTypes.Uint8, true)), stagingOutput(), "uint8"},
		{"model lacks a column", stagingInput(), arrow.NewSchema(output[1:], nil), `it returns column "event_id", which the model does not declare`},
		{"plugin lacks a column", stagingInput(), arrow.NewSchema(append(slices.Clone(output), field("extra", arrow.PrimitiveTypes.Int64, true)), nil), `the model declares column "extra", it returns event_id, amount`},
		{"output of another type", stagingInput(), edit(output, 1, field("amount", &arrow.Decimal128Type{Precision: 10, Scale: 2}, true)), `the model declares column "amount" as decimal(10,2), it returns double`},
		{"null in a required column", stagingInput(), edit(output, 1, field("amount", arrow.PrimitiveTypes.Float64, false)), `"amount" never to be null`},
	} {
		_, err := p.Open(t.Context(), Init{Model: "stg", Input: c.input, Output: c.output})
		if !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.text)
		}
	}
}

func TestColumnsFollowTheOrderOfTheModel(t *testing.T) {
	fields := slices.Clone(stagingOutput().Fields())
	slices.Reverse(fields)
	tr, err := goPlugin(t, "staging").Open(t.Context(), Init{Input: stagingInput(), Output: arrow.NewSchema(fields, nil)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tr.Close(context.Background()) }()
	in := stagingRows(1000)
	defer in.Release()
	r := process(t, tr, in)
	want := nativeStaging(in)
	defer want.Release()
	if got := r.Outputs[0].Rows.Column(4); !array.Equal(got, want.Column(0)) || r.Outputs[0].Rows.ColumnName(4) != "event_id" {
		t.Errorf("got %v, want %v", got, want.Column(0))
	}
}

func TestConfigurationIsRefusedWithItsReason(t *testing.T) {
	_, err := goPlugin(t, "kit").Open(t.Context(), Init{Model: "m", Input: idText(), Output: idText(), Config: json.RawMessage(`{"mode":"dance"}`)})
	if !errors.Is(err, ErrRefusedConfig) || !strings.Contains(err.Error(), `mode "dance" is unknown`) {
		t.Errorf("got %v", err)
	}
	_, err = goPlugin(t, "kit").Open(t.Context(), Init{Input: idText(), Output: idText(), Config: json.RawMessage(`{broken`)})
	if !errors.Is(err, ErrRefusedConfig) {
		t.Errorf("config that is no JSON: got %v", err)
	}
}

func TestDescriptionAndDigest(t *testing.T) {
	p := goPlugin(t, "kit")
	d := p.Describe()
	if d.Name != "kit" || d.Version != "1.2.3" || d.Summary != `says "what it does"` || !d.Input.Any || d.BatchRowsHint != 4096 {
		t.Errorf("got %+v", d)
	}
	if len(d.Outputs) != 2 || !d.Outputs[0].Derived || len(d.Outputs[1].Columns) != 2 {
		t.Errorf("got outputs %+v", d.Outputs)
	}
	sum := sha256.Sum256(guest(t, "kit"))
	if got := p.Digest(); got != hex.EncodeToString(sum[:]) {
		t.Errorf("got digest %s", got)
	}
}

func TestClosedTransformRefuses(t *testing.T) {
	tr, err := goPlugin(t, "kit").Open(t.Context(), Init{Input: idText(), Output: idText(), Config: json.RawMessage(`{"mode":"pass"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	in := idTextRows(0, "a")
	defer in.Release()
	if _, err := tr.Process(t.Context(), in, Meta{}, NoWatermark); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestCacheFolderMustBePrivate(t *testing.T) {
	if !checkPermissions {
		return
	}
	dir := filepath.Join(t.TempDir(), "cache")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), Config{CacheDir: dir}); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("got %v", err)
	}
}
