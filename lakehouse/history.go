package lakehouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/runtime/record"
)

// HistoryEpoch is what one epoch took for a staging model, by the audit table.
type HistoryEpoch struct {
	Epoch     int64
	Rows      int64  // that it wrote; replayed dead letters are not among them
	Watermark *int64 // after it, µs; nil if there was none
	Ranges    []Range
}

// History is the epochs that took anything for a model, in order. The positions
// of a replay's rows are in the ranges of the epoch that took the record first.
func (l *Lake) History(ctx context.Context, model string) ([]HistoryEpoch, error) {
	name := AuditDefinition(l.pipeline).ID.String()
	tbl, err := l.loadNamed(ctx, name)
	if errors.Is(err, catalog.ErrNoSuchTable) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	epochs := map[int64]*HistoryEpoch{}
	err = scanAudit(ctx, &verifiedTable{name: name, table: tbl}, func(r AuditRow) {
		if r.Model != model || r.Replays() {
			return
		}
		e := epochs[r.Epoch]
		if e == nil {
			e = &HistoryEpoch{Epoch: r.Epoch}
			epochs[r.Epoch] = e
		}
		r.Range.Topic = strings.Clone(r.Range.Topic)
		r.Range.ClusterID, r.Range.TopicID = strings.Clone(r.Range.ClusterID), strings.Clone(r.Range.TopicID)
		e.Rows += r.Fate.Rows
		e.Ranges = append(e.Ranges, r.Range)
		e.Watermark = r.Range.Watermark
	})
	if err != nil {
		return nil, fmt.Errorf("read what epochs took for model %s: %w", model, err)
	}
	all := make([]HistoryEpoch, 0, len(epochs))
	for _, number := range slices.Sorted(maps.Keys(epochs)) {
		all = append(all, *epochs[number])
	}
	return all, nil
}

// RowsWithin reads the rows of a staging table whose records are in ranges, from
// its head, in the order in which files were committed. A batch is valid until
// visit returns; it may hold other rows too.
func (t *Table) RowsWithin(ctx context.Context, ranges []Range, visit func(arrow.RecordBatch) error) error {
	if len(ranges) == 0 {
		return nil
	}
	tbl, err := t.lake.loadNamed(ctx, t.ID.String())
	if err != nil {
		return err
	}
	c := t.Change(0, nil)
	if err := checkUUID(tbl.Metadata(), &c); err != nil {
		return err
	}
	tasks, err := tbl.Scan(table.WithRowFilter(withinRanges(ranges))).PlanFiles(ctx)
	if err != nil {
		return fmt.Errorf("plan scan of %s: %w", t.ID, err)
	}
	slices.SortFunc(tasks, func(a, b table.FileScanTask) int {
		return cmp.Or(cmp.Compare(sequenceOf(a), sequenceOf(b)), cmp.Compare(a.File.FilePath(), b.File.FilePath()))
	})
	for i := range tasks { // one after another: the order counts
		tasks[i].Residual = nil
		if err := scanFiles(ctx, tbl, tasks[i:i+1], nil, func(r *columnReader) error { return visit(r.batch) }); err != nil {
			return err
		}
	}
	return nil
}

// withinRanges is the condition on positions, by which files are left out.
func withinRanges(ranges []Range) iceberg.BooleanExpression {
	var any iceberg.BooleanExpression = iceberg.AlwaysFalse{}
	for _, g := range ranges {
		any = iceberg.NewOr(any, iceberg.NewAnd(
			iceberg.EqualTo(iceberg.Reference(record.ColumnTopic), g.Topic),
			iceberg.EqualTo(iceberg.Reference(record.ColumnPartition), g.Partition),
			iceberg.GreaterThanEqual(iceberg.Reference(record.ColumnOffset), g.From),
			iceberg.LessThan(iceberg.Reference(record.ColumnOffset), g.To),
		))
	}
	return any
}
