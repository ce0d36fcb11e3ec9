package expression

import (
	"math"
	"math/big"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// wide is room to compute with more than 128 bits; it is reused, so that no
// row allocates.
type wide struct{ x, y, z, part, low big.Int }

// set makes z the integer of a decimal's digits.
func (w *wide) set(z *big.Int, n decimal128.Num) {
	negative := n.Sign() < 0
	if negative {
		n = n.Negate()
	}
	z.SetUint64(uint64(n.HighBits()))
	z.Lsh(z, 64)
	z.Or(z, w.part.SetUint64(n.LowBits()))
	if negative {
		z.Neg(z)
	}
}

// get is the decimal of an integer, if its digits are within a precision.
func (w *wide) get(z *big.Int, precision int32) (decimal128.Num, bool) {
	if z.CmpAbs(powerOfTen(precision)) >= 0 {
		return decimal128.Num{}, false
	}
	w.part.Abs(z)
	low := w.low.And(&w.part, lowBits).Uint64()
	w.part.Rsh(&w.part, 64)
	n := decimal128.New(w.part.Int64(), low)
	if z.Sign() < 0 {
		n = n.Negate()
	}
	return n, true
}

var lowBits = new(big.Int).SetUint64(math.MaxUint64)

var powersOfTen = func() (all [2*decimal128.MaxPrecision + 1]*big.Int) {
	for i := range all {
		all[i] = new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(i)), nil)
	}
	return all
}()

func powerOfTen(n int32) *big.Int { return powersOfTen[n] }
