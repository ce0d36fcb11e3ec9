package decode

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
)

// Decoder makes rows of records. It is safe for concurrent use: partitions are
// decoded side by side.
type Decoder struct {
	format    string
	columns   []column
	schema    *arrow.Schema
	maxRecord int64
	mem       memory.Allocator
	// largestRow bounds the bytes a row can have beyond those of its record:
	// the defaults' lengths.
	largestRow int64
	// rows makes the rows of the records in keep; one per kind of format.
	rows func(d *Decoder, s *record.Slice, keep []int32) (result, error)
	tree *node // what a JSON document's members feed, nil without JSON columns

	unknown atomic.Int64
}

// column is a Column after Compile.
type column struct {
	name     string
	source   source
	value    *valueType
	nullable bool
	fallback *cell // the default, nil if there is none
}

// result is what one format made of the records it was given.
type result struct {
	rows    arrow.RecordBatch
	records []int32
	rejects []record.Reject
}

// Stats counts what a Decoder saw since Compile.
type Stats struct {
	// UnknownFields is the number of members of JSON documents that no column
	// reads: of the document itself, and of objects on the path to a column.
	UnknownFields int64
}

// Compile checks a spec and makes its Decoder. Its errors name the column, what
// was found and what was expected.
func Compile(spec Spec) (*Decoder, error) {
	if err := spec.validate(); err != nil {
		return nil, err
	}
	d := &Decoder{
		format:    spec.Format,
		maxRecord: spec.MaxRecordBytes,
		mem:       spec.Allocator,
		rows:      bytesRows,
	}
	if d.mem == nil {
		d.mem = memory.DefaultAllocator
	}
	if spec.Format == "json" {
		d.rows = jsonRows
	}
	for i, c := range spec.Columns {
		compiled, err := compileColumn(c, spec.Format)
		if err != nil {
			return nil, err
		}
		if compiled.source.kind == sourcePath {
			if d.tree == nil {
				d.tree = &node{}
			}
			d.tree.add(compiled.source.path, i)
		}
		if c.Default != nil {
			d.largestRow += int64(len(*c.Default))
		}
		d.columns = append(d.columns, compiled)
	}
	d.schema = buildSchema(spec.Columns)
	return d, nil
}

func compileColumn(c Column, format string) (column, error) {
	src, err := c.source(format)
	if err != nil {
		return column{}, err
	}
	if c.Type == nil {
		return column{}, fmt.Errorf("column %q: no data_type", c.Name)
	}
	if src.bytesSource() && c.Encoding != "" {
		return column{}, fmt.Errorf("column %q: encoding %q: a column of %s takes no encoding", c.Name, c.Encoding, src)
	}
	value, err := compileType(c.Type, c.Encoding)
	if err != nil {
		return column{}, fmt.Errorf("column %q: %w", c.Name, err)
	}
	if src.bytesSource() && value.kind != kindString && value.kind != kindBinary {
		return column{}, fmt.Errorf("column %q: data_type %s cannot be read from %s; use string or binary", c.Name, record.FormatType(c.Type), src)
	}
	compiled := column{name: c.Name, source: src, value: value, nullable: c.Nullable}
	if c.Default == nil {
		return compiled, nil
	}
	if compiled.fallback, err = parseDefault(c, src); err != nil {
		return column{}, fmt.Errorf("column %q: default %q: %w", c.Name, *c.Default, err)
	}
	return compiled, nil
}

// Schema is the schema of every batch, in the order of the columns.
func (d *Decoder) Schema() *arrow.Schema { return d.schema }

// Stats returns the counts so far.
func (d *Decoder) Stats() Stats { return Stats{UnknownFields: d.unknown.Load()} }

// Decode makes rows of a slice's records. Rejects are in the order of the
// records, at most one for a record. The batch is never without Rows, though
// they may number zero; it holds copies, so that the slice's memory may be
// released while the batch lives. The caller releases the batch.
//
// An error means that no row and no reject was made: the slice is larger than
// Arrow's 32-bit offsets allow, or Calve has a bug.
func (d *Decoder) Decode(s *record.Slice) (record.Batch, []record.Reject, error) {
	keep, rejects, size := d.admit(s)
	if size+int64(len(keep))*d.largestRow > math.MaxInt32 {
		return record.Batch{}, nil, fmt.Errorf("decode %s from offset %d: %d bytes in one batch are more than a column can hold (2 GiB); poll fewer records at once", s.TopicPartition, s.From, size)
	}
	made, err := d.rows(d, s, keep)
	if err != nil {
		return record.Batch{}, nil, fmt.Errorf("decode %s from offset %d: %w", s.TopicPartition, s.From, err)
	}
	rejects = append(rejects, made.rejects...)
	slices.SortFunc(rejects, func(a, b record.Reject) int { return cmp.Compare(a.Record, b.Record) })
	if len(made.records)+len(rejects) != len(s.Records) {
		made.rows.Release()
		return record.Batch{}, nil, fmt.Errorf("BUG: decode %s: %d records made %d rows and %d rejects (invariant 6)", s.TopicPartition, len(s.Records), len(made.records), len(rejects))
	}
	return record.Batch{Rows: made.rows, Records: made.records, Source: s}, rejects, nil
}

// admit rejects what no format could read, and returns the rest's indexes and
// their size in bytes.
func (d *Decoder) admit(s *record.Slice) (keep []int32, rejects []record.Reject, size int64) {
	needsValue := d.readsValue()
	keep = make([]int32, 0, len(s.Records))
	for i := range s.Records {
		r := &s.Records[i]
		n := int64(len(r.Key) + len(r.Value))
		switch {
		case d.maxRecord > 0 && n > d.maxRecord:
			rejects = append(rejects, record.Reject{Record: int32(i), Code: record.CodeTooLarge,
				Message: fmt.Sprintf("the record has %d bytes of key and value, expected at most %d (max_record_bytes)", n, d.maxRecord)})
		case r.Value == nil && needsValue:
			rejects = append(rejects, record.Reject{Record: int32(i), Code: record.CodeTombstone,
				Message: fmt.Sprintf("the record has no value (a tombstone), expected %s", formatNouns[d.format])})
		default:
			keep = append(keep, int32(i))
			for _, h := range r.Headers {
				n += int64(len(h.Value))
			}
			size += n
		}
	}
	return keep, rejects, size
}

var formatNouns = map[string]string{"json": "a JSON object", "text": "text", "bytes": "bytes"}

// readsValue tells whether a record without a value cannot become a row.
func (d *Decoder) readsValue() bool {
	for _, c := range d.columns {
		switch c.source.kind {
		case sourcePath:
			return true
		case sourceValue:
			if c.fallback == nil && !c.nullable {
				return true
			}
		}
	}
	return false
}

// String names the source as the project files do.
func (s source) String() string {
	switch s.kind {
	case sourceKey:
		return fromKey
	case sourceHeader:
		return fromHeader + s.header
	case sourcePath:
		return "the document"
	}
	return fromValue
}

// bytesOf returns the source's bytes in a record; nil if there are none.
func (s source) bytesOf(r *record.Record) []byte {
	switch s.kind {
	case sourceKey:
		return r.Key
	case sourceHeader:
		for i := len(r.Headers) - 1; i >= 0; i-- {
			if r.Headers[i].Key == s.header {
				return r.Headers[i].Value
			}
		}
		return nil
	}
	return r.Value
}
