package decode

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/decode/internal/debezium"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/record"
)

// format is what Compile knows of a format.
type format struct {
	name    string
	noun    string        // what a record's value is, for messages
	fields  bool          // values have fields: a column reads the one of its name
	wire    bool          // values begin with the wire format of a schema registry
	changes bool          // values are change events of Debezium
	schema  registry.Type // of the schema that a value is read with; "" if it describes itself
}

var formats = []format{
	{name: "json", noun: "a JSON object", fields: true},
	{name: "confluent-json", noun: "a JSON object behind a schema id", fields: true, wire: true},
	{name: "text", noun: "text"},
	{name: "bytes", noun: "bytes"},
	{name: "avro", noun: "a record of Avro behind a schema id", fields: true, wire: true, schema: registry.Avro},
	{name: "protobuf", noun: "a message of Protobuf behind a schema id", fields: true, wire: true, schema: registry.Protobuf},
	{name: "debezium-json", noun: "a change event", fields: true, changes: true},
	{name: "debezium-avro", noun: "a change event behind a schema id", fields: true, wire: true, changes: true, schema: registry.Avro},
}

// Formats lists the formats that Compile knows.
var Formats = formatNames()

func formatNames() []string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.name
	}
	return names
}

func findFormat(name string) (format, bool) {
	for _, f := range formats {
		if f.name == name {
			return f, true
		}
	}
	return format{}, false
}

// rowReader makes rows of records, one after the other, for one batch.
type rowReader interface {
	// read writes the rows of a record and ends each (rows.next), counts it as
	// filtered, or says why it is rejected; then nothing of it is left in rows.
	// An error stops the batch.
	read(ctx context.Context, index int32, r *record.Record, rows *rows) (*record.Reject, error)
	// end tells which columns the records that were read ask for, nil for none,
	// and gives back what can be used for another batch.
	end(rows *rows) (*ChangeError, error)
}

// rows are the rows of a batch in the making.
type rows struct {
	set      *vector.Set
	changes  *vector.Set // record.ChangeFields of each row; nil unless the format has them
	records  []int32     // the record of each row
	kept     int         // records with at least one row
	filtered int         // records that are meant to give none
	unknown  int64       // fields that no column reads, of records with rows
	large    bool        // a column may overflow

	truncations []record.Truncation // those that were filtered
}

// next ends the present row, which is one of record index's.
func (r *rows) next(index int32) {
	if n := len(r.records); n == 0 || r.records[n-1] != index {
		r.kept++
	}
	r.records = append(r.records, index)
	r.set.Next()
	if r.changes != nil {
		r.changes.Next()
	}
}

// truncate filters a change event that says that its table was truncated, or
// refuses to go on.
func (r *rows) truncate(d *Decoder, index int32, source *debezium.Source) error {
	if !d.ignoresTruncations {
		return &TruncateError{Table: source.Name()}
	}
	r.filtered++
	r.truncations = append(r.truncations, record.Truncation{Record: index, Table: source.Name()})
	return nil
}

// undo forgets the rows of the record that is being read, the first of which is
// row.
func (r *rows) undo(row int) {
	if len(r.records) > row {
		r.kept--
	}
	r.records = r.records[:row]
	r.set.Truncate(row)
	if r.changes != nil {
		r.changes.Truncate(row)
	}
}

// largeBatch is the size in bytes of a batch's records and defaults from which
// on each row is looked at. What columns hold that is of neither, names of enums
// and the like, is bounded where it is made, and no other text is 64 times as
// long as what it was made of.
const largeBatch = math.MaxInt32 / 64

// overflows tells whether a column holds more than its 32-bit offsets can say.
// A row that did it must be undone.
func (r *rows) overflows() bool {
	for _, v := range r.set.Columns {
		if len(v.Data) > math.MaxInt32 {
			return true
		}
	}
	return false
}

// sizes are the bytes a row had in each string column so far, for making room.
type sizes struct{ perRow []atomic.Int64 }

func newSizes(schema *arrow.Schema) *sizes {
	return &sizes{perRow: make([]atomic.Int64, schema.NumFields())}
}

// reserve makes room in string columns for rows like those before, and an
// eighth more.
func (z *sizes) reserve(set *vector.Set, rows int) {
	for i, v := range set.Columns {
		if v.Kind != vector.String && v.Kind != vector.Binary {
			continue
		}
		if n := int(z.perRow[i].Load()) * rows; n > cap(v.Data) {
			v.Data = vector.Room(n + n/8 + 64)
		}
	}
}

func (z *sizes) learn(set *vector.Set) {
	if set.Row == 0 {
		return
	}
	for i, v := range set.Columns {
		if v.Kind == vector.String || v.Kind == vector.Binary {
			z.perRow[i].Store(int64((len(v.Data) + set.Row - 1) / set.Row))
		}
	}
}

// readRows makes the rows of records by a rowReader.
func readRows(ctx context.Context, d *Decoder, s *record.Slice, a admitted) (result, error) {
	keep := a.keep
	made := &rows{records: make([]int32, 0, len(keep)), large: a.size+int64(len(keep))*d.largestRow >= largeBatch}
	var err error
	if made.set, err = d.sets.Set(len(keep) + 1); err != nil {
		return result{}, err
	}
	d.sizes.reserve(made.set, len(keep))
	if d.format.changes {
		if made.changes, err = d.changes.Set(len(keep) + 1); err != nil {
			return result{}, err
		}
	}
	reader := d.open()
	out := result{}
	for _, index := range keep {
		r := &s.Records[index]
		reject, err := reader.read(ctx, index, r, made)
		if err != nil {
			return result{}, fmt.Errorf("offset %d: %w", r.Offset, err)
		}
		if reject != nil {
			reject.Record = index
			out.rejects = append(out.rejects, *reject)
		}
	}
	change, err := reader.end(made)
	if err != nil {
		return result{}, err
	}
	if change != nil {
		return result{}, change
	}
	if made.overflows() {
		return result{}, errTooMuchText
	}
	d.sizes.learn(made.set)
	d.unknown.Add(made.unknown)
	out.truncations = made.truncations
	out.rows, out.records, out.filtered, out.kept = made.set.Batch(), made.records, made.filtered, made.kept
	if made.changes != nil {
		out.changes = made.changes.Batch()
	}
	return out, nil
}

var changeSchema = arrow.NewSchema(record.ChangeFields(), nil)
