package upstream

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
)

// Batch is rows of a staging model on their way into an operator, and those that it
// refuses.
type Batch struct {
	Rows     arrow.RecordBatch // with change and position columns
	of       record.Batch
	ordinals []int32
	refused  []*record.Reject // by row; nil for those that are not
}

// NewBatch reads a batch, which it does not keep: release what it returns first.
func NewBatch(of record.Batch, mem memory.Allocator) (*Batch, error) {
	rows, err := record.WithPositions(of, mem)
	if err != nil {
		return nil, err
	}
	return &Batch{Rows: rows, of: of, ordinals: of.RowOrdinals(), refused: make([]*record.Reject, rows.NumRows())}, nil
}

// Release releases the rows.
func (b *Batch) Release() { b.Rows.Release() }

// Refuse makes a reject of a row, unless it is one.
func (b *Batch) Refuse(row int, code, column, message string) {
	if b.refused[row] == nil {
		b.refused[row] = &record.Reject{Record: b.of.Records[row], OfRow: true, Row: b.ordinals[row], Code: code, Column: column, Message: message}
	}
}

// IsRefused tells whether a row is a reject.
func (b *Batch) IsRefused(row int) bool { return b.refused[row] != nil }

// Admit takes back that a row is refused.
func (b *Batch) Admit(row int) { b.refused[row] = nil }

// Rejects are the rows that are refused, in their order.
func (b *Batch) Rejects() []record.Reject {
	var out []record.Reject
	for _, r := range b.refused {
		if r != nil {
			out = append(out, *r)
		}
	}
	return out
}

// AppendPosition writes where a row comes from: topic, partition, offset and ordinal,
// which for those of one topic are in the order of the bytes.
func (b *Batch) AppendPosition(to []byte, row int) []byte {
	s := b.of.Source
	to = append(append(to, s.Topic...), 0)
	to = binary.BigEndian.AppendUint32(to, uint32(s.Partition))
	to = binary.BigEndian.AppendUint64(to, uint64(s.Records[b.of.Records[row]].Offset))
	return binary.BigEndian.AppendUint32(to, uint32(b.ordinals[row]))
}
