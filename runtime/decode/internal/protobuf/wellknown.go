package protobuf

import (
	"math"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/calvelake/calve/runtime/decode/internal/cast"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// parts are the fields of a well-known message that stands for a scalar: up to
// three numbers, or one text or bytes and two numbers.
type parts struct {
	numbers [4]int64 // by field number, as an int64
	text    []byte   // of field 1
}

// split reads the parts of a message. It tells false for one that is not
// written the plain way.
func (k *parts) split(s []byte, text bool) bool {
	seen := 0
	for p := 0; p < len(s); {
		tag := s[p]
		num := int(tag >> 3)
		p++
		if num < 1 || num > 3 || seen&(1<<num) != 0 {
			return false
		}
		seen |= 1 << num
		if num == 1 && text {
			if tag != 1<<3|byte(protowire.BytesType) {
				return false
			}
			k.text, p = delimited(s, p)
		} else {
			if tag != byte(num)<<3|byte(protowire.VarintType) {
				return false
			}
			var u uint64
			u, p = varint(s, p)
			k.numbers[num] = int64(u)
		}
		if p < 0 {
			return false
		}
	}
	return true
}

// wellKnownWire reads a well-known message.
func (x *value) wellKnownWire(v *vector.Vector, row int, s []byte) bool {
	var k parts
	if !k.split(s, x.shape == decimal || x.shape == numberText) || x.shape == numberText && !validText(k.text) {
		return false
	}
	return x.setParts(v, row, &k) == nil
}

// setParts writes a well-known message.
func (x *value) setParts(v *vector.Vector, row int, k *parts) error {
	ok := false
	switch x.shape {
	case timestamp:
		ok = setTimestamp(v, row, k.numbers[1], int32(k.numbers[2]))
	case duration:
		ok = setDuration(v, row, k.numbers[1], int32(k.numbers[2]))
	case calendar:
		ok = setDate(v, row, int32(k.numbers[1]), int32(k.numbers[2]), int32(k.numbers[3]))
	case decimal:
		return x.cast.Unscaled(v, row, k.text, int(int32(k.numbers[3])))
	case numberText:
		return x.cast.Text(v, row, k.text)
	}
	if !ok {
		return &cast.Error{Expected: x.fail}
	}
	return nil
}

// The range of google.protobuf.Timestamp and Duration, in seconds.
const (
	firstSecond  = -62135596800 // 0001-01-01T00:00:00Z
	lastSecond   = 253402300799 // 9999-12-31T23:59:59Z
	maxDuration  = 315_576_000_000
	nanosASecond = 1_000_000_000
)

// setTimestamp writes a google.protobuf.Timestamp, in a string as RFC 3339.
func setTimestamp(v *vector.Vector, row int, seconds int64, nanos int32) bool {
	if seconds < firstSecond || seconds > lastSecond || uint32(nanos) >= nanosASecond {
		return false
	}
	if v.Kind == vector.String {
		v.Data = time.Unix(seconds, int64(nanos)).UTC().AppendFormat(v.Data, time.RFC3339Nano)
		v.Offsets[row+1] = int32(len(v.Data))
		return true
	}
	v.I64[row] = seconds*1_000_000 + int64(nanos)/1000
	return true
}

// setTimestampWire does the same from the wire.
func setTimestampWire(v *vector.Vector, row int, s []byte) bool {
	if len(s) > 0 && s[0] == 1<<3 { // seconds, then nanos, is how encoders write it
		seconds, p := varint(s, 1)
		if p == len(s) {
			return setTimestamp(v, row, int64(seconds), 0)
		}
		if p > 0 && s[p] == 2<<3 {
			if nanos, end := varint(s, p+1); end == len(s) {
				return setTimestamp(v, row, int64(seconds), int32(nanos))
			}
		}
	}
	var k parts
	return k.split(s, false) && setTimestamp(v, row, k.numbers[1], int32(k.numbers[2]))
}

// setDuration writes a google.protobuf.Duration: in a long as nanoseconds, in a
// string as in protobuf's JSON, seconds with an s behind.
func setDuration(v *vector.Vector, row int, seconds int64, nanos int32) bool {
	switch {
	case seconds < -maxDuration, seconds > maxDuration,
		nanos <= -nanosASecond, nanos >= nanosASecond,
		seconds < 0 && nanos > 0, seconds > 0 && nanos < 0:
		return false
	}
	if v.Kind == vector.String {
		v.Data = appendDuration(v.Data, seconds, nanos)
		v.Offsets[row+1] = int32(len(v.Data))
		return true
	}
	if seconds > math.MaxInt64/nanosASecond-1 || seconds < -(math.MaxInt64/nanosASecond-1) {
		return false
	}
	v.I64[row] = seconds*nanosASecond + int64(nanos)
	return true
}

// appendDuration writes 0, 3, 6 or 9 digits behind the point.
func appendDuration(dst []byte, seconds int64, nanos int32) []byte {
	if seconds < 0 || nanos < 0 {
		dst, seconds, nanos = append(dst, '-'), -seconds, -nanos
	}
	dst = strconv.AppendInt(dst, seconds, 10)
	if nanos != 0 {
		start := len(dst)
		dst = strconv.AppendInt(dst, int64(nanos)+nanosASecond, 10)
		dst[start] = '.'
		for len(dst) > start+4 && string(dst[len(dst)-3:]) == "000" {
			dst = dst[:len(dst)-3]
		}
	}
	return append(dst, 's')
}

// setDate writes a google.type.Date that is a whole one.
func setDate(v *vector.Vector, row int, year, month, day int32) bool {
	if year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 || day > 31 {
		return false
	}
	date := time.Date(int(year), time.Month(month), int(day), 0, 0, 0, 0, time.UTC)
	if date.Day() != int(day) {
		return false
	}
	v.I32[row] = int32(date.Unix() / 86400)
	return true
}

// wrapperWire reads google.protobuf.Int64Value and its like.
func (r *Reader) wrapperWire(x *value, s []byte, row int) bool {
	if len(s) == 0 {
		return r.unset(x.elem, row) == nil
	}
	wire := wireType(x.elem.kind)
	return s[0] == 1<<3|byte(wire) && r.scalar(x.elem, wire, s, 1, row) == len(s)
}
