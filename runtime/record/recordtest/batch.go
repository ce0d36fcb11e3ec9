package recordtest

import (
	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record"
)

// Row is a row of a staging model: its columns in order, and where it comes from.
type Row struct {
	Values  []any
	Changes []any // of record.ChangeFields, nil without
	Topic   string
	Offset  int64
}

// Ingested is when all batches were polled, µs since 1970 UTC.
const Ingested = 5000

// RecordedAt is the time of the record at an offset.
func RecordedAt(offset int64) int64 { return 1000 + offset }

// Batch makes a batch of rows of one topic, each of which is a record. recordedAt is
// the time of the record at an offset.
func Batch(fields []arrow.Field, rows []Row, recordedAt func(offset int64) int64) record.Batch {
	out := record.Batch{Source: &record.Slice{TopicPartition: record.TopicPartition{Topic: rows[0].Topic}, IngestedAt: Ingested}}
	var values, changes [][]any
	for i, r := range rows {
		values = append(values, r.Values)
		if r.Changes != nil {
			changes = append(changes, r.Changes)
		}
		out.Records = append(out.Records, int32(i))
		out.Source.Records = append(out.Source.Records, record.Record{Offset: r.Offset, Timestamp: recordedAt(r.Offset)})
	}
	out.Rows = Rows(fields, values)
	if changes != nil {
		out.Changes = Rows(record.ChangeFields(), changes)
	}
	return out
}

// Runs cuts rows into those that a batch can have: of one topic, in the order of
// their offsets.
func Runs(rows []Row) (runs [][]Row) {
	from := 0
	for i := range rows {
		if end := i + 1; end == len(rows) || rows[end].Topic != rows[i].Topic || rows[end].Offset <= rows[i].Offset {
			runs, from = append(runs, rows[from:end]), end
		}
	}
	return runs
}

// Change is a change of a row of a keyed model: its columns in order.
type Change struct {
	Op     record.Op
	Values []any
}

// Changelog makes a changelog, which the caller releases.
func Changelog(fields []arrow.Field, changes []Change) record.Changelog {
	log := record.Changelog{}
	var rows [][]any
	for _, c := range changes {
		log.Ops, rows = append(log.Ops, c.Op), append(rows, c.Values)
	}
	log.Rows = Rows(fields, rows)
	return log
}
