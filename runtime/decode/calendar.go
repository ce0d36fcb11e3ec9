package decode

import (
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record"
)

// The calendar of every warehouse: years 0001 to 9999. A date or timestamp
// beyond it is no value that a table should hold, whatever the format: most
// often a number in another unit than its encoding says.
var (
	firstMicro = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	lastMicro  = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro() - 1
	firstDay   = int32(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix() / 86_400)
	lastDay    = int32(time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC).Unix() / 86_400)
)

// withinCalendar rejects the records that have a date or timestamp beyond the
// calendar, at any depth. Columns without one pass at the speed of a comparison
// a value.
func (d *Decoder) withinCalendar(b record.Batch) (record.Batch, []record.Reject, error) {
	var rejects []record.Reject
	beyond := map[int32]bool{} // records
	check := func(rows arrow.RecordBatch) {
		for i, c := range rows.Columns() {
			eachBeyond(c, func(row int) {
				if index := b.Records[row]; !beyond[index] {
					beyond[index] = true
					rejects = append(rejects, record.Reject{Record: index, Code: record.CodeType, Column: rows.ColumnName(i),
						Message: fmt.Sprintf("column %s: found a date or time outside the years 0001 to 9999, which warehouses cannot read; is it in the unit that the column's encoding says?", rows.ColumnName(i))})
				}
			})
		}
	}
	check(b.Rows)
	if b.Changes != nil {
		check(b.Changes)
	}
	if len(rejects) == 0 {
		return b, nil, nil
	}
	defer b.Release()
	var keep []int
	for row, index := range b.Records {
		if !beyond[index] {
			keep = append(keep, row)
		}
	}
	kept, err := b.Select(keep, d.mem)
	return kept, rejects, err
}

// eachBeyond visits the rows of an array that hold a value beyond the calendar;
// a row may be visited again.
func eachBeyond(a arrow.Array, visit func(row int)) {
	switch a := a.(type) {
	case *array.Timestamp:
		for row, v := range a.TimestampValues() {
			if (int64(v) < firstMicro || int64(v) > lastMicro) && a.IsValid(row) {
				visit(row)
			}
		}
	case *array.Date32:
		for row, v := range a.Date32Values() {
			if (int32(v) < firstDay || int32(v) > lastDay) && a.IsValid(row) {
				visit(row)
			}
		}
	case *array.Struct:
		for i := range a.NumField() {
			eachBeyond(a.Field(i), visit)
		}
	case *array.Map:
		offsets := a.Offsets()
		eachBeyond(a.Keys(), func(row int) { visit(parentRow(offsets, row)) })
		eachBeyond(a.Items(), func(row int) { visit(parentRow(offsets, row)) })
	case *array.List:
		offsets := a.Offsets()
		eachBeyond(a.ListValues(), func(row int) { visit(parentRow(offsets, row)) })
	}
}

// parentRow is the row of a list that holds an element.
func parentRow(offsets []int32, element int) int {
	row, exact := slices.BinarySearch(offsets, int32(element))
	for exact && row+1 < len(offsets) && offsets[row+1] == int32(element) {
		row++ // behind empty lists
	}
	if exact {
		return row
	}
	return row - 1
}
