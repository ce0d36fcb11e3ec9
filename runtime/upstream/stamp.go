package upstream

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// Stamp is the time of a record, and when it was polled, µs since 1970 UTC: the
// columns kafka_timestamp and ingested_at.
type Stamp struct{ Recorded, Ingested int64 }

// NoStamp is that of no record.
var NoStamp = Stamp{record.NoTime, record.NoTime}

// Max is the newest of both times.
func (s Stamp) Max(o Stamp) Stamp {
	return Stamp{max(s.Recorded, o.Recorded), max(s.Ingested, o.Ingested)}
}

// Append writes a stamp: two varints.
func (s Stamp) Append(to []byte) []byte {
	return binary.AppendVarint(binary.AppendVarint(to, s.Recorded), s.Ingested)
}

// LoadStamp reads what Append wrote.
func LoadStamp(r *keyvalue.Reader) Stamp { return Stamp{r.Varint(), r.Varint()} }

// Stamps are those of rows.
type Stamps struct{ recorded, ingested *array.Timestamp }

// NewStamps are those that two columns hold.
func NewStamps(recorded, ingested arrow.Array) Stamps {
	return Stamps{recorded.(*array.Timestamp), ingested.(*array.Timestamp)}
}

// StampsOf finds the columns of rows.
func StampsOf(rows arrow.RecordBatch) (s Stamps, err error) {
	if s.recorded, err = Times(rows, record.ColumnTimestamp); err == nil {
		s.ingested, err = Times(rows, record.ColumnIngestedAt)
	}
	return s, err
}

// Of is the stamp of a row; a null is record.NoTime.
func (s Stamps) Of(row int) Stamp {
	out := NoStamp
	if s.recorded.IsValid(row) {
		out.Recorded = int64(s.recorded.Value(row))
	}
	if s.ingested.IsValid(row) {
		out.Ingested = int64(s.ingested.Value(row))
	}
	return out
}
