package literal

import (
	"time"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

const (
	dateLayout      = "2006-01-02"
	timestampLayout = "2006-01-02T15:04:05"
)

// ParseDate returns days since 1970-01-01.
func ParseDate(text []byte) (int64, bool) {
	if !hasShape(text, "dddd-dd-dd") {
		return 0, false
	}
	t, err := time.Parse(dateLayout, string(text))
	if err != nil {
		return 0, false
	}
	return t.Unix() / 86_400, true // exact: midnight UTC
}

// ParseTimestamp reads RFC 3339 with an offset, or the same without one, and
// returns microseconds since 1970-01-01T00:00:00 (UTC), rounded down. The shape
// is checked here, since package time also accepts hours of one digit, a comma
// before the fraction and offsets out of range.
func ParseTimestamp(text []byte, offset bool) (int64, bool) {
	if len(text) < len(timestampLayout) || !hasShape(text[:len(timestampLayout)], "dddd-dd-ddTdd:dd:dd") {
		return 0, false
	}
	rest := text[len(timestampLayout):]
	if len(rest) > 0 && rest[0] == '.' {
		fraction, after := SplitDigits(rest[1:])
		if len(fraction) == 0 {
			return 0, false
		}
		rest = after
	}
	layout := timestampLayout // Parse reads a fraction where the layout has none
	if offset {
		layout = time.RFC3339
		if !validOffset(rest) {
			return 0, false
		}
	} else if len(rest) > 0 {
		return 0, false
	}
	t, err := time.Parse(layout, string(text))
	return t.UnixMicro(), err == nil
}

func validOffset(text []byte) bool {
	if string(text) == "Z" {
		return true
	}
	return (hasShape(text, "+dd:dd") || hasShape(text, "-dd:dd")) && string(text[1:3]) < "24" && text[4] < '6'
}

// hasShape compares text with a shape in which d is any digit.
func hasShape(text []byte, shape string) bool {
	if len(text) != len(shape) {
		return false
	}
	for i := range text {
		if shape[i] == 'd' {
			if text[i] < '0' || text[i] > '9' {
				return false
			}
		} else if text[i] != shape[i] {
			return false
		}
	}
	return true
}

// FitsInt64 tells whether a number is one of 64 bits.
func FitsInt64(n decimal128.Num) bool { return n == decimal128.FromI64(int64(n.LowBits())) }
