package rowdrop

import (
	"encoding/binary"
	"fmt"
)

// decodeHybrid reads count numbers in the encoding RLE (parquet-format, "Run
// Length Encoding / Bit-Packing Hybrid").
func decodeHybrid(to []uint32, from []byte, width, count int) ([]uint32, error) {
	bytes := (width + 7) / 8
	for len(to) < count {
		header, n := binary.Uvarint(from)
		if n <= 0 {
			return nil, fmt.Errorf("%w: %d of %d numbers", errCorrupt, len(to), count)
		}
		from = from[n:]
		if header&1 == 0 {
			if len(from) < bytes {
				return nil, fmt.Errorf("%w: run without a value", errCorrupt)
			}
			value := uint32(0)
			for i := range bytes {
				value |= uint32(from[i]) << (8 * i)
			}
			from = from[bytes:]
			for range min(header>>1, uint64(count-len(to))) {
				to = append(to, value)
			}
			continue
		}
		groups := int(header >> 1)
		if groups < 0 || groups*width > len(from) {
			return nil, fmt.Errorf("%w: %d groups in %d bytes", errCorrupt, groups, len(from))
		}
		to = unpack(to, from, width, min(groups*8, count-len(to)))
		from = from[groups*width:]
	}
	return to, nil
}

// unpack reads numbers of some bits, the lowest first.
func unpack(to []uint32, from []byte, width, count int) []uint32 {
	mask := uint64(1)<<width - 1
	var bits uint64
	have, at := 0, 0
	for range count {
		for have < width {
			bits |= uint64(from[at]) << have
			at++
			have += 8
		}
		to = append(to, uint32(bits&mask))
		bits >>= width
		have -= width
	}
	return to
}

// encodeHybrid appends numbers: eight and more equal ones as a run, others
// packed by eight.
func encodeHybrid(to []byte, values []uint32, width int) []byte {
	packed := 0 // numbers before at that wait to be packed
	at := 0
	for at < len(values) {
		run := 1
		for at+run < len(values) && values[at+run] == values[at] {
			run++
		}
		if run < 8 {
			step := min(8, len(values)-at)
			packed += step
			at += step
			continue
		}
		to = pack(to, values[at-packed:at], width)
		packed = 0
		to = binary.AppendUvarint(to, uint64(run)<<1)
		for i := range (width + 7) / 8 {
			to = append(to, byte(values[at]>>(8*i)))
		}
		at += run
	}
	return pack(to, values[at-packed:at], width)
}

// pack appends one run of numbers by eight; the last eight are filled up.
func pack(to []byte, values []uint32, width int) []byte {
	if len(values) == 0 {
		return to
	}
	groups := (len(values) + 7) / 8
	to = binary.AppendUvarint(to, uint64(groups)<<1|1)
	var bits uint64
	have := 0
	for i := range groups * 8 {
		if i < len(values) {
			bits |= uint64(values[i]) << have
		}
		for have += width; have >= 8; have -= 8 {
			to = append(to, byte(bits))
			bits >>= 8
		}
	}
	return to
}
