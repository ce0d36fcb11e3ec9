package plugins

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/sdk/abi"
)

// answer is what a plugin made of a batch, in a form whose text is equal where
// the rows are: it has no padding and no values below nulls.
type answer struct {
	Outputs  []answerStream
	Errors   []answerError
	Counters map[string]int64

	main *arrow.Schema // of the main stream
	fate error         // instead of all that: the guest failed on the batch
}

type answerStream struct {
	Stream  uint32
	Rows    int64
	Origin  []int32
	Columns []answerColumn
}

type answerColumn struct {
	Name   string
	Type   string
	Values json.RawMessage
}

type answerError struct {
	Row     uint32
	Code    string
	Column  string
	Message string
}

// fates are how a guest fails on a batch.
var fates = []error{wasm.ErrBudget, wasm.ErrMemory, wasm.ErrOutputLimit, wasm.ErrOutput, wasm.ErrTrap}

// fate is which of the fates an error is, by its place; -1 for none.
func fate(err error) int {
	return slices.IndexFunc(fates, func(f error) bool { return errors.Is(err, f) })
}

// ask runs a transform, which stops on errors, over a batch. That the guest
// fails is an answer too.
func ask(ctx context.Context, t *wasm.Transform, batch arrow.RecordBatch) (answer, error) {
	result, err := t.Process(ctx, batch, wasm.Meta{}, wasm.NoWatermark)
	if fate(err) >= 0 {
		return answer{fate: err}, nil
	}
	if err != nil {
		return answer{}, err
	}
	defer result.Release()
	a := answer{Counters: result.Metrics.Counters}
	for _, o := range result.Outputs {
		s := answerStream{Stream: o.Stream, Rows: o.Rows.NumRows(), Origin: o.Origin}
		if s.Columns, err = columnsOf(o.Rows); err != nil {
			return a, err
		}
		if o.Stream == abi.StreamMain {
			a.main = o.Rows.Schema()
		}
		a.Outputs = append(a.Outputs, s)
	}
	for _, e := range result.Errors {
		a.Errors = append(a.Errors, answerError{e.Row, e.Code, e.Column, e.Message})
	}
	return a, nil
}

func columnsOf(rows arrow.RecordBatch) ([]answerColumn, error) {
	columns := make([]answerColumn, rows.NumCols())
	for i, column := range rows.Columns() {
		field := rows.Schema().Field(i)
		values, err := column.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("read column %q of the output: %w", field.Name, err)
		}
		columns[i] = answerColumn{field.Name, field.Type.String(), values}
	}
	return columns, nil
}

// difference says where two answers differ; "" if nowhere.
func (a answer) difference(b answer) string {
	if a.fate != nil || b.fate != nil {
		if fate(a.fate) == fate(b.fate) {
			return ""
		}
		return fmt.Sprintf("%s, and %s", orAnswers(a.fate), orAnswers(b.fate))
	}
	if len(a.Outputs) != len(b.Outputs) {
		return fmt.Sprintf("%d streams and %d streams", len(a.Outputs), len(b.Outputs))
	}
	for i, one := range a.Outputs {
		if text := one.difference(b.Outputs[i]); text != "" {
			return fmt.Sprintf("stream %d: %s", one.Stream, text)
		}
	}
	if len(a.Errors) != len(b.Errors) {
		return fmt.Sprintf("%d row errors and %d", len(a.Errors), len(b.Errors))
	}
	for i, one := range a.Errors {
		if other := b.Errors[i]; one != other {
			return fmt.Sprintf("row error %d: %+v and %+v", i, one, other)
		}
	}
	// Maps print in the order of their keys.
	if x, y := fmt.Sprint(a.Counters), fmt.Sprint(b.Counters); x != y {
		return fmt.Sprintf("counters: %s and %s", x, y)
	}
	return ""
}

func orAnswers(err error) string {
	if err == nil {
		return "it answers"
	}
	return err.Error()
}

func (s answerStream) difference(other answerStream) string {
	if s.Stream != other.Stream || s.Rows != other.Rows || len(s.Columns) != len(other.Columns) {
		return fmt.Sprintf("%d rows of %d columns, and stream %d with %d rows of %d columns",
			s.Rows, len(s.Columns), other.Stream, other.Rows, len(other.Columns))
	}
	for i, c := range s.Columns {
		o := other.Columns[i]
		if c.Name != o.Name || c.Type != o.Type {
			return fmt.Sprintf("column %d is %q of %s, and %q of %s", i, c.Name, c.Type, o.Name, o.Type)
		}
		if row, x, y := firstDifference(c.Values, o.Values); row >= 0 {
			return fmt.Sprintf("column %q, row %d: %s and %s", c.Name, row, x, y)
		}
	}
	if x, y := fmt.Sprint(s.Origin), fmt.Sprint(other.Origin); x != y {
		return "rows of the same values come from other input rows"
	}
	return ""
}

// firstDifference finds the first row in which two columns of equal length
// differ, -1 if none does.
func firstDifference(a, b json.RawMessage) (row int, x, y json.RawMessage) {
	if string(a) == string(b) {
		return -1, nil, nil
	}
	var left, right []json.RawMessage
	if json.Unmarshal(a, &left) != nil || json.Unmarshal(b, &right) != nil || len(left) != len(right) {
		return 0, a, b
	}
	for i := range left {
		if string(left[i]) != string(right[i]) {
			return i, left[i], right[i]
		}
	}
	return -1, nil, nil
}
