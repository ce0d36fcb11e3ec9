package avro

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// cast reads a scalar and writes it by the column's cast.
func (r *Reader) cast(o *op, data []byte, pos, row int) int {
	x, v := o.x, o.v
	switch x.node.kind {
	case boolean:
		if pos >= len(data) || data[pos] > 1 {
			return -1
		}
		if err := x.cast.Bool(v, row, data[pos] == 1); err != nil {
			return r.refused(x, err, strconv.FormatBool(data[pos] == 1))
		}
		return pos + 1
	case integer, long:
		value, next := varlong(data, pos)
		if x.node.kind == integer {
			var small int32
			small, next = varsmall(data, pos)
			value = int64(small)
		}
		if next < 0 {
			return -1
		}
		if err := x.cast.Long(v, row, value); err != nil {
			return r.refused(x, err, formatLong(value))
		}
		return next
	case float, double:
		return r.castFloat(o, data, pos, row)
	case bytes, text:
		n, next := length(data, pos)
		if next < 0 {
			return -1
		}
		return r.castBytes(o, data[next:next+n], row, next+n)
	case fixed:
		next := fixedEnd(data, pos, x.node.size)
		if next < 0 {
			return -1
		}
		return r.castBytes(o, data[pos:next], row, next)
	}
	i, next := index(len(x.node.symbols), data, pos) // enum
	if next < 0 {
		return -1
	}
	return r.castBytes(o, x.node.symbols[i], row, next)
}

func (r *Reader) castFloat(o *op, data []byte, pos, row int) int {
	width := 4
	if o.x.node.kind == double {
		width = 8
	}
	if len(data)-pos < width {
		return -1
	}
	var f float64
	if width == 4 {
		f = float64(math.Float32frombits(binary.LittleEndian.Uint32(data[pos:])))
	} else {
		f = math.Float64frombits(binary.LittleEndian.Uint64(data[pos:]))
	}
	if err := o.x.cast.Double(o.v, row, f); err != nil {
		return r.refused(o.x, err, strconv.FormatFloat(f, 'g', -1, 64))
	}
	return pos + width
}

// castBytes writes bytes or text; next is the position behind them.
func (r *Reader) castBytes(o *op, raw []byte, row, next int) int {
	x, v, n := o.x, o.v, o.x.node
	if m := r.program.marker; m != nil && x.target.path == "" && (m.Is(raw) || n.kind == text && m.IsText(raw)) {
		return r.gone(x.target, v, row, next)
	}
	var err error
	switch {
	case n.kind == fixed && x.target.typ.ID() == arrow.STRING:
		var scratch [64]byte
		return r.setText(v, row, n.fixedText(scratch[:0], raw), next)
	case n.kind == bytes || n.kind == fixed:
		if n.meaning == decimalNumber && x.target.typ.ID() == arrow.DECIMAL128 {
			err = x.cast.Unscaled(v, row, raw, n.scale)
		} else {
			err = x.cast.Bytes(v, row, raw)
		}
		if err != nil && x.target.typ.ID() != arrow.STRING {
			return r.refused(x, err, n.bytesText(raw))
		}
	case x.target.typ.ID() == arrow.BINARY && x.target.encoding == "":
		err = x.cast.Bytes(v, row, raw)
	default:
		if x.target.typ.ID() == arrow.STRING && !utf8.Valid(raw) {
			return r.notText(x, raw)
		}
		err = x.cast.Text(v, row, raw)
	}
	if err != nil {
		return r.refused(x, err, excerpt(raw))
	}
	return next
}

// bytesText shows bytes in a message.
func (n *node) bytesText(raw []byte) string {
	if n.meaning == decimalNumber && len(raw) > 0 && len(raw) <= 16 {
		return string(appendDecimal(nil, raw, n.scale))
	}
	return formatBytes(raw)
}

// variable reads a record of scale and value.
func (r *Reader) variable(o *op, data []byte, pos, row int) int {
	scale, pos := varsmall(data, pos)
	if pos < 0 {
		return -1
	}
	n, next := length(data, pos)
	if next < 0 {
		return -1
	}
	raw := data[next : next+n]
	if m := r.program.marker; m != nil && o.x.target.path == "" && m.Is(raw) {
		return r.gone(o.x.target, o.v, row, next+n)
	}
	if err := o.x.cast.Unscaled(o.v, row, raw, int(scale)); err != nil {
		return r.refused(o.x, err, formatBytes(raw)+" at scale "+strconv.Itoa(int(scale)))
	}
	return next + n
}

// fixedText appends the text of a UUID or of a duration, which is months, days
// and milliseconds in three numbers of 32 bits.
func (n *node) fixedText(dst, raw []byte) []byte {
	if n.meaning == uuid {
		for i, cut := range [...]int{0, 4, 6, 8, 10} {
			if i > 0 {
				dst = append(dst, '-')
			}
			end := [...]int{4, 6, 8, 10, 16}[i]
			dst = hex.AppendEncode(dst, raw[cut:end])
		}
		return dst
	}
	months, days, ms := binary.LittleEndian.Uint32(raw), binary.LittleEndian.Uint32(raw[4:]), binary.LittleEndian.Uint32(raw[8:])
	dst = strconv.AppendUint(append(dst, 'P'), uint64(months), 10)
	dst = strconv.AppendUint(append(dst, 'M'), uint64(days), 10)
	dst = strconv.AppendUint(append(dst, 'D', 'T'), uint64(ms/1000), 10)
	if ms %= 1000; ms > 0 {
		dst = append(dst, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	}
	return append(dst, 'S')
}

// list reads an array.
func (r *Reader) list(o *op, data []byte, pos, row int) int {
	elements := o.v.Kids[0]
	first := elements.Len
	b := blocks{least: o.x.node.items.least}
	for {
		if pos = b.next(r, data, pos); pos < 0 {
			return -1
		}
		if b.items == 0 {
			break
		}
		for range b.items {
			if pos = r.run(o.alt, data, pos, elements.Append()); pos < 0 {
				return -1
			}
		}
	}
	o.v.End(row)
	if elements.Len == first+1 && r.isMarker(o, elements, first) || r.areMarker(o, elements, first) {
		o.v.Rollback(row)
		return r.gone(o.x.target, o.v, row, pos)
	}
	return pos
}

// mapping reads a map.
func (r *Reader) mapping(o *op, data []byte, pos, row int) int {
	keys, items := o.v.Kids[0], o.v.Kids[1]
	first := keys.Len
	b := blocks{least: o.x.node.items.least + 1}
	for {
		if pos = b.next(r, data, pos); pos < 0 {
			return -1
		}
		if b.items == 0 {
			return r.endMap(o, row, first, pos)
		}
		for range b.items {
			n, next := length(data, pos)
			if next < 0 {
				return -1
			}
			text, key := data[next:next+n], keys.Append()
			if o.x.key != nil {
				if err := o.x.key.Plain(keys, key, text); err != nil {
					return r.refused(o.x, err, "the key "+excerpt(text))
				}
			} else if !r.putText(keys, key, data, next, n) {
				return r.notText(o.x, text)
			}
			if pos = r.run(o.alt, data, next+n, items.Append()); pos < 0 {
				return -1
			}
		}
	}
}

// entries reads an array of records of key and value to a map.
func (r *Reader) entries(o *op, data []byte, pos, row int) int {
	keys, items := o.v.Kids[0], o.v.Kids[1]
	first := keys.Len
	b := blocks{least: o.x.node.items.least}
	for {
		if pos = b.next(r, data, pos); pos < 0 {
			return -1
		}
		if b.items == 0 {
			return r.endMap(o, row, first, pos)
		}
		for range b.items {
			items.Append()
			if pos = r.run(o.alt, data, pos, keys.Append()); pos < 0 {
				return -1
			}
		}
	}
}

// endMap ends a map whose first key is in row first. A key that comes twice is
// refused: which of the two holds is for the producer to say.
func (r *Reader) endMap(o *op, row, first, pos int) int {
	keys := o.v.Kids[0]
	if twice := r.repeated(keys, first); twice >= 0 {
		return r.refused(o.x, errTwice, "the key "+keyText(keys, twice)+" twice")
	}
	o.v.End(row)
	if keys.Len == first+1 && r.isMarker(o, keys, first) {
		o.v.Rollback(row)
		return r.gone(o.x.target, o.v, row, pos)
	}
	return pos
}

func keyText(v *vector.Vector, row int) string {
	switch v.Kind {
	case vector.String, vector.Binary:
		return excerpt(v.Data[v.Offsets[row]:v.Offsets[row+1]])
	case vector.Int, vector.Date:
		return strconv.Itoa(int(v.I32[row]))
	case vector.Long, vector.Timestamp:
		return formatLong(v.I64[row])
	}
	return "of entry " + strconv.Itoa(row)
}
