package decode

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/record"
)

// Decoder makes rows of records. It is safe for concurrent use: partitions are
// decoded side by side.
type Decoder struct {
	format    format
	columns   []column
	ofBytes   []int // columns that read bytes of records rather than fields
	schema    *arrow.Schema
	maxRecord int64
	mem       memory.Allocator
	// ignoresTruncations filters truncations rather than stopping.
	ignoresTruncations bool
	// largestRow bounds the bytes a row can have beyond those of its record:
	// the defaults' lengths.
	largestRow int64
	// rows makes the rows of the records that were admitted; one per kind of
	// format.
	rows func(ctx context.Context, d *Decoder, s *record.Slice, a admitted) (result, error)
	// open makes the reader of a batch, for formats that are read by rows.
	open    func() rowReader
	sizes   *sizes
	sets    *vector.Pool // of schema
	changes *vector.Pool // of changeSchema

	unknown atomic.Int64
}

// result is what one format made of the records it was given.
type result struct {
	rows     arrow.RecordBatch
	changes  arrow.RecordBatch
	records  []int32 // the record of each row
	kept     int     // records with at least one row
	filtered int     // records that are meant to give none
	rejects  []record.Reject
	// truncations are among the filtered.
	truncations []record.Truncation
}

// Stats counts what a Decoder saw since Compile.
type Stats struct {
	// UnknownFields is the number of fields that no column reads, in records
	// that gave rows: members of a JSON document, of objects on the path to a
	// column, and of objects that a struct column reads. What was written with a
	// schema does not count: the schema is known.
	UnknownFields int64
}

// Compile checks a spec and makes its Decoder. Its errors name the column, what
// was found and what was expected.
func Compile(spec Spec) (*Decoder, error) {
	if err := spec.validate(); err != nil {
		return nil, err
	}
	f, _ := findFormat(spec.Format)
	d := &Decoder{
		format:    f,
		maxRecord: spec.MaxRecordBytes,
		mem:       spec.Allocator,

		ignoresTruncations: spec.IgnoreTruncations,
	}
	if d.mem == nil {
		d.mem = memory.DefaultAllocator
	}
	for _, c := range spec.Columns {
		compiled, err := compileColumn(c, f)
		if err != nil {
			return nil, err
		}
		if c.Default != nil {
			d.largestRow += int64(len(*c.Default))
		}
		if compiled.source.isBytes() {
			d.ofBytes = append(d.ofBytes, len(d.columns))
		}
		d.columns = append(d.columns, compiled)
	}
	d.schema = buildSchema(spec.Columns)
	d.sizes = newSizes(d.schema)
	d.sets, d.changes = vector.NewPool(d.schema), vector.NewPool(changeSchema)
	if !f.fields {
		d.rows = bytesRows
		return d, nil
	}
	d.rows = readRows
	var err error
	switch f.schema {
	case registry.Avro:
		d.open, err = compileRegistered(d, spec, avroLanguage)
	case registry.Protobuf:
		d.open, err = compileRegistered(d, spec, protobufLanguage)
	default:
		d.open, err = compileJSON(d, spec)
	}
	return d, err
}

// Schema is the schema of every batch, in the order of the columns.
func (d *Decoder) Schema() *arrow.Schema { return d.schema }

// Stats returns the counts so far.
func (d *Decoder) Stats() Stats { return Stats{UnknownFields: d.unknown.Load()} }

// Decode makes rows of a slice's records. Rejects are in the order of the
// records, at most one for a record. The batch is never without Rows, though
// they may number zero; it holds copies, so that the slice's memory may be
// released while the batch lives. The caller releases the batch, after which its
// memory is written again: a string of an array is a view of it, and is to be
// copied by who keeps it longer. A batch that is not released is left to the
// garbage collector.
//
// An error means that no row and no reject was made: a ChangeError; a
// *TruncateError; the schema registry could not be asked; the slice is larger
// than Arrow's 32-bit offsets allow; or Calve has a bug.
func (d *Decoder) Decode(ctx context.Context, s *record.Slice) (record.Batch, []record.Reject, error) {
	admitted := d.admit(s)
	if d.format.changes {
		admitted.size *= largestGrowth
	}
	if admitted.size+int64(len(admitted.keep))*d.largestRow > math.MaxInt32 {
		return record.Batch{}, nil, fmt.Errorf("decode %s from offset %d: %d bytes in one batch are more than a column can hold (2 GiB); poll fewer records at once", s.TopicPartition, s.From, admitted.size)
	}
	made, err := d.rows(ctx, d, s, admitted)
	if err != nil {
		return record.Batch{}, nil, fmt.Errorf("decode %s from offset %d: %w", s.TopicPartition, s.From, err)
	}
	batch := record.Batch{Rows: made.rows, Records: made.records, Changes: made.changes, Source: s}
	rejects := append(admitted.rejects, made.rejects...)
	slices.SortFunc(rejects, func(a, b record.Reject) int { return cmp.Compare(a.Record, b.Record) })
	filtered := admitted.filtered + made.filtered
	if made.kept+len(rejects)+filtered != len(s.Records) {
		batch.Release()
		return record.Batch{}, nil, fmt.Errorf("BUG: decode %s: %d records made rows of %d records, %d rejects and %d filtered (invariant 6)", s.TopicPartition, len(s.Records), made.kept, len(rejects), filtered)
	}
	batch, beyond, err := d.withinCalendar(batch)
	if err != nil {
		return record.Batch{}, nil, fmt.Errorf("decode %s from offset %d: %w", s.TopicPartition, s.From, err)
	}
	batch.Truncations = made.truncations
	if len(beyond) > 0 {
		rejects = append(rejects, beyond...)
		slices.SortFunc(rejects, func(a, b record.Reject) int { return cmp.Compare(a.Record, b.Record) })
	}
	return batch, rejects, nil
}

// largestGrowth bounds what change events grow by in a column: one may give two
// rows, and a number of milliseconds in extended JSON becomes a time's text.
const largestGrowth = 4

// admitted are the records that a format gets to read.
type admitted struct {
	keep     []int32
	rejects  []record.Reject
	filtered int
	size     int64 // in bytes
}

// admit rejects what no format could read.
func (d *Decoder) admit(s *record.Slice) admitted {
	needsValue := d.readsValue()
	a := admitted{keep: make([]int32, 0, len(s.Records))}
	for i := range s.Records {
		r := &s.Records[i]
		n := int64(len(r.Key) + len(r.Value))
		switch {
		case d.maxRecord > 0 && n > d.maxRecord:
			a.rejects = append(a.rejects, record.Reject{Record: int32(i), Code: record.CodeTooLarge,
				Message: fmt.Sprintf("the record has %d bytes of key and value, expected at most %d (max_record_bytes)", n, d.maxRecord)})
		case r.Value == nil && d.format.changes:
			a.filtered++ // a tombstone follows a delete, for compacted topics
		case r.Value == nil && needsValue:
			a.rejects = append(a.rejects, record.Reject{Record: int32(i), Code: record.CodeTombstone,
				Message: fmt.Sprintf("the record has no value (a tombstone), expected %s", d.format.noun)})
		default:
			a.keep = append(a.keep, int32(i))
			for _, h := range r.Headers {
				n += int64(len(h.Value))
			}
			a.size += n
		}
	}
	return a
}

// readsValue tells whether a record without a value cannot become a row.
func (d *Decoder) readsValue() bool {
	for i := range d.columns {
		c := &d.columns[i]
		switch c.source.kind {
		case sourcePath, sourceRest:
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
	case sourceRest:
		return fromRest
	case sourceEnvelope:
		return fromEnvelope + strings.Join(s.path, ".")
	case sourceKeyPath:
		return fromKey + "." + strings.Join(s.path, ".")
	}
	return fromValue
}

// describe names the source by what is read there.
func (s source) describe() string {
	if s.kind == sourcePath {
		return "field " + strings.Join(s.path, ".")
	}
	return s.String()
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
