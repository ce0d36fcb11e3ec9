package lakehouse

import (
	"context"
	"path"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go/table"
)

// RowsFile is the data file that rows come from.
type RowsFile struct {
	Location string
	Epoch    int64 // that wrote it, by its name; 0 if another engine did
	Sequence int64 // data sequence number (Iceberg spec, "Sequence Numbers")
	Rows     int64
}

// Rows reads columns of a table's head, all if none are named, file by file in
// the order in which files were committed: for whoever builds anew what was
// derived from them. A batch is valid until visit returns, and an error of visit
// ends the reading. It returns how far the table was.
//
// A keyed table's file is of the epoch that wrote it last, and holds rows of
// earlier ones.
func (t *Table) Rows(ctx context.Context, columns []string, visit func(f RowsFile, rows arrow.RecordBatch) error) (Progress, error) {
	c := t.Change(0, nil)
	tbl, err := t.lake.loadNamed(ctx, c.Table)
	if err != nil {
		return Progress{}, err
	}
	if err := checkUUID(tbl.Metadata(), &c); err != nil {
		return Progress{}, err
	}
	progress, err := ReadProgress(c.Table, tbl.Metadata())
	if err != nil {
		return Progress{}, err
	}
	tasks, err := plannedFiles(ctx, tbl)
	if err != nil {
		return Progress{}, err
	}
	for _, task := range tasks {
		location := task.File.FilePath()
		f := RowsFile{Location: location, Epoch: EpochOf(location), Sequence: sequenceOf(task), Rows: task.File.Count()}
		err := scanFiles(ctx, tbl, []table.FileScanTask{task}, columns, func(r *columnReader) error { return visit(f, r.batch) })
		if err != nil {
			return Progress{}, err
		}
	}
	return progress, nil
}

// EpochOf is the epoch in an object's name as Names gives it, 0 if it is not such
// a name. A data file's name ends in .parquet.
func EpochOf(location string) int64 {
	parts := strings.Split(strings.TrimSuffix(path.Base(location), ".parquet"), "-")
	if len(parts) != 3 {
		return 0
	}
	epoch, err := strconv.ParseInt(parts[0], 10, 64)
	if _, seqErr := strconv.ParseInt(parts[2], 10, 64); err != nil || seqErr != nil || strconv.FormatInt(epoch, 10) != parts[0] {
		return 0
	}
	return epoch
}
