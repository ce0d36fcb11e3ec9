package decode

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"github.com/calvelake/calve/runtime/record"
)

// Encodings lists the encodings of Column: a timestamp or timestamptz as a
// number of seconds, milliseconds, microseconds or nanoseconds since
// 1970-01-01T00:00:00 UTC.
var Encodings = []string{"epoch_s", "epoch_ms", "epoch_us", "epoch_ns"}

// kind is a data_type without its parameters.
type kind uint8

const (
	kindBoolean kind = iota
	kindInt
	kindLong
	kindFloat
	kindDouble
	kindDecimal
	kindString
	kindBinary
	kindDate
	kindTimestamp
	kindTimestamptz
	kindEpoch // a timestamp or timestamptz written as a number
	kindStruct
	kindList
	kindMap
)

// valueType is a data_type, compiled.
type valueType struct {
	kind             kind
	name             string // the data_type, for messages
	precision, scale int32  // decimal
	digits           int    // kindEpoch: a unit is 10^digits microseconds; -3 for nanoseconds
	fields           []field
}

// field is a struct's field, a list's element (one), or a map's key and value
// (two).
type field struct {
	name     string
	value    *valueType
	nullable bool
}

// cell holds one parsed value, so that a row is appended only when all of its
// values are known to be good. Which member is set depends on the kind; a
// cell's bytes are valid until the next row is parsed.
type cell struct {
	null    bool
	i       int64 // boolean (0, 1), int, long, date (days), timestamps (µs)
	f       float64
	decimal decimal128.Num
	bytes   []byte
	kids    []cell // fields of a struct, elements of a list, keys and values of a map by turns
}

func compileType(t arrow.DataType, encoding string) (*valueType, error) {
	v := &valueType{name: record.FormatType(t)}
	if encoding != "" {
		return compileEncoded(v, t, encoding)
	}
	switch t := t.(type) {
	case *arrow.Decimal128Type:
		v.kind, v.precision, v.scale = kindDecimal, t.Precision, t.Scale
		return v, nil
	case *arrow.TimestampType:
		if t.Unit != arrow.Microsecond {
			return nil, fmt.Errorf("data_type %s is not in microseconds", t)
		}
		v.kind = kindTimestamp
		if t.TimeZone != "" {
			v.kind = kindTimestamptz
		}
		return v, nil
	case *arrow.StructType, *arrow.ListType, *arrow.MapType:
		return compileNested(v, t)
	}
	kind, ok := scalarKinds[t.ID()]
	if !ok {
		return nil, fmt.Errorf("data_type %s cannot be decoded", t)
	}
	v.kind = kind
	return v, nil
}

var scalarKinds = map[arrow.Type]kind{
	arrow.BOOL: kindBoolean, arrow.INT32: kindInt, arrow.INT64: kindLong,
	arrow.FLOAT32: kindFloat, arrow.FLOAT64: kindDouble,
	arrow.STRING: kindString, arrow.BINARY: kindBinary, arrow.DATE32: kindDate,
}

func compileEncoded(v *valueType, t arrow.DataType, encoding string) (*valueType, error) {
	if !slices.Contains(Encodings, encoding) {
		return nil, fmt.Errorf("encoding %q is not known; expected one of %s", encoding, strings.Join(Encodings, ", "))
	}
	ts, ok := t.(*arrow.TimestampType)
	if !ok || ts.Unit != arrow.Microsecond {
		return nil, fmt.Errorf("encoding %q is for timestamp and timestamptz, not for data_type %s", encoding, v.name)
	}
	v.kind = kindEpoch
	v.digits = map[string]int{"epoch_s": 6, "epoch_ms": 3, "epoch_us": 0, "epoch_ns": -3}[encoding]
	return v, nil
}

func compileNested(v *valueType, t arrow.DataType) (*valueType, error) {
	var fields []arrow.Field
	switch t := t.(type) {
	case *arrow.StructType:
		v.kind, fields = kindStruct, t.Fields()
	case *arrow.ListType:
		v.kind, fields = kindList, []arrow.Field{t.ElemField()}
	case *arrow.MapType:
		v.kind, fields = kindMap, []arrow.Field{t.KeyField(), t.ItemField()}
	}
	for _, f := range fields {
		value, err := compileType(f.Type, "")
		if err != nil {
			return nil, err
		}
		v.fields = append(v.fields, field{name: f.Name, value: value, nullable: f.Nullable})
	}
	if v.kind == kindMap {
		switch v.fields[0].value.kind {
		case kindString, kindInt, kindLong, kindDate:
		default:
			return nil, fmt.Errorf("data_type %s: a map's key must be string, int, long or date", v.name)
		}
	}
	return v, nil
}
