package aggregate

import (
	"errors"
	"math"
	"math/big"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// wide is an integer of 192 bits in two's complement, the lowest first: the sum
// of any number of rows of decimals and longs.
type wide [3]uint64

func wideOfInt(v int64) wide {
	sign := uint64(v >> 63)
	return wide{uint64(v), sign, sign}
}

func wideOf(n decimal128.Num) wide {
	return wide{n.LowBits(), uint64(n.HighBits()), uint64(n.HighBits() >> 63)}
}

func (w *wide) add(o wide) {
	var carry uint64
	w[0], carry = bits.Add64(w[0], o[0], 0)
	w[1], carry = bits.Add64(w[1], o[1], carry)
	w[2], _ = bits.Add64(w[2], o[2], carry)
}

// long is the integer as 64 bits, if they hold it.
func (w *wide) long() (int64, bool) {
	sign := uint64(int64(w[0]) >> 63)
	return int64(w[0]), w[1] == sign && w[2] == sign
}

// decimal is the integer as 128 bits, if they hold it.
func (w *wide) decimal() (decimal128.Num, bool) {
	return decimal128.New(int64(w[1]), w[0]), w[2] == uint64(int64(w[1])>>63)
}

func (w *wide) big() *big.Int {
	z := new(big.Int)
	for i := len(w) - 1; i >= 0; i-- {
		z.Lsh(z, 64)
		z.Or(z, new(big.Int).SetUint64(w[i]))
	}
	if int64(w[2]) < 0 {
		z.Sub(z, new(big.Int).Lsh(big.NewInt(1), 192))
	}
	return z
}

// appendWide writes the number of bytes it takes, and them, the highest first.
func appendWide(to []byte, w wide) []byte {
	n := w.bytes()
	to = append(to, byte(n))
	for i := n - 1; i >= 0; i-- {
		to = append(to, w.at(i))
	}
	return to
}

func (w *wide) at(i int) byte { return byte(w[i/8] >> (i % 8 * 8)) }

// bytes is how many bytes hold the number, its sign included; 0 holds 0.
func (w *wide) bytes() int {
	n, sign := 8*len(w), byte(int64(w[2])>>63)
	for n > 1 && w.at(n-1) == sign && (w.at(n-2)^sign)&0x80 == 0 {
		n--
	}
	if n == 1 && w.at(0) == 0 {
		return 0
	}
	return n
}

func loadWide(data []byte) (w wide, rest []byte, err error) {
	if len(data) == 0 {
		return w, nil, errShort
	}
	n := int(data[0])
	if n > 8*len(w) {
		return w, nil, errors.New("an integer has more than 192 bits")
	}
	if data = data[1:]; len(data) < n {
		return w, nil, errShort
	}
	if n > 0 && int8(data[0]) < 0 {
		w = wide{math.MaxUint64, math.MaxUint64, math.MaxUint64}
	}
	for _, b := range data[:n] {
		w[2] = w[2]<<8 | w[1]>>56
		w[1] = w[1]<<8 | w[0]>>56
		w[0] = w[0]<<8 | uint64(b)
	}
	return w, data[n:], nil
}
