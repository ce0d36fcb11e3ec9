package cast

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record"
)

// Cast writes values to the rows of vectors of one leaf data_type. It does not
// change after New and is safe for concurrent use.
//
// Its methods write the row or return an *Error; after an error the vector's
// row must be rolled back before it is written again.
type Cast struct {
	kind             kind
	form             form
	name             string // the data_type, for messages
	precision, scale int32  // of a decimal
	unit             int    // of an epoch: 10^unit microseconds
	layout           *layout

	// Errors are made once: a stream of bad records must not cost an allocation
	// each.
	wrong   *Error // the value is of another kind
	beyond  *Error // the value is of the right kind and beyond the type
	inexact *Error // a decimal has too many places
}

// Error says what a value should have been. The format that read it adds what
// it found, and where.
type Error struct {
	Expected string
}

func (e *Error) Error() string { return "expected " + e.Expected }

type kind uint8

const (
	boolean kind = iota
	integer
	long
	float
	double
	decimal
	text
	binary
	date
	timestamp
	timestamptz
)

var kinds = map[arrow.Type]kind{
	arrow.BOOL: boolean, arrow.INT32: integer, arrow.INT64: long,
	arrow.FLOAT32: float, arrow.FLOAT64: double, arrow.DECIMAL128: decimal,
	arrow.STRING: text, arrow.BINARY: binary, arrow.DATE32: date,
}

// New makes the cast to a leaf data_type (record.ParseType), written by an
// encoding, "" for none. An error lists the encodings that the type takes.
func New(t arrow.DataType, encoding string) (*Cast, error) {
	if t == nil {
		return nil, fmt.Errorf("no data_type")
	}
	c := &Cast{name: record.FormatType(t)}
	if ts, ok := t.(*arrow.TimestampType); ok {
		if ts.Unit != arrow.Microsecond {
			return nil, fmt.Errorf("data_type %s is not in microseconds", t)
		}
		c.kind = timestamp
		if ts.TimeZone != "" {
			c.kind = timestamptz
		}
	} else {
		kind, ok := kinds[t.ID()]
		if !ok {
			return nil, fmt.Errorf("data_type %s is no scalar", c.name)
		}
		c.kind = kind
	}
	if d, ok := t.(*arrow.Decimal128Type); ok {
		c.precision, c.scale = d.Precision, d.Scale
	}
	if err := c.encode(encoding); err != nil {
		return nil, err
	}
	c.describe()
	return c, nil
}

// encode sets the form that an encoding names.
func (c *Cast) encode(encoding string) error {
	if encoding == "" {
		return nil
	}
	if layout, ok := strings.CutPrefix(encoding, strptime); ok && c.takesLayout() {
		parsed, err := parseLayout(layout)
		if err != nil {
			return fmt.Errorf("encoding %q: %w", encoding, err)
		}
		if c.kind == timestamp && parsed.offset {
			return fmt.Errorf("encoding %q: %%z and %%s tell a moment, which data_type timestamp is not; use timestamptz", encoding)
		}
		c.form, c.layout = formLayout, parsed
		return nil
	}
	for _, e := range encodings {
		if e.name == encoding && slices.Contains(e.kinds, c.kind) {
			c.form, c.unit = e.form, e.unit
			return nil
		}
	}
	takes := "takes no encoding"
	if names := c.encodings(); len(names) > 0 {
		takes = "takes one of " + strings.Join(names, ", ")
	}
	return fmt.Errorf("encoding %q is not one of data_type %s, which %s", encoding, c.name, takes)
}

// Encodings lists the encodings that a leaf data_type takes, nil for none.
func Encodings(t arrow.DataType) []string {
	c, err := New(t, "")
	if err != nil {
		return nil
	}
	return c.encodings()
}

func (c *Cast) encodings() []string {
	var names []string
	for _, e := range encodings {
		if slices.Contains(e.kinds, c.kind) {
			names = append(names, e.name)
		}
	}
	if c.takesLayout() {
		names = append(names, strptime+"<layout>")
	}
	return names
}

func (c *Cast) takesLayout() bool {
	return c.kind == date || c.kind == timestamp || c.kind == timestamptz
}

// describe makes the errors.
func (c *Cast) describe() {
	fail := func(format string, args ...any) *Error { return &Error{c.name + fmt.Sprintf(format, args...)} }
	c.wrong = fail("")
	c.beyond = c.wrong
	switch c.kind {
	case boolean:
		c.wrong = &Error{"true or false"}
	case integer:
		c.wrong = fail(", a whole number from %d to %d", math.MinInt32, math.MaxInt32)
	case long:
		c.wrong = fail(", a whole number from %d to %d", math.MinInt64, math.MaxInt64)
	case float, double:
		c.wrong, c.beyond = fail(", a number"), fail(", a number in its range")
		return
	case decimal:
		c.wrong = fail(", a number or a string that holds one")
		switch c.form {
		case formTwos:
			c.wrong = fail(", a string of base64 that holds a two's complement number (%s)", "connect.decimal")
		case formVariable:
			c.wrong = fail(", an object of scale and value (debezium.variable_scale_decimal)")
		}
		c.beyond = fail(", at most %d digits before the decimal point", c.precision-c.scale)
		c.inexact = fail(", at most %d decimal places", c.scale)
		return
	case text:
		c.wrong, c.beyond = fail(", in quotes"), fail(", valid UTF-8")
		if c.form == formZonedTime {
			c.wrong = fail(`, a time of day with an offset, as in "12:34:56.789Z"`)
		}
		return
	case binary:
		c.wrong = fail(", a string of base64")
		if c.form == formHex {
			c.wrong = fail(", a string of hex digits")
		}
	default:
		c.wrong, c.beyond = c.describeTime()
		return
	}
	c.beyond = c.wrong
}

var timeExpected = map[kind]string{
	date:        `date, as in "2024-02-29"`,
	timestamp:   `timestamp, as in "2024-02-29T12:34:56.789" (one with an offset is a timestamptz)`,
	timestamptz: `timestamptz, as in "2024-02-29T12:34:56.789Z" (RFC 3339, with offset)`,
}

var unitNames = map[int]string{6: "seconds", 3: "milliseconds", 0: "microseconds", -3: "nanoseconds"}

func (c *Cast) describeTime() (wrong, beyond *Error) {
	switch c.form {
	case formEpoch:
		return &Error{fmt.Sprintf("%s, a number of %s since 1970", c.name, unitNames[c.unit])},
			&Error{fmt.Sprintf("%s, a number of %s since 1970 that microseconds in 64 bits can hold", c.name, unitNames[c.unit])}
	case formDays:
		wrong = &Error{c.name + ", a whole number of days since 1970 in 32 bits"}
	case formLayout:
		wrong = &Error{fmt.Sprintf("%s, as the layout %s", c.name, c.layout.text)}
	case formZoned:
		wrong = &Error{c.name + `, as in "2024-02-29T12:34:56.789Z" (RFC 3339, with offset)`}
	default:
		wrong = &Error{timeExpected[c.kind]}
	}
	return wrong, wrong
}
