package cast

import (
	"encoding/base64"
	"encoding/hex"
	"time"
	"unicode/utf8"

	"github.com/calvelake/calve/runtime/decode/internal/literal"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// Text writes a string. That it is UTF-8 is the caller's to check, once for a
// batch or for each.
func (c *Cast) Text(v *vector.Vector, row int, s []byte) error {
	switch c.kind {
	case text:
		if c.form == formZonedTime && !isZonedTime(s) {
			return c.wrong
		}
		v.SetBytes(row, s)
		return nil
	case binary:
		return c.textBytes(v, row, s)
	case decimal:
		return c.textDecimal(v, row, s)
	case date, timestamp, timestamptz:
		return c.textTime(v, row, s)
	}
	return c.wrong
}

// Plain writes the text of a source that has nothing but text, as a record's
// key or header: a number, true or false without quotes, a time by its
// encoding, bytes as they are. It checks that a string is UTF-8.
func (c *Cast) Plain(v *vector.Vector, row int, s []byte) error {
	switch c.kind {
	case boolean:
		if string(s) != "true" && string(s) != "false" {
			return c.wrong
		}
		v.SetBool(row, s[0] == 't')
		return nil
	case integer, long, float, double:
		return c.Number(v, row, s)
	case text:
		if !utf8.Valid(s) {
			return c.beyond
		}
	case binary:
		if c.form == formPlain {
			v.SetBytes(row, s)
			return nil
		}
	case date, timestamp, timestamptz:
		if c.form == formDays || c.form == formEpoch {
			return c.Number(v, row, s)
		}
	}
	return c.Text(v, row, s)
}

func (c *Cast) textBytes(v *vector.Vector, row int, s []byte) error {
	start := len(v.Data)
	var out []byte
	var err error
	if c.form == formHex {
		out, err = hex.AppendDecode(v.Data, s)
	} else {
		out, err = base64.StdEncoding.AppendDecode(v.Data, s)
	}
	if err != nil {
		v.Data = v.Data[:start]
		return c.wrong
	}
	v.Data = out
	v.Offsets[row+1] = int32(len(out))
	return nil
}

func (c *Cast) textDecimal(v *vector.Vector, row int, s []byte) error {
	switch c.form {
	case formPlain:
		return c.parseDecimal(v, row, s)
	case formTwos:
		var scratch [maxUnscaled]byte
		if base64.StdEncoding.DecodedLen(len(s)) > len(scratch) {
			return c.beyond
		}
		n, err := base64.StdEncoding.Decode(scratch[:], s)
		if err != nil || n == 0 {
			return c.wrong
		}
		return c.Unscaled(v, row, scratch[:n], int(c.scale))
	}
	return c.wrong
}

func (c *Cast) textTime(v *vector.Vector, row int, s []byte) error {
	var x int64
	ok := false
	switch c.form {
	case formPlain:
		if c.kind == date {
			x, ok = literal.ParseDate(s)
		} else {
			x, ok = literal.ParseTimestamp(s, c.kind == timestamptz)
		}
	case formZoned:
		x, ok = literal.ParseTimestamp(s, true)
	case formLayout:
		var days, micros int64
		if days, micros, ok = c.layout.parse(s); ok && c.kind == date {
			x = days
		} else {
			x = micros
		}
	}
	if !ok {
		return c.wrong
	}
	if c.kind == date {
		v.I32[row] = int32(x)
	} else {
		v.I64[row] = x
	}
	return nil
}

// isZonedTime tells whether s is a time of day with an offset, as of
// io.debezium.time.ZonedTime.
func isZonedTime(s []byte) bool {
	if len(s) < 9 || len(s) > 64 || s[2] != ':' { // package time also reads hours of one digit
		return false
	}
	_, err := time.Parse("15:04:05Z07:00", string(s))
	return err == nil
}
