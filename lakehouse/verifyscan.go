package lakehouse

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go/table"
)

// scan reads columns of a table, file by file in the order in which they were
// committed, so that whoever counts offsets sees them nearly in order. The
// batch that visit gets is valid until it returns.
func scan(ctx context.Context, tbl *table.Table, columns []string, visit func(*columnReader) error) error {
	tasks, err := plannedFiles(ctx, tbl)
	if err != nil {
		return err
	}
	return scanFiles(ctx, tbl, tasks, columns, visit)
}

// plannedFiles are the data files of a table, in the order in which they were
// committed.
func plannedFiles(ctx context.Context, tbl *table.Table) ([]table.FileScanTask, error) {
	tasks, err := tbl.Scan().PlanFiles(ctx)
	if err != nil {
		return nil, fmt.Errorf("plan scan of %v: %w", tbl.Identifier(), err)
	}
	slices.SortFunc(tasks, func(a, b table.FileScanTask) int {
		return cmp.Or(cmp.Compare(sequenceOf(a), sequenceOf(b)), cmp.Compare(a.File.FilePath(), b.File.FilePath()))
	})
	return tasks, nil
}

// scanRows is how many rows are decoded at once: enough to decode fast, few
// enough for rows of some kB.
const scanRows = 16 << 10

// scanFiles reads columns of some files; no columns are all of them.
func scanFiles(ctx context.Context, tbl *table.Table, tasks []table.FileScanTask, columns []string, visit func(*columnReader) error) error {
	options := []table.ScanOption{table.WithArrowBatchSize(scanRows)}
	if len(columns) > 0 {
		options = append(options, table.WithSelectedFields(columns...))
	}
	if err := readTasks(ctx, tbl.Scan(options...), tasks, visit); err != nil {
		return fmt.Errorf("scan %v: %w", tbl.Identifier(), err)
	}
	return nil
}

// readTasks reads what a scan selects of some files.
func readTasks(ctx context.Context, scan *table.Scan, tasks []table.FileScanTask, visit func(*columnReader) error) error {
	ctx, cancel := context.WithCancel(ctx) // a visit that fails leaves readers behind
	defer cancel()
	_, batches, err := scan.ReadTasks(ctx, tasks)
	if err != nil {
		return err
	}
	for batch, err := range batches {
		if err != nil {
			return err
		}
		r := &columnReader{batch: batch}
		err = visit(r)
		batch.Release()
		if err = cmp.Or(r.err, err); err != nil {
			return err
		}
	}
	return nil
}

func sequenceOf(task table.FileScanTask) int64 {
	if task.DataSequenceNumber == nil {
		return 0
	}
	return *task.DataSequenceNumber
}

// columnReader finds the columns of a batch by name. The first one that is
// absent or of another type is kept in err; what is returned for it is empty,
// so err must be looked at before rows are.
type columnReader struct {
	batch arrow.RecordBatch
	err   error
}

func columnOf[T arrow.Array](r *columnReader, name string) T {
	var none T
	indices := r.batch.Schema().FieldIndices(name)
	if len(indices) != 1 {
		r.err = cmp.Or(r.err, fmt.Errorf("%d columns %s, expected 1", len(indices), name))
		return none
	}
	column, ok := r.batch.Column(indices[0]).(T)
	if !ok {
		r.err = cmp.Or(r.err, fmt.Errorf("column %s is a %s", name, r.batch.Column(indices[0]).DataType()))
		return none
	}
	return column
}

func (r *columnReader) int64s(name string) *array.Int64    { return columnOf[*array.Int64](r, name) }
func (r *columnReader) int32s(name string) *array.Int32    { return columnOf[*array.Int32](r, name) }
func (r *columnReader) strings(name string) *array.String  { return columnOf[*array.String](r, name) }
func (r *columnReader) lists(name string) *array.List      { return columnOf[*array.List](r, name) }
func (r *columnReader) binaries(name string) *array.Binary { return columnOf[*array.Binary](r, name) }
func (r *columnReader) times(name string) *array.Timestamp {
	return columnOf[*array.Timestamp](r, name)
}

// micros reads an optional timestamp in µs.
func micros(column *array.Timestamp, i int) *int64 {
	if column.IsNull(i) {
		return nil
	}
	unit := column.DataType().(*arrow.TimestampType).Unit
	at := int64(column.Value(i)) * int64(unit.Multiplier()/time.Nanosecond) / int64(time.Microsecond)
	return &at
}
