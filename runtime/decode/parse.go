package decode

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/calvelake/calve/runtime/decode/internal/literal"
	"github.com/calvelake/calve/runtime/record"
)

// scratch is memory that a row's cells point into.
type scratch struct {
	text   []byte // unescaped strings, decoded base64
	digits []byte
}

func (s *scratch) reset() { s.text = s.text[:0] }

// valueError says why a value is no value of its type.
type valueError struct {
	code     string
	path     string // inside the column, "" for the column itself
	found    []byte // JSON text; nil if there was no value
	expected string
}

func (e *valueError) Error() string {
	found := "no value"
	if e.found != nil {
		found = excerpt(e.found)
	}
	if e.path != "" {
		found = e.path + ": " + found
	}
	return fmt.Sprintf("found %s, expected %s", found, e.expected)
}

func wrongType(found []byte, expected string) *valueError {
	return &valueError{code: record.CodeType, found: found, expected: expected}
}

// inside returns the error as seen from a value around it.
func (e *valueError) inside(path string) *valueError {
	if e.path != "" && e.path[0] != '[' {
		path += "."
	}
	e.path = path + e.path
	return e
}

// maxExcerpt bounds the bytes of a value that a message quotes: a dead letter
// holds the whole record anyway.
const maxExcerpt = 80

// excerpt shortens text for a message and makes it printable.
func excerpt(text []byte) string {
	cut := ""
	if len(text) > maxExcerpt {
		end := maxExcerpt - len("…")
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text, cut = text[:end], "…"
	}
	if utf8.Valid(text) && bytes.IndexFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) < 0 {
		return string(text) + cut
	}
	quoted := strconv.Quote(string(text))
	if len(quoted) > maxExcerpt {
		quoted = quoted[:maxExcerpt-len("…")]
		cut = "…"
	}
	return quoted + cut
}

// isNull tells whether a JSON value is null.
func isNull(raw []byte) bool { return raw[0] == 'n' }

// parse reads a JSON value that is not null into c.
func (v *valueType) parse(raw []byte, c *cell, s *scratch) *valueError {
	c.null = false
	switch v.kind {
	case kindBoolean:
		if raw[0] != 't' && raw[0] != 'f' {
			return wrongType(raw, "true or false")
		}
		c.i = 0
		if raw[0] == 't' {
			c.i = 1
		}
		return nil
	case kindInt, kindLong:
		return v.parseInteger(raw, c)
	case kindFloat, kindDouble:
		return v.parseFloat(raw, c)
	case kindDecimal:
		return v.parseDecimal(raw, c, s)
	case kindString:
		return parseString(raw, c, s)
	case kindBinary:
		return parseBinary(raw, c, s)
	case kindDate, kindTimestamp, kindTimestamptz:
		return v.parseTime(raw, c, s)
	case kindEpoch:
		return v.parseEpoch(raw, c, s)
	case kindStruct:
		return v.parseStruct(raw, c, s)
	case kindList:
		return v.parseList(raw, c, s)
	}
	return v.parseMap(raw, c, s)
}

func (v *valueType) parseInteger(raw []byte, c *cell) *valueError {
	bits, low, high := 64, int64(math.MinInt64), int64(math.MaxInt64)
	if v.kind == kindInt {
		bits, low, high = 32, math.MinInt32, math.MaxInt32
	}
	i, err := strconv.ParseInt(string(raw), 10, bits)
	if err != nil {
		return wrongType(raw, fmt.Sprintf("%s, a whole number from %d to %d", v.name, low, high))
	}
	c.i = i
	return nil
}

func (v *valueType) parseFloat(raw []byte, c *cell) *valueError {
	bits := 64
	if v.kind == kindFloat {
		bits = 32
	}
	if raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return wrongType(raw, v.name+", a number")
	}
	f, err := strconv.ParseFloat(string(raw), bits)
	if err != nil {
		return wrongType(raw, v.name+", a number in its range")
	}
	c.f = f
	return nil
}

func (v *valueType) parseDecimal(raw []byte, c *cell, s *scratch) *valueError {
	text := raw
	if raw[0] == '"' {
		text = s.unquote(raw)
	}
	n, err := literal.ParseNumber(text, s.digits)
	if err != nil {
		return wrongType(raw, v.name+", a number or a string that holds one")
	}
	s.digits = n.Digits
	d, err := n.Scaled(int(v.scale), int(v.precision), false)
	switch {
	case errors.Is(err, literal.ErrInexact):
		return wrongType(raw, fmt.Sprintf("%s, at most %d decimal places", v.name, v.scale))
	case err != nil:
		return wrongType(raw, fmt.Sprintf("%s, at most %d digits before the decimal point", v.name, v.precision-v.scale))
	}
	c.decimal = d
	return nil
}

func parseString(raw []byte, c *cell, s *scratch) *valueError {
	switch raw[0] {
	case '"':
		c.bytes = s.unquote(raw)
	case '{', '[':
		c.bytes = raw
	default:
		return wrongType(raw, "string, in quotes")
	}
	return nil
}

func parseBinary(raw []byte, c *cell, s *scratch) *valueError {
	const expected = "binary, a string of base64"
	if raw[0] != '"' {
		return wrongType(raw, expected)
	}
	text := s.unquote(raw)
	start := len(s.text)
	decoded, err := base64.StdEncoding.AppendDecode(s.text, text)
	if err != nil {
		return wrongType(raw, expected)
	}
	s.text = decoded
	c.bytes = decoded[start:len(decoded):len(decoded)]
	return nil
}

// unquote returns a JSON string's text: a part of raw if nothing is escaped,
// else a part of s.text.
func (s *scratch) unquote(raw []byte) []byte {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	start := len(s.text)
	s.text = unescape(s.text, inner)
	return s.text[start:len(s.text):len(s.text)]
}

var timeExpected = map[kind]string{
	kindDate:        `date, as in "2024-02-29"`,
	kindTimestamp:   `timestamp, as in "2024-02-29T12:34:56.789" (one with an offset is a timestamptz)`,
	kindTimestamptz: `timestamptz, as in "2024-02-29T12:34:56.789Z" (RFC 3339, with offset)`,
}

func (v *valueType) parseTime(raw []byte, c *cell, s *scratch) *valueError {
	if raw[0] != '"' {
		return wrongType(raw, timeExpected[v.kind])
	}
	var ok bool
	switch text := s.unquote(raw); v.kind {
	case kindDate:
		c.i, ok = literal.ParseDate(text)
	case kindTimestamp:
		c.i, ok = literal.ParseTimestamp(text, false)
	default:
		c.i, ok = literal.ParseTimestamp(text, true)
	}
	if !ok {
		return wrongType(raw, timeExpected[v.kind])
	}
	return nil
}

var epochUnits = map[int]string{6: "seconds", 3: "milliseconds", 0: "microseconds", -3: "nanoseconds"}

func (v *valueType) parseEpoch(raw []byte, c *cell, s *scratch) *valueError {
	n, err := literal.ParseNumber(raw, s.digits)
	if err != nil {
		return wrongType(raw, fmt.Sprintf("%s, a number of %s since 1970", v.name, epochUnits[v.digits]))
	}
	s.digits = n.Digits
	micros, err := n.Scaled(v.digits, 19, true)
	if err != nil || !literal.FitsInt64(micros) {
		return wrongType(raw, fmt.Sprintf("%s, a number of %s since 1970 that microseconds in 64 bits can hold", v.name, epochUnits[v.digits]))
	}
	c.i = int64(micros.LowBits())
	return nil
}
