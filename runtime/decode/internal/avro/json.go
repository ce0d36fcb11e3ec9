package avro

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"
)

// json appends a value as JSON text, in the forms that format json reads: bytes
// as base64, times as RFC 3339, decimals as numbers. A union is the value that
// it holds. next is -1 on failure.
func (r *Reader) json(dst []byte, x *detail, n *node, data []byte, pos, depth int) (out []byte, next int) {
	if depth == maxDepth {
		return dst, -1
	}
	switch n.kind {
	case null:
		return append(dst, "null"...), pos
	case union:
		branch, pos := index(len(n.branches), data, pos)
		if pos < 0 {
			return dst, -1
		}
		return r.json(dst, x, n.branches[branch], data, pos, depth+1)
	case structure:
		return r.jsonRecord(dst, x, n, data, pos, depth)
	case array, mapping:
		return r.jsonItems(dst, x, n, data, pos, depth)
	case bytes, text:
		size, pos := length(data, pos)
		if pos < 0 {
			return dst, -1
		}
		raw := data[pos : pos+size]
		if n.kind == bytes {
			return r.jsonBytes(dst, n, raw, pos+size)
		}
		if !utf8.Valid(raw) {
			return dst, r.notText(x, raw)
		}
		return appendQuoted(dst, raw), pos + size
	case fixed:
		next := fixedEnd(data, pos, n.size)
		if next < 0 {
			return dst, -1
		}
		return r.jsonBytes(dst, n, data[pos:next], next)
	case enum:
		i, next := index(len(n.symbols), data, pos)
		if next < 0 {
			return dst, -1
		}
		return appendQuoted(dst, n.symbols[i]), next
	}
	return jsonNumber(dst, n, data, pos)
}

// jsonNumber appends a boolean or a number.
func jsonNumber(dst []byte, n *node, data []byte, pos int) (out []byte, next int) {
	switch n.kind {
	case boolean:
		if pos >= len(data) || data[pos] > 1 {
			return dst, -1
		}
		return strconv.AppendBool(dst, data[pos] == 1), pos + 1
	case integer:
		x, next := varsmall(data, pos)
		return n.appendLong(dst, int64(x)), next
	case long:
		x, next := varlong(data, pos)
		return n.appendLong(dst, x), next
	case float:
		if len(data)-pos < 4 {
			return dst, -1
		}
		return appendFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(data[pos:]))), 32), pos + 4
	}
	if len(data)-pos < 8 {
		return dst, -1
	}
	return appendFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(data[pos:])), 64), pos + 8
}

func (r *Reader) jsonRecord(dst []byte, x *detail, n *node, data []byte, pos, depth int) (out []byte, next int) {
	if n.meaning == variableScale {
		scale, pos := varsmall(data, pos)
		if pos < 0 {
			return dst, -1
		}
		size, pos := length(data, pos)
		if pos < 0 || size == 0 || size > maxDecimal {
			return dst, -1
		}
		return appendDecimal(dst, data[pos:pos+size], int(scale)), pos + size
	}
	dst = append(dst, '{')
	for i := range n.fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendQuoted(dst, []byte(n.fields[i].name)), ':')
		if dst, pos = r.json(dst, x, n.fields[i].node, data, pos, depth+1); pos < 0 {
			return dst, -1
		}
	}
	return append(dst, '}'), pos
}

func (r *Reader) jsonItems(dst []byte, x *detail, n *node, data []byte, pos, depth int) (out []byte, next int) {
	b := blocks{least: n.items.least}
	open, end := byte('['), byte(']')
	if n.kind == mapping {
		b.least++
		open, end = '{', '}'
	}
	dst = append(dst, open)
	empty := true
	for {
		if pos = b.next(r, data, pos); pos < 0 || b.items == 0 {
			return append(dst, end), pos
		}
		for range b.items {
			if !empty {
				dst = append(dst, ',')
			}
			empty = false
			if n.kind == mapping {
				size, after := length(data, pos)
				if after < 0 {
					return dst, -1
				}
				if pos = after + size; !utf8.Valid(data[after:pos]) {
					return dst, r.notText(x, data[after:pos])
				}
				dst = append(appendQuoted(dst, data[after:pos]), ':')
			}
			if dst, pos = r.json(dst, x, n.items, data, pos, depth+1); pos < 0 {
				return dst, -1
			}
		}
	}
}

// maxDecimal bounds the bytes of a decimal that is written as text, which takes
// time that grows with the square of its length.
const maxDecimal = 128

func (r *Reader) jsonBytes(dst []byte, n *node, raw []byte, next int) ([]byte, int) {
	switch {
	case n.meaning == decimalNumber:
		if len(raw) == 0 || len(raw) > maxDecimal {
			return dst, -1
		}
		return appendDecimal(dst, raw, n.scale), next
	case n.meaning == uuid || n.meaning == duration:
		return append(n.fixedText(append(dst, '"'), raw), '"'), next
	}
	dst = append(dst, '"')
	return append(base64.StdEncoding.AppendEncode(dst, raw), '"'), next
}

// appendLong appends a number as what it means.
func (n *node) appendLong(dst []byte, x int64) []byte {
	var at time.Time
	layout := `"2006-01-02T15:04:05.999999999Z07:00"`
	switch n.meaning {
	case dateDays:
		at, layout = time.Unix(x*86_400, 0), `"2006-01-02"`
	case millis, localMillis:
		at = time.UnixMilli(x)
	case micros, localMicros:
		at = time.UnixMicro(x)
	case nanos, localNanos:
		at = time.Unix(0, x)
	default:
		return strconv.AppendInt(dst, x, 10)
	}
	if n.meaning == localMillis || n.meaning == localMicros || n.meaning == localNanos {
		layout = `"2006-01-02T15:04:05.999999999"`
	}
	if at = at.UTC(); at.Year() < 0 || at.Year() > 9999 { // RFC 3339 has no text for it
		return strconv.AppendInt(dst, x, 10)
	}
	return at.AppendFormat(dst, layout)
}

// appendFloat appends a number, or the text that stands for what JSON cannot
// say.
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits)
}

// appendDecimal appends a two's complement number × 10^-scale.
func appendDecimal(dst, raw []byte, scale int) []byte {
	n := new(big.Int).SetBytes(raw)
	if raw[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(raw))))
	}
	if n.Sign() < 0 {
		dst = append(dst, '-')
		n.Neg(n)
	}
	digits := n.Append(nil, 10)
	if scale < 0 || scale > 2*maxDecimal {
		return strconv.AppendInt(append(append(dst, digits...), 'e'), -int64(scale), 10)
	}
	for len(digits) <= scale {
		digits = append([]byte{'0'}, digits...)
	}
	point := len(digits) - scale
	dst = append(dst, digits[:point]...)
	if scale > 0 {
		dst = append(append(dst, '.'), digits[point:]...)
	}
	return dst
}

// appendQuoted appends text of UTF-8 as a JSON string.
func appendQuoted(dst, s []byte) []byte {
	const hexDigits = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i, c := range s {
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(dst, s[start:]...), '"')
}

// addExtra appends a field to the document's rest.
func (r *Reader) addExtra(o *op, data []byte, pos int) int {
	open := byte(',')
	if len(r.extra) == 0 {
		open = '{'
	}
	path := o.x.where
	out, next := r.json(append(appendQuoted(append(r.extra, open), []byte(path)), ':'), o.x, o.x.node, data, pos, 0)
	r.extra = out
	return next
}

// endExtra writes the rest: null if the schema has no field left.
func (r *Reader) endExtra(o *op, row, pos int) int {
	if len(r.extra) == 0 {
		return r.absent(o.x.target, o.v, row, pos)
	}
	r.extra = append(r.extra, '}')
	return r.setText(o.v, row, r.extra, pos)
}
