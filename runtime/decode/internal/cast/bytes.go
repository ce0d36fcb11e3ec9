package cast

import (
	"math"
	"math/big"
	"strconv"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"github.com/calvelake/calve/runtime/decode/internal/literal"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// maxUnscaled bounds the bytes of a decimal's unscaled number: what is longer
// is no decimal of 38 digits at any scale that is used, and to find out would
// cost time that grows with the square of its length.
const maxUnscaled = 128

// Bytes writes raw bytes: binary as they are, a string if they are UTF-8, a
// decimal as big-endian two's complement at the column's scale.
func (c *Cast) Bytes(v *vector.Vector, row int, raw []byte) error {
	switch {
	case c.kind == binary && c.form == formPlain:
		v.SetBytes(row, raw)
		return nil
	case c.kind == text && c.form == formPlain:
		if !utf8.Valid(raw) {
			return c.beyond
		}
		v.SetBytes(row, raw)
		return nil
	case c.kind == decimal && c.form != formVariable:
		return c.Unscaled(v, row, raw, int(c.scale))
	}
	return c.wrong
}

// Unscaled writes a decimal: a big-endian two's complement number × 10^-scale.
// No bytes at all are no number.
func (c *Cast) Unscaled(v *vector.Vector, row int, raw []byte, scale int) error {
	if c.kind != decimal || len(raw) == 0 {
		return c.wrong
	}
	for len(raw) > 1 && (raw[0] == 0 && raw[1] < 0x80 || raw[0] == 0xff && raw[1] >= 0x80) {
		raw = raw[1:] // the sign alone
	}
	if len(raw) > 16 {
		return c.unscaledWide(v, row, raw, scale)
	}
	var high int64
	var low uint64
	if raw[0] >= 0x80 {
		high, low = -1, ^uint64(0)
	}
	for _, b := range raw {
		high = high<<8 | int64(low>>56)
		low = low<<8 | uint64(b)
	}
	return c.rescale(v, row, decimal128.New(high, low), scale)
}

// rescale writes n × 10^-scale.
func (c *Cast) rescale(v *vector.Vector, row int, n decimal128.Num, scale int) error {
	up := int(c.scale) - scale
	if up < 0 || up >= int(c.precision) {
		return c.exactly(v, row, n.BigInt(), scale)
	}
	if !fits(n, c.precision-int32(up)) {
		return c.beyond
	}
	if up > 0 {
		n = n.Mul(decimal128.GetScaleMultiplier(up))
	}
	v.Decimals[row] = n
	return nil
}

// fits is FitsInPrecision, which takes -2¹²⁷ for a number of any precision:
// it has no absolute value in 128 bits.
func fits(n decimal128.Num, precision int32) bool {
	return n != decimal128.New(math.MinInt64, 0) && n.FitsInPrecision(precision)
}

// unscaledWide writes a number of more than 128 bits, which fits only with
// zeros at its end.
func (c *Cast) unscaledWide(v *vector.Vector, row int, raw []byte, scale int) error {
	if len(raw) > maxUnscaled {
		return c.beyond
	}
	n := new(big.Int).SetBytes(raw)
	if raw[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(raw))))
	}
	return c.exactly(v, row, n, scale)
}

// exactly writes n × 10^-scale by way of its digits.
func (c *Cast) exactly(v *vector.Vector, row int, n *big.Int, scale int) error {
	text := append(n.Append(nil, 10), 'e')
	d, err := literal.ParseNumber(strconv.AppendInt(text, int64(-scale), 10), nil)
	if err != nil {
		return c.wrong
	}
	scaled, err := d.Scaled(int(c.scale), int(c.precision), false)
	if err != nil {
		return c.decimalError(err)
	}
	v.Decimals[row] = scaled
	return nil
}
