package lakehouse

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/calvelake/calve/runtime/record"
)

// Check names what a counter-example contradicts.
type Check string

// The checks of Verify, in the order in which their counter-examples are told:
// a wrong audit table explains what follows from it.
const (
	CheckMissingTable  Check = "missing table"       // a table that an epoch wrote is not there
	CheckMissingFile   Check = "missing data file"   // a snapshot names a file that is not there
	CheckAuditRow      Check = "audit row"           // an audit row contradicts itself
	CheckSource        Check = "source identity"     // another cluster or topic of the same name (invariant 12)
	CheckAuditOverlap  Check = "audit overlap"       // offsets taken by two epochs
	CheckAuditGap      Check = "audit gap"           // offsets taken by none
	CheckEpochOrder    Check = "epoch order"         // later offsets in an earlier epoch
	CheckUnaccounted   Check = "row of no epoch"     // outside of what the model read, or without a position
	CheckLostRow       Check = "row of a lost range" // within an accepted loss
	CheckDuplicateRow  Check = "duplicate row"       // (position, kafka_row) twice
	CheckNullKey       Check = "null key"            // in a keyed table
	CheckDuplicateKey  Check = "duplicate key"       // likewise: two rows of one key
	CheckLetter        Check = "dead letter"         // of no epoch, or its id is not that of its position
	CheckDuplicateDead Check = "duplicate dead letter"
	CheckUnresolved    Check = "row of a dead letter" // a row of what was refused, and no resolution says that it was replayed
	CheckResolution    Check = "resolution"           // of no letter, the second of one, or replayed without a row
	CheckReplay        Check = "replay"               // its audit row is not what the tables hold
	CheckWithRows      Check = "records with rows"    // fewer or more than the audit row says
	CheckRows          Check = "rows"                 // likewise
	CheckDead          Check = "dead records"         // likewise
	CheckLetters       Check = "dead letters"         // likewise
	CheckProgress      Check = "epoch of the table"   // not the last that touched it
)

var checkOrder = []Check{
	CheckMissingTable, CheckMissingFile, CheckAuditRow, CheckSource, CheckAuditOverlap, CheckAuditGap, CheckEpochOrder,
	CheckUnaccounted, CheckLostRow, CheckDuplicateRow, CheckNullKey, CheckDuplicateKey, CheckLetter, CheckDuplicateDead,
	CheckUnresolved, CheckResolution, CheckReplay,
	CheckWithRows, CheckRows, CheckDead, CheckLetters, CheckProgress,
}

// CounterExample is one place where a lake is not what it must be.
type CounterExample struct {
	Check    Check     `json:"check"`
	Model    string    `json:"model,omitempty"`
	Table    string    `json:"table,omitempty"`
	Epoch    int64     `json:"epoch,omitempty"` // 0 if none in particular
	At       *RowPlace `json:"at,omitempty"`    // nil where it is a matter of the whole table
	Expected string    `json:"expected"`
	Found    string    `json:"found"`
	Count    int64     `json:"count"` // how many of this check, model and table
}

// RowPlace is where a row came from.
type RowPlace struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Row       int32  `json:"row"` // kafka_row
}

func (p RowPlace) compare(other RowPlace) int {
	return cmp.Or(cmp.Compare(p.Topic, other.Topic), cmp.Compare(p.Partition, other.Partition),
		cmp.Compare(p.Offset, other.Offset), cmp.Compare(p.Row, other.Row))
}

// String names the place, what was expected there and what was found.
func (c CounterExample) String() string {
	var b strings.Builder
	b.WriteString(string(c.Check))
	for _, part := range []struct{ word, value string }{{"model", c.Model}, {"table", c.Table}} {
		if part.value != "" {
			fmt.Fprintf(&b, ", %s %s", part.word, part.value)
		}
	}
	if c.At != nil {
		fmt.Fprintf(&b, ", topic %s partition %d offset %d row %d", c.At.Topic, c.At.Partition, c.At.Offset, c.At.Row)
	}
	if c.Epoch != 0 {
		fmt.Fprintf(&b, ", epoch %d", c.Epoch)
	}
	fmt.Fprintf(&b, ": expected %s, found %s", c.Expected, c.Found)
	if c.Count > 1 {
		fmt.Fprintf(&b, " (and %d more of this kind)", c.Count-1)
	}
	return b.String()
}

// finding is where a check fails.
type finding struct {
	check Check
	model string
	table string
	epoch int64
	at    *RowPlace
}

type findingKey struct {
	check        Check
	model, table string
}

// note counts a counter-example, and keeps the first of its kind by position.
func (v *verifier) note(f finding, expected, found string) {
	if first := v.count(f); first != nil {
		first.Expected, first.Found = expected, found
	}
}

// count is note for scans of many rows: the caller renders what was expected
// and found only if a counter-example to fill in is returned.
func (v *verifier) count(f finding) *CounterExample {
	key := findingKey{f.check, f.model, f.table}
	c := v.found[key]
	if c == nil {
		c = &CounterExample{Check: f.check, Model: f.model, Table: f.table}
		v.found[key] = c
	}
	c.Count++
	if c.Count > 1 && (f.at == nil || c.At == nil || f.at.compare(*c.At) >= 0) {
		return nil
	}
	c.Epoch, c.At = f.epoch, f.at
	if f.at != nil {
		at := *f.at
		at.Topic = strings.Clone(at.Topic) // of a batch that is released
		c.At = &at
	}
	return c
}

func (v *verifier) counterExamples() []CounterExample {
	all := make([]CounterExample, 0, len(v.found))
	for _, c := range v.found {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b CounterExample) int {
		return cmp.Or(cmp.Compare(slices.Index(checkOrder, a.Check), slices.Index(checkOrder, b.Check)),
			cmp.Compare(a.Model, b.Model), cmp.Compare(a.Table, b.Table))
	})
	return all
}

func placeOf(tp record.TopicPartition, offset int64) *RowPlace {
	return &RowPlace{Topic: tp.Topic, Partition: tp.Partition, Offset: offset}
}
