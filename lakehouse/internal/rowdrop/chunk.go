package rowdrop

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// chunk takes rows out of one column chunk, and appends it to the body.
type chunk struct {
	*Dropper
	leaf       int
	descriptor *schema.Column
	optional   bool
	pages      []byte
	rows       []int
	min, max   []byte // of the statistics

	begin, dictionaryAt, dataAt int64 // in the body; -1: none
	uncompressed                int64
	nulls                       int64 // that were taken out
	values                      int64 // not null, that stay on pages of which rows went
	emptied                     bool  // a page has gone as a whole
	extreme                     bool  // a value was taken out that is a bound
	dictionary                  [][]byte
}

func (c *chunk) run() error {
	c.begin = int64(len(c.body))
	row, next := 0, 0 // of the row group; of those to drop
	for at := 0; at < len(c.pages); {
		h, n, err := parseHeader(c.pages[at:])
		if err != nil {
			return err
		}
		end := at + n + int(h.compressed)
		if end > len(c.pages) {
			return fmt.Errorf("%w: page of %d bytes", errCorrupt, h.compressed)
		}
		whole, payload := c.pages[at:end], c.pages[at+n:end]
		at = end
		if h.kind == pageDictionary {
			if err := c.readDictionary(h, payload); err != nil {
				return err
			}
			c.dictionaryAt = int64(len(c.body))
			c.copyPage(whole, n, h)
			continue
		}
		if h.kind != pageData {
			return fmt.Errorf("%w: page of kind %d", ErrUnsupported, h.kind)
		}
		first := next
		for next < len(c.rows) && c.rows[next] < row+int(h.values) {
			next++
		}
		c.gone = c.gone[:0]
		for _, r := range c.rows[first:next] {
			c.gone = append(c.gone, r-row)
		}
		row += int(h.values)
		if len(c.gone) == int(h.values) {
			c.emptied = true
		} else if c.dataAt < 0 {
			c.dataAt = int64(len(c.body))
		}
		if len(c.gone) == 0 {
			c.copyPage(whole, n, h)
			continue
		}
		if err := c.page(h, payload); err != nil {
			return err
		}
	}
	if next < len(c.rows) {
		return fmt.Errorf("%w: %d rows, row %d is to be dropped", errCorrupt, row, c.rows[next])
	}
	return nil
}

func (c *chunk) copyPage(whole []byte, header int, h pageHeader) {
	c.body = append(c.body, whole...)
	c.uncompressed += int64(header) + int64(h.uncompressed)
}

// page writes a data page without the rows that are gone.
func (c *chunk) page(h pageHeader, payload []byte) (err error) {
	if c.plain, err = c.codec.decode(c.plain[:0], payload, h.uncompressed); err != nil {
		return err
	}
	c.section = c.section[:0]
	values, gone, present, err := c.takeLevels(h, c.plain)
	if err != nil {
		return err
	}
	c.values += int64(present - len(gone))
	switch h.encoding {
	case encodingPlain:
		err = c.dropPlain(values, gone, present)
	case encodingDictionary, encodingPlainDictionary:
		err = c.dropIndices(values, gone, present)
	default:
		err = fmt.Errorf("%w: encoding %d", ErrUnsupported, h.encoding)
	}
	if err != nil || len(c.gone) == int(h.values) {
		return err
	}
	compressed, err := c.codec.encode(c.leaf, h.encoding, c.section)
	if err != nil {
		return err
	}
	h.values -= int32(len(c.gone))
	h.uncompressed, h.compressed = int32(len(c.section)), int32(len(compressed))
	before := len(c.body)
	c.body = appendHeader(c.body, h)
	c.uncompressed += int64(len(c.body)-before) + int64(h.uncompressed)
	c.body = append(c.body, compressed...)
	return nil
}

// takeLevels writes the definition levels of the rows that stay. It returns the
// values behind them, the places of those that go, and how many there are.
func (c *chunk) takeLevels(h pageHeader, page []byte) (values []byte, gone []int, present int, err error) {
	if !c.optional {
		return page, c.gone, int(h.values), nil
	}
	if len(page) < 4 || h.definition != encodingRLE {
		return nil, nil, 0, fmt.Errorf("%w: definition levels of encoding %d", ErrUnsupported, h.definition)
	}
	size := int(binary.LittleEndian.Uint32(page))
	if size < 0 || 4+size > len(page) {
		return nil, nil, 0, fmt.Errorf("%w: %d bytes of levels", errCorrupt, size)
	}
	if c.levels, err = decodeHybrid(c.levels[:0], page[4:4+size], 1, int(h.values)); err != nil {
		return nil, nil, 0, err
	}
	next, kept := 0, c.levels[:0]
	places := c.gone[:0:0]
	for row, level := range c.levels {
		goes := next < len(c.gone) && c.gone[next] == row
		switch {
		case goes && level == 0:
			c.nulls++
		case goes:
			places = append(places, present)
		}
		present += int(level)
		if goes {
			next++
			continue
		}
		kept = append(kept, level)
	}
	c.section = append(c.section, 0, 0, 0, 0)
	c.section = encodeHybrid(c.section, kept, 1)
	binary.LittleEndian.PutUint32(c.section, uint32(len(c.section)-4))
	return page[4+size:], places, present, nil
}

// leaves notes a value that goes.
func (c *chunk) leaves(value []byte) {
	if bytes.Equal(value, c.min) || bytes.Equal(value, c.max) {
		c.extreme = true
	}
}

func (c *chunk) dropPlain(values []byte, gone []int, present int) error {
	if width := fixedWidth(c.descriptor); width > 0 {
		return c.dropFixed(values, gone, present, width)
	}
	switch c.descriptor.PhysicalType() {
	case parquet.Types.ByteArray:
		return c.dropByteArrays(values, gone, present)
	case parquet.Types.Boolean:
		return c.dropBooleans(values, gone, present)
	}
	return fmt.Errorf("%w: type %s", ErrUnsupported, c.descriptor.PhysicalType())
}

func (c *chunk) dropFixed(values []byte, gone []int, present, width int) error {
	if len(values) != present*width {
		return fmt.Errorf("%w: %d bytes of %d values", errCorrupt, len(values), present)
	}
	from := 0
	for _, place := range gone {
		at := place * width
		c.leaves(values[at : at+width])
		c.section = append(c.section, values[from:at]...)
		from = at + width
	}
	c.section = append(c.section, values[from:]...)
	return nil
}

func (c *chunk) dropByteArrays(values []byte, gone []int, present int) error {
	from, at, place := 0, 0, 0
	for _, g := range gone {
		for ; place <= g; place++ {
			if at+4 > len(values) {
				return fmt.Errorf("%w: %d values, expected %d", errCorrupt, place, present)
			}
			size := 4 + int(binary.LittleEndian.Uint32(values[at:]))
			if size < 4 || at+size > len(values) {
				return fmt.Errorf("%w: value of %d bytes", errCorrupt, size-4)
			}
			if place == g {
				c.leaves(values[at+4 : at+size])
				c.section = append(c.section, values[from:at]...)
				from = at + size
			}
			at += size
		}
	}
	c.section = append(c.section, values[from:]...)
	return nil
}

func (c *chunk) dropBooleans(values []byte, gone []int, present int) error {
	if len(values) < (present+7)/8 {
		return fmt.Errorf("%w: %d bytes of %d booleans", errCorrupt, len(values), present)
	}
	begin := len(c.section)
	c.section = append(c.section, make([]byte, (present-len(gone)+7)/8)...)
	bits := c.section[begin:]
	to, next := 0, 0
	for place := range present {
		value := values[place/8] >> (place % 8) & 1
		if next < len(gone) && gone[next] == place {
			next++
			c.leaves(booleans[value])
			continue
		}
		bits[to/8] |= value << (to % 8)
		to++
	}
	return nil
}

// dropIndices takes out indices into the dictionary.
func (c *chunk) dropIndices(values []byte, gone []int, present int) (err error) {
	if present == 0 {
		c.section = append(c.section, values...)
		return nil
	}
	if len(values) == 0 || values[0] > 32 {
		return fmt.Errorf("%w: indices without a width", errCorrupt)
	}
	width := int(values[0])
	if c.ids, err = decodeHybrid(c.ids[:0], values[1:], width, present); err != nil {
		return err
	}
	next, kept := 0, c.ids[:0]
	for place, id := range c.ids {
		if next < len(gone) && gone[next] == place {
			next++
			if int(id) >= len(c.dictionary) {
				return fmt.Errorf("%w: index %d of a dictionary of %d", errCorrupt, id, len(c.dictionary))
			}
			c.leaves(c.dictionary[id])
			continue
		}
		kept = append(kept, id)
	}
	c.section = encodeHybrid(append(c.section, byte(width)), kept, width)
	return nil
}

// readDictionary splits the values of a dictionary page.
func (c *chunk) readDictionary(h pageHeader, payload []byte) error {
	page, err := c.codec.decode(nil, payload, h.uncompressed)
	if err != nil {
		return err
	}
	c.dictionary, err = splitPlain(c.descriptor, page, int(h.values))
	return err
}

// splitPlain splits values that are encoded PLAIN.
func splitPlain(descriptor *schema.Column, page []byte, count int) ([][]byte, error) {
	values := make([][]byte, 0, count)
	width := fixedWidth(descriptor)
	at := 0
	for range count {
		size := width
		if width == 0 {
			if at+4 > len(page) || descriptor.PhysicalType() != parquet.Types.ByteArray {
				return nil, fmt.Errorf("%w: values of type %s", ErrUnsupported, descriptor.PhysicalType())
			}
			size = int(binary.LittleEndian.Uint32(page[at:]))
			at += 4
		}
		if size < 0 || at+size > len(page) {
			return nil, fmt.Errorf("%w: value of %d bytes", errCorrupt, size)
		}
		values = append(values, page[at:at+size])
		at += size
	}
	return values, nil
}

// fixedWidth is how many bytes a value has, 0 if that differs.
func fixedWidth(c *schema.Column) int {
	switch c.PhysicalType() {
	case parquet.Types.Int32, parquet.Types.Float:
		return 4
	case parquet.Types.Int64, parquet.Types.Double:
		return 8
	case parquet.Types.FixedLenByteArray:
		return c.TypeLength()
	}
	return 0
}
