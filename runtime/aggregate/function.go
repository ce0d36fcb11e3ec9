package aggregate

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"github.com/calvelake/calve/runtime/record"
)

// Call is a call of an aggregate function.
type Call struct {
	Function string
	Argument arrow.DataType // nil of count()
}

// What a decimal gets more of digits, as in Spark and Hive.
const (
	sumDigits = 10
	avgDigits = 4
)

// ResultType is the type of what an aggregate function gives over an argument
// of a type, nil for none. The error is for a person.
func ResultType(function string, argument arrow.DataType) (arrow.DataType, error) {
	switch function {
	case "count":
		return arrow.PrimitiveTypes.Int64, nil
	case "count_if":
		if argument == nil || argument.ID() != arrow.BOOL {
			return nil, fmt.Errorf("count_if needs a condition that is true or false, found %s", typeName(argument))
		}
		return arrow.PrimitiveTypes.Int64, nil
	case "sum", "avg":
		return numberResult(function, argument)
	}
	if classOf(argument) == classNone {
		return nil, fmt.Errorf("%s does not take %s, only count does; aggregate one of its fields, or use a plugin", function, typeName(argument))
	}
	switch function {
	case "min", "max", "any", "first", "last":
		return argument, nil
	case "count_distinct", "approx_count_distinct":
		return arrow.PrimitiveTypes.Int64, nil
	}
	return nil, fmt.Errorf("there is no aggregate %q", function)
}

func numberResult(function string, argument arrow.DataType) (arrow.DataType, error) {
	switch t := argument.(type) {
	case *arrow.Int32Type, *arrow.Int64Type:
		if function == "sum" {
			return arrow.PrimitiveTypes.Int64, nil
		}
		return arrow.PrimitiveTypes.Float64, nil
	case *arrow.Float32Type, *arrow.Float64Type:
		return arrow.PrimitiveTypes.Float64, nil
	case *arrow.Decimal128Type:
		if function == "sum" {
			return &arrow.Decimal128Type{Precision: min(t.Precision+sumDigits, decimal128.MaxPrecision), Scale: t.Scale}, nil
		}
		return &arrow.Decimal128Type{Precision: min(t.Precision+avgDigits, decimal128.MaxPrecision), Scale: min(t.Scale+avgDigits, decimal128.MaxPrecision)}, nil
	}
	return nil, fmt.Errorf("%s needs a number, found %s; cast it, as in %s(cast(x as long))", function, typeName(argument), function)
}

func typeName(t arrow.DataType) string {
	if t == nil {
		return "nothing"
	}
	return record.FormatType(t)
}

// newAccumulators makes the accumulators of a call, whose types are known to
// fit.
func newAccumulators(c Call, result arrow.DataType, limits Limits, topics *topics) accumulators {
	switch c.Function {
	case "count", "count_if":
		return &counts{condition: c.Function == "count_if"}
	case "sum", "avg":
		if classOf(c.Argument) == classDouble {
			return &doubleTotals{average: c.Function == "avg"}
		}
		return &totals{average: c.Function == "avg", argument: c.Argument, gives: result}
	}
	switch classOf(c.Argument) {
	case classInteger:
		return ofKind(c, integers(c.Argument), limits, topics)
	case classDouble:
		return ofKind(c, doubles(c.Argument), limits, topics)
	case classDecimal:
		return ofKind(c, decimals(c.Argument), limits, topics)
	}
	return ofKind(c, texts(c.Argument), limits, topics)
}

func ofKind[T any](c Call, k *kind[T], limits Limits, topics *topics) accumulators {
	switch c.Function {
	case "min", "any":
		return &extremes[T]{kind: k, sign: 1}
	case "max":
		return &extremes[T]{kind: k, sign: -1}
	case "first":
		return &places[T]{kind: k, sign: 1, topics: topics}
	case "last":
		return &places[T]{kind: k, sign: -1, topics: topics}
	case "count_distinct":
		return &distincts[T]{kind: k, limit: limits.DistinctValues}
	case "approx_count_distinct":
		return &sketches[T]{kind: k}
	}
	panic("BUG: no accumulators for " + c.Function)
}
