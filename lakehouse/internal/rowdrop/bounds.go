package rowdrop

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// bounds are the least and the greatest value of the chunk as it was written,
// nil if there is none.
func (c *chunk) bounds() (low, high []byte, err error) {
	compare, err := order(c.descriptor)
	if err != nil {
		return nil, nil, err
	}
	see := func(v []byte) {
		if low == nil || compare(v, low) < 0 {
			low = v
		}
		if high == nil || compare(v, high) > 0 {
			high = v
		}
	}
	pages := c.body[c.begin:]
	used := make([]bool, len(c.dictionary))
	for at := 0; at < len(pages); {
		h, n, err := parseHeader(pages[at:])
		if err != nil {
			return nil, nil, err
		}
		payload := pages[at+n : at+n+int(h.compressed)]
		at += n + int(h.compressed)
		if h.kind != pageData {
			continue
		}
		if err := c.see(h, payload, used, see); err != nil {
			return nil, nil, err
		}
	}
	for id, is := range used {
		if is {
			see(c.dictionary[id])
		}
	}
	return slices.Clone(low), slices.Clone(high), nil
}

// see visits the values of a page, or notes which of the dictionary's it has.
func (c *chunk) see(h pageHeader, payload []byte, used []bool, visit func(v []byte)) error {
	page, err := c.codec.decode(nil, payload, h.uncompressed)
	if err != nil {
		return err
	}
	present := int(h.values)
	if c.optional {
		size := 0
		if len(page) >= 4 {
			size = int(binary.LittleEndian.Uint32(page))
		}
		if len(page) < 4+size {
			return fmt.Errorf("%w: %d bytes of levels", errCorrupt, size)
		}
		if c.levels, err = decodeHybrid(c.levels[:0], page[4:4+size], 1, present); err != nil {
			return err
		}
		page, present = page[4+size:], 0
		for _, level := range c.levels {
			present += int(level)
		}
	}
	switch {
	case present == 0:
		return nil
	case len(page) == 0:
		return fmt.Errorf("%w: no values", errCorrupt)
	case h.encoding != encodingPlain:
		c.ids, err = decodeHybrid(c.ids[:0], page[1:], min(int(page[0]), 32), present)
		for _, id := range c.ids {
			if int(id) >= len(used) {
				return fmt.Errorf("%w: index %d of a dictionary of %d", errCorrupt, id, len(used))
			}
			used[id] = true
		}
		return err
	case c.descriptor.PhysicalType() == parquet.Types.Boolean && len(page) >= (present+7)/8:
		for place := range present {
			visit(booleans[page[place/8]>>(place%8)&1])
		}
		return nil
	}
	values, err := splitPlain(c.descriptor, page, present)
	for _, v := range values {
		visit(v)
	}
	return err
}

var booleans = [2][]byte{{0}, {1}}

// order compares values of a column as its statistics do (parquet-format,
// "ColumnOrder").
func order(c *schema.Column) (func(a, b []byte) int, error) {
	if c.SortOrder() != schema.SortSIGNED && c.SortOrder() != schema.SortUNSIGNED {
		return nil, fmt.Errorf("%w: values of %s in no order", ErrUnsupported, c.Path())
	}
	signed := c.SortOrder() == schema.SortSIGNED
	switch c.PhysicalType() {
	case parquet.Types.Boolean:
		return bytes.Compare, nil
	case parquet.Types.Int32:
		if signed {
			return func(a, b []byte) int {
				return cmp.Compare(int32(binary.LittleEndian.Uint32(a)), int32(binary.LittleEndian.Uint32(b)))
			}, nil
		}
	case parquet.Types.Int64:
		if signed {
			return func(a, b []byte) int {
				return cmp.Compare(int64(binary.LittleEndian.Uint64(a)), int64(binary.LittleEndian.Uint64(b)))
			}, nil
		}
	case parquet.Types.ByteArray:
		if !signed {
			return bytes.Compare, nil
		}
	case parquet.Types.FixedLenByteArray:
		if signed { // decimals, in two's complement
			return func(a, b []byte) int {
				if a[0] >= 0x80 != (b[0] >= 0x80) {
					return cmp.Compare(b[0]>>7, a[0]>>7)
				}
				return bytes.Compare(a, b)
			}, nil
		}
		return bytes.Compare, nil
	}
	return nil, fmt.Errorf("%w: order of %s", ErrUnsupported, c.PhysicalType())
}
