package rowdrop

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var errCorrupt = errors.New("corrupt page")

// Kinds of pages and encodings (parquet.thrift, PageType and Encoding).
const (
	pageData       = 0
	pageDictionary = 2

	encodingPlain           = 0
	encodingPlainDictionary = 2
	encodingRLE             = 3
	encodingDictionary      = 8
)

// pageHeader is what is used of one (parquet.thrift, PageHeader).
type pageHeader struct {
	kind                     int32
	uncompressed, compressed int32
	values                   int32
	encoding                 int32
	definition, repetition   int32 // encodings of levels
}

// mostValues bounds the values of a page, before any memory is taken for them.
const mostValues = 1 << 24

// parseHeader reads a page header in Thrift's compact protocol, and returns its
// length.
func parseHeader(from []byte) (pageHeader, int, error) {
	r := &thriftReader{rest: from}
	var h pageHeader
	r.fields(func(id int, kind byte) bool {
		switch {
		case id == 1 && kind == thriftI32:
			h.kind = r.i32()
		case id == 2 && kind == thriftI32:
			h.uncompressed = r.i32()
		case id == 3 && kind == thriftI32:
			h.compressed = r.i32()
		case id == 5 && kind == thriftStruct, id == 7 && kind == thriftStruct:
			r.fields(h.levels(r))
		default:
			return false
		}
		return true
	})
	if r.failed || h.compressed < 0 || h.uncompressed < 0 || h.values < 0 || h.values > mostValues {
		return h, 0, fmt.Errorf("%w: header", errCorrupt)
	}
	return h, len(from) - len(r.rest), nil
}

// levels reads a DataPageHeader, or a DictionaryPageHeader, which begins alike.
func (h *pageHeader) levels(r *thriftReader) func(id int, kind byte) bool {
	return func(id int, kind byte) bool {
		if kind != thriftI32 {
			return false
		}
		switch id {
		case 1:
			h.values = r.i32()
		case 2:
			h.encoding = r.i32()
		case 3:
			h.definition = r.i32()
		case 4:
			h.repetition = r.i32()
		default:
			return false
		}
		return true
	}
}

// appendHeader appends the header of a data page.
func appendHeader(to []byte, h pageHeader) []byte {
	i32 := func(delta byte, v int32) {
		to = binary.AppendUvarint(append(to, delta<<4|thriftI32), uint64(uint32(v<<1^v>>31)))
	}
	i32(1, pageData)
	i32(1, h.uncompressed)
	i32(1, h.compressed)
	to = append(to, 2<<4|thriftStruct) // data_page_header
	i32(1, h.values)
	i32(1, h.encoding)
	i32(1, h.definition)
	i32(1, h.repetition)
	return append(to, 0, 0)
}

// Types of Thrift's compact protocol.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
)

type thriftReader struct {
	rest   []byte
	failed bool
}

// fields visits the fields of a struct; those that read does not take are
// skipped.
func (r *thriftReader) fields(read func(id int, kind byte) bool) {
	id := 0
	for !r.failed {
		head := r.byte()
		if head == 0 {
			return
		}
		if delta := int(head >> 4); delta > 0 {
			id += delta
		} else {
			id = int(r.i32())
		}
		if kind := head & 15; !read(id, kind) {
			r.skip(kind)
		}
	}
}

func (r *thriftReader) byte() byte {
	if len(r.rest) == 0 {
		r.failed = true
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *thriftReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *thriftReader) i32() int32 {
	v := uint32(r.uvarint())
	return int32(v>>1) ^ -int32(v&1)
}

func (r *thriftReader) advance(n uint64) {
	if n > uint64(len(r.rest)) {
		r.failed, r.rest = true, nil
		return
	}
	r.rest = r.rest[n:]
}

func (r *thriftReader) skip(kind byte) {
	switch kind {
	case thriftTrue, thriftFalse:
	case thriftByte:
		r.advance(1)
	case thriftI16, thriftI32, thriftI64:
		r.uvarint()
	case thriftDouble:
		r.advance(8)
	case thriftBinary:
		r.advance(r.uvarint())
	case thriftStruct:
		r.fields(func(int, byte) bool { return false })
	default: // no page header has lists or maps
		r.failed = true
	}
}
