package fact

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// compileUnmatched computes what a join copies where no row matches: nulls, but
// for the columns that have a constant.
func (j *join) compileUnmatched(mem memory.Allocator) error {
	for _, c := range j.spec.Unmatched {
		if !j.values.HasField(c.Name) {
			return fmt.Errorf("%s: column %s is not copied", j.path(".copy"), c.Name)
		}
	}
	one := array.NewRecordBatch(arrow.NewSchema(nil, nil), nil, 1)
	defer one.Release()
	for _, f := range j.values.Fields() {
		row, err := j.unmatchedValue(f, one, mem)
		if err != nil {
			return err
		}
		j.unmatched = append(j.unmatched, row...)
	}
	return nil
}

func (j *join) unmatchedValue(f arrow.Field, one arrow.RecordBatch, mem memory.Allocator) ([]byte, error) {
	for _, c := range j.spec.Unmatched {
		if c.Name != f.Name {
			continue
		}
		path := j.path(".copy." + f.Name)
		compiled, err := c.Expression.As(f.Type).Check(one.Schema())
		if err != nil {
			return nil, &projection.ExpressionError{Path: path, Text: c.Expression.String(), Err: err}
		}
		value, faults, err := compiled.Eval(one, mem)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		defer value.Release()
		if len(faults) > 0 {
			return nil, fmt.Errorf("%s: %s", path, faults[0].Message)
		}
		return rowcodec.AppendRow(nil, []arrow.Array{value}, 0), nil
	}
	return []byte{0}, nil // a null
}
