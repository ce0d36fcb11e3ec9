package integrity

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// Input is a model whose rows are tested.
type Input struct {
	Model  string
	Schema *arrow.Schema // of its table
	Key    []string      // of a keyed model: the columns that tell its rows apart; nil for a staging model
	// Untested tells rows of a keyed model of which a test says nothing: those that
	// stand for members that are not known. Others may refer to them. nil is none.
	Untested func(rows arrow.RecordBatch, row int) bool
}

// Findings is how many rows of an epoch are against a test.
type Findings struct {
	Rows  int64
	First string // one of them, for a person; "" if there is none
}

// add counts rows; the first is told of.
func (f *Findings) add(rows int64, what func() (string, error)) error {
	f.Rows += rows
	if f.First != "" {
		return nil
	}
	var err error
	f.First, err = what()
	return err
}

// hashBytes is how much of a SHA-256 tells values apart.
const hashBytes = 16

type hash [hashBytes]byte

func hashOf(value []byte) (h hash) {
	sum := sha256.Sum256(value)
	copy(h[:], sum[:])
	return h
}

// values reads some columns of rows as bytes that are equal where the values are,
// whether a number is narrow or wide.
type values struct {
	schema *arrow.Schema // as it is written
}

func newValues(of Input, columns []string) (values, error) {
	var fields []arrow.Field
	for _, name := range columns {
		at := of.Schema.FieldIndices(name)
		if len(at) != 1 {
			return values{}, fmt.Errorf("model %s has no column %s", of.Model, name)
		}
		t := widened(of.Schema.Field(at[0]).Type)
		if !rowcodec.Supports(t) {
			return values{}, fmt.Errorf("column %s of %s is %s, whose values are not compared", name, of.Model, t)
		}
		fields = append(fields, arrow.Field{Name: name, Type: t, Nullable: true})
	}
	return values{arrow.NewSchema(fields, nil)}, nil
}

func widened(t arrow.DataType) arrow.DataType {
	switch t.ID() {
	case arrow.INT32:
		return arrow.PrimitiveTypes.Int64
	case arrow.FLOAT32:
		return arrow.PrimitiveTypes.Float64
	}
	return t
}

// of finds the columns among those of rows.
func (v values) of(rows arrow.RecordBatch) ([]arrow.Array, error) {
	columns := make([]arrow.Array, v.schema.NumFields())
	for i, f := range v.schema.Fields() {
		at := rows.Schema().FieldIndices(f.Name)
		if len(at) != 1 {
			return nil, fmt.Errorf("BUG: rows have no column %s", f.Name)
		}
		columns[i] = rows.Column(at[0])
	}
	return columns, nil
}

// read is a row's values, nil if one of them is null.
func read(columns []arrow.Array, row int) []byte {
	var to []byte
	for i, c := range columns {
		if c.IsNull(row) {
			return nil
		}
		switch c := c.(type) {
		case *array.Int32:
			to = binary.LittleEndian.AppendUint64(append(to, 1), uint64(int64(c.Value(row))))
		case *array.Float32:
			to = binary.LittleEndian.AppendUint64(append(to, 1), math.Float64bits(float64(c.Value(row))))
		default:
			to = rowcodec.AppendRow(to, columns[i:i+1], row)
		}
	}
	return to
}

// show is values in a message: name = value.
func (v values) show(value []byte) (string, error) {
	const most = 100
	rows, err := rowcodec.Batch(v.schema, [][]byte{value}, memory.DefaultAllocator)
	if err != nil {
		return "", fmt.Errorf("read a value of %s: %w", v.schema, err)
	}
	defer rows.Release()
	parts := make([]string, rows.NumCols())
	for i, c := range rows.Columns() {
		text := c.ValueStr(0)
		if r := []rune(text); len(r) > most {
			text = string(r[:most]) + "…"
		}
		if _, ok := c.(*array.String); ok {
			text = strconv.Quote(text)
		}
		parts[i] = v.schema.Field(i).Name + " = " + text
	}
	return strings.Join(parts, ", "), nil
}

// withPositions is the rows of a batch with all columns that its table has. The
// caller releases them.
func withPositions(batch record.Batch) (arrow.RecordBatch, error) {
	return record.WithPositions(batch, memory.DefaultAllocator)
}

// stagingOnly is the part of a test that keyed models have no say in.
type stagingOnly struct{ model string }

// Follow refuses changes.
func (s stagingOnly) Follow(_ context.Context, model string, _ record.Changelog, _ int64) error {
	return fmt.Errorf("BUG: a test of staging model %s is given changes of %s", s.model, model)
}

// keyedOnly is the part of a test that staging models have no say in.
type keyedOnly struct{ model string }

// Take refuses rows.
func (k keyedOnly) Take(_ context.Context, model string, _ record.Batch, _ int64) ([]record.Reject, error) {
	return nil, fmt.Errorf("BUG: a test of keyed model %s is given rows of %s", k.model, model)
}
