package record

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
)

// Op is what happened to a row of a keyed model.
type Op byte

// The values are the letters that change streams of databases use (Debezium).
const (
	OpCreate Op = 'c'
	OpUpdate Op = 'u'
	OpDelete Op = 'd'
)

func (o Op) String() string { return string(rune(o)) }

// Reason codes of rows that an operator of a keyed model does not take.
const (
	// CodeLate: the row's event time is farther behind the watermark than the
	// model allows.
	CodeLate = "late"
	// CodeLateChange: the row changes a member of a dimension before changes that
	// are known, farther behind the watermark than late_changes allows.
	CodeLateChange = "late_change"
	// CodeNullEventTime: the row has no event time.
	CodeNullEventTime = "null_event_time"
	// CodeNullKey: a part of the row's key is null.
	CodeNullKey = "null_key"
)

// Changelog is what one epoch changed in the rows of a keyed model: at most one
// change a key. The order of the changes has no meaning.
//
// Rows has the columns of the model's table and a row for each of Ops: the row
// as it is after a create or an update, and for a delete as it was last.
type Changelog struct {
	Ops  []Op
	Rows arrow.RecordBatch // nil if nothing changed
}

// Len is the number of changes.
func (c Changelog) Len() int { return len(c.Ops) }

// Check tells whether rows and operations belong together.
func (c Changelog) Check() error {
	rows := int64(0)
	if c.Rows != nil {
		rows = c.Rows.NumRows()
	}
	if rows != int64(len(c.Ops)) {
		return fmt.Errorf("BUG: changelog has %d operations and %d rows", len(c.Ops), rows)
	}
	for _, op := range c.Ops {
		if op != OpCreate && op != OpUpdate && op != OpDelete {
			return fmt.Errorf("BUG: changelog has operation %q", byte(op))
		}
	}
	return nil
}

// Release releases the rows.
func (c Changelog) Release() {
	if c.Rows != nil {
		c.Rows.Release()
	}
}
