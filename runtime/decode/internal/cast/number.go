package cast

import (
	"errors"
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"github.com/calvelake/calve/runtime/decode/internal/literal"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// Bool writes a truth value.
func (c *Cast) Bool(v *vector.Vector, row int, x bool) error {
	if c.kind != boolean {
		return c.wrong
	}
	v.SetBool(row, x)
	return nil
}

// Long writes a whole number: as it is, as days of a date, as a number since
// 1970 by the encoding, or as a decimal.
func (c *Cast) Long(v *vector.Vector, row int, x int64) error {
	switch c.kind {
	case long:
		v.I64[row] = x
		return nil
	case integer, date:
		if x != int64(int32(x)) || !c.Takes(FromLong) {
			return c.wrong
		}
		v.I32[row] = int32(x)
		return nil
	case float:
		v.F32[row] = float32(x)
		return nil
	case double:
		v.F64[row] = float64(x)
		return nil
	case decimal:
		if c.form != formPlain {
			return c.wrong
		}
		return c.rescale(v, row, decimal128.FromI64(x), 0)
	case timestamp, timestamptz:
		if c.form == formEpoch {
			return c.epoch(v, row, x)
		}
	}
	return c.wrong
}

// epoch writes a number of units since 1970, what is finer than a microsecond
// dropped towards the past.
func (c *Cast) epoch(v *vector.Vector, row int, x int64) error {
	switch c.unit {
	case 0:
		v.I64[row] = x
	case -3:
		q := x / 1000
		if x%1000 < 0 {
			q--
		}
		v.I64[row] = q
	default:
		factor := int64(1000)
		if c.unit == 6 {
			factor = 1_000_000
		}
		if x > math.MaxInt64/factor || x < math.MinInt64/factor {
			return c.beyond
		}
		v.I64[row] = x * factor
	}
	return nil
}

// Double writes a floating-point number; in a float column it is rounded, and a
// finite one must stay finite. A time since 1970 is read as the shortest
// decimal text of the number, as JSON would hold it.
func (c *Cast) Double(v *vector.Vector, row int, x float64) error {
	switch {
	case c.kind == double:
		v.F64[row] = x
		return nil
	case c.kind == float:
		if math.IsInf(float64(float32(x)), 0) && !math.IsInf(x, 0) {
			return c.beyond
		}
		v.F32[row] = float32(x)
		return nil
	case c.form == formEpoch && !math.IsNaN(x) && !math.IsInf(x, 0):
		var scratch [32]byte
		return c.Number(v, row, strconv.AppendFloat(scratch[:0], x, 'g', -1, 64))
	}
	return c.wrong
}

// Number writes a number of JSON text (RFC 8259 §6).
func (c *Cast) Number(v *vector.Vector, row int, text []byte) error {
	switch c.kind {
	case integer, long:
		x, ok := parseInteger(text)
		if !ok {
			return c.wrong
		}
		return c.Long(v, row, x)
	case float, double:
		return c.parseFloat(v, row, text)
	case decimal:
		if c.form != formPlain {
			return c.wrong
		}
		return c.parseDecimal(v, row, text)
	case date:
		x, ok := parseInteger(text)
		if !ok || c.form != formDays {
			return c.wrong
		}
		return c.Long(v, row, x)
	case timestamp, timestamptz:
		if c.form == formEpoch {
			return c.parseEpoch(v, row, text)
		}
	}
	return c.wrong
}

// parseInteger reads JSON's whole numbers: no sign +, no leading zeros.
func parseInteger(text []byte) (int64, bool) {
	digits := text
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 19 || digits[0] == '0' && len(digits) > 1 {
		return 0, false
	}
	var magnitude uint64 // of at most 19 digits: no overflow
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		magnitude = magnitude*10 + uint64(d-'0')
	}
	if len(digits) < len(text) {
		return -int64(magnitude), magnitude <= -math.MinInt64
	}
	return int64(magnitude), magnitude <= math.MaxInt64
}

func (c *Cast) parseFloat(v *vector.Vector, row int, text []byte) error {
	var scratch [64]byte
	if _, err := literal.ParseNumber(text, scratch[:0]); err != nil { // strconv also reads 0x1p3, 1_000 and Inf
		return c.wrong
	}
	if c.kind == float {
		f, err := strconv.ParseFloat(string(text), 32)
		if err != nil {
			return c.beyond
		}
		v.F32[row] = float32(f)
		return nil
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return c.beyond
	}
	v.F64[row] = f
	return nil
}

func (c *Cast) parseDecimal(v *vector.Vector, row int, text []byte) error {
	var scratch [64]byte
	n, err := literal.ParseNumber(text, scratch[:0])
	if err != nil {
		return c.wrong
	}
	d, err := n.Scaled(int(c.scale), int(c.precision), false)
	if err != nil {
		return c.decimalError(err)
	}
	v.Decimals[row] = d
	return nil
}

func (c *Cast) decimalError(err error) error {
	if errors.Is(err, literal.ErrInexact) {
		return c.inexact
	}
	return c.beyond
}

func (c *Cast) parseEpoch(v *vector.Vector, row int, text []byte) error {
	if x, ok := parseInteger(text); ok {
		return c.epoch(v, row, x)
	}
	var scratch [64]byte
	n, err := literal.ParseNumber(text, scratch[:0])
	if err != nil {
		return c.wrong
	}
	micros, err := n.Scaled(c.unit, 19, true)
	if err != nil || !literal.FitsInt64(micros) {
		return c.beyond
	}
	v.I64[row] = int64(micros.LowBits())
	return nil
}
