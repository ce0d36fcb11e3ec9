package expression

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"github.com/calvelake/calve/runtime/record"
)

var (
	typeBoolean     = arrow.FixedWidthTypes.Boolean
	typeInt         = arrow.PrimitiveTypes.Int32
	typeLong        = arrow.PrimitiveTypes.Int64
	typeDouble      = arrow.PrimitiveTypes.Float64
	typeString      = arrow.BinaryTypes.String
	typeBinary      = arrow.BinaryTypes.Binary
	typeDate        = arrow.FixedWidthTypes.Date32
	typeTimestamp   = &arrow.TimestampType{Unit: arrow.Microsecond}
	typeTimestamptz = record.Timestamptz
)

// class is how values of a type are held while an expression is computed.
type class uint8

const (
	classNone    class = iota // of a null without a type, and of types that no column has
	classBoolean              // []bool
	classInteger              // []int64: int, long, days of a date, µs of a timestamp
	classDouble               // []float64: float and double
	classDecimal              // []decimal128.Num
	classText                 // []string: string and binary
	classNested               // an Arrow array: struct, list, map
)

func classOf(t arrow.DataType) class {
	switch t := t.(type) {
	case *arrow.BooleanType:
		return classBoolean
	case *arrow.Int32Type, *arrow.Int64Type, *arrow.Date32Type:
		return classInteger
	case *arrow.TimestampType:
		if t.Unit == arrow.Microsecond {
			return classInteger
		}
	case *arrow.Float32Type, *arrow.Float64Type:
		return classDouble
	case *arrow.Decimal128Type:
		return classDecimal
	case *arrow.StringType, *arrow.BinaryType:
		return classText
	case *arrow.StructType, *arrow.ListType, *arrow.MapType:
		return classNested
	}
	return classNone
}

func is(t arrow.DataType, ids ...arrow.Type) bool {
	if t == nil {
		return false
	}
	for _, id := range ids {
		if t.ID() == id {
			return true
		}
	}
	return false
}

func isInteger(t arrow.DataType) bool   { return is(t, arrow.INT32, arrow.INT64) }
func isFloating(t arrow.DataType) bool  { return is(t, arrow.FLOAT32, arrow.FLOAT64) }
func isDecimal(t arrow.DataType) bool   { return is(t, arrow.DECIMAL128) }
func isNumeric(t arrow.DataType) bool   { return isInteger(t) || isFloating(t) || isDecimal(t) }
func isTimestamp(t arrow.DataType) bool { return is(t, arrow.TIMESTAMP) }
func isTime(t arrow.DataType) bool      { return is(t, arrow.TIMESTAMP, arrow.DATE32) }
func isString(t arrow.DataType) bool    { return is(t, arrow.STRING) }
func isBoolean(t arrow.DataType) bool   { return is(t, arrow.BOOL) }

func typeName(t arrow.DataType) string {
	if t == nil {
		return "null"
	}
	return record.FormatType(t)
}

func decimalType(precision, scale int32) *arrow.Decimal128Type {
	return &arrow.Decimal128Type{Precision: precision, Scale: scale}
}

// asDecimal is the decimal that holds every value of a whole number's type, or
// the decimal itself.
func asDecimal(t arrow.DataType) *arrow.Decimal128Type {
	switch t := t.(type) {
	case *arrow.Decimal128Type:
		return t
	case *arrow.Int32Type:
		return decimalType(10, 0)
	}
	return decimalType(19, 0)
}

// commonDecimal holds every value of both, nil if no decimal does.
func commonDecimal(a, b *arrow.Decimal128Type) *arrow.Decimal128Type {
	scale := max(a.Scale, b.Scale)
	precision := max(a.Precision-a.Scale, b.Precision-b.Scale) + scale
	if precision > decimal128.MaxPrecision {
		return nil
	}
	return decimalType(precision, scale)
}

// commonType is the type to which values of both types widen by themselves,
// nil if there is none.
func commonType(a, b arrow.DataType) arrow.DataType {
	switch {
	case a == nil:
		return b
	case b == nil || arrow.TypeEqual(a, b):
		return a
	case isInteger(a) && isInteger(b):
		return typeLong
	case isNumeric(a) && isNumeric(b) && (isFloating(a) || isFloating(b)):
		return typeDouble
	case isNumeric(a) && isNumeric(b):
		if t := commonDecimal(asDecimal(a), asDecimal(b)); t != nil {
			return t
		}
	case is(a, arrow.DATE32) && isTimestamp(b):
		return b
	case is(b, arrow.DATE32) && isTimestamp(a):
		return a
	}
	return nil
}

// Widens tells whether every value of a type is one of another, to which it
// widens by itself.
func Widens(from, to arrow.DataType) bool {
	if arrow.TypeEqual(from, to) {
		return true
	}
	common := commonType(from, to)
	return common != nil && arrow.TypeEqual(common, to) && conversion(from, to) != nil
}
