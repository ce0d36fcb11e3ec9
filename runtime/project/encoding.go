package project

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// encodings are the ways in which a value holds a type, where the format alone
// does not tell: epoch numbers, and the schema-less forms of Kafka Connect and
// Debezium (their "temporal types" and "decimal types" documentation).
var encodings = []struct {
	name  string
	holds func(arrow.DataType) bool
}{
	{"epoch_s", isTime}, {"epoch_ms", isTime}, {"epoch_us", isTime}, {"epoch_ns", isTime},
	{"base64", isBinary}, {"hex", isBinary},
	{"connect.decimal", isDecimal}, {"connect.date", isDate}, {"connect.time", isInteger}, {"connect.timestamp", isTime},
	{"debezium.date", isDate}, {"debezium.time", isInteger}, {"debezium.micro_time", isInteger}, {"debezium.nano_time", isInteger},
	{"debezium.timestamp", isTime}, {"debezium.micro_timestamp", isTime}, {"debezium.nano_timestamp", isTime},
	{"debezium.zoned_timestamp", isTime}, {"debezium.zoned_time", isText}, {"debezium.variable_scale_decimal", isDecimal},
}

const strptime = "strptime:"

// encoding is one of encodings, or strptime: and a layout of POSIX strptime.
var encoding = encodingShape()

func encodingShape() scalar[string] {
	known := make([]string, len(encodings))
	for i, e := range encodings {
		known[i] = e.name
	}
	words := append(append([]string{}, known...), strptime+"<layout>")
	what := "one of " + strings.Join(words, ", ")
	pattern := "^(" + strings.ReplaceAll(strings.Join(known, "|"), ".", `\.`) + "|" + strptime + ".*%.*)$"
	text := regexp.MustCompile(pattern)
	return patterned(what, pattern, func(s string) (string, error) {
		if text.MatchString(s) {
			return s, nil
		}
		return "", hintedError{fmt.Sprintf("%q is not %s", excerpt(s), what), didYouMean(s, known)}
	})
}

func encodingTypes(name string) func(arrow.DataType) bool {
	for _, e := range encodings {
		if e.name == name {
			return e.holds
		}
	}
	return func(t arrow.DataType) bool { return isTime(t) || isDate(t) } // strptime
}

func isTime(t arrow.DataType) bool    { return t.ID() == arrow.TIMESTAMP }
func isDate(t arrow.DataType) bool    { return t.ID() == arrow.DATE32 }
func isDecimal(t arrow.DataType) bool { return t.ID() == arrow.DECIMAL128 }
func isBinary(t arrow.DataType) bool  { return t.ID() == arrow.BINARY }
func isText(t arrow.DataType) bool    { return t.ID() == arrow.STRING }
func isInteger(t arrow.DataType) bool { return t.ID() == arrow.INT32 || t.ID() == arrow.INT64 }

// checkDefault says what is expected of a default when text is none of type t.
func checkDefault(t arrow.DataType, text string) error {
	var err error
	expected := ""
	switch t := t.(type) {
	case *arrow.BooleanType:
		expected = "true or false"
		if text != "true" && text != "false" {
			err = strconv.ErrSyntax
		}
	case *arrow.Int32Type:
		expected = "a 32-bit integer"
		_, err = strconv.ParseInt(text, 10, 32)
	case *arrow.Int64Type:
		expected = "a 64-bit integer"
		_, err = strconv.ParseInt(text, 10, 64)
	case *arrow.Float32Type, *arrow.Float64Type:
		expected = "a number"
		_, err = strconv.ParseFloat(text, 64)
	case *arrow.Decimal128Type:
		return checkDecimal(t, text)
	case *arrow.Date32Type:
		expected = "a date, YYYY-MM-DD"
		_, err = time.Parse(time.DateOnly, text)
	case *arrow.TimestampType:
		expected = "a time of RFC 3339, as 2026-01-31T12:00:00Z"
		_, err = time.Parse(time.RFC3339Nano, text)
	case *arrow.BinaryType:
		expected = "base64"
		_, err = base64.StdEncoding.DecodeString(text)
	case arrow.NestedType:
		return errors.New("a struct, list or map takes no default")
	}
	if err != nil {
		return fmt.Errorf("expected %s", expected)
	}
	return nil
}

var decimalText = regexp.MustCompile(`^-?[0-9]+(\.([0-9]+))?$`)

func checkDecimal(t *arrow.Decimal128Type, text string) error {
	m := decimalText.FindStringSubmatch(text)
	if m == nil {
		return errors.New("expected a decimal number")
	}
	scaled, ok := new(big.Rat).SetString(text)
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(t.Precision-t.Scale)), nil)
	if !ok || len(m[2]) > int(t.Scale) || scaled.Abs(scaled).Cmp(new(big.Rat).SetInt(limit)) >= 0 {
		return fmt.Errorf("expected at most %d digits, %d of them after the point", t.Precision, t.Scale)
	}
	return nil
}
