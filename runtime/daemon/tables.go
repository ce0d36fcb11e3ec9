package daemon

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
)

// ListTables shows every table of a catalog, in order of name.
func (l *Lakehouse) ListTables(ctx context.Context) ([]lakehouse.Summary, error) {
	namespaces, err := l.Catalog.Namespaces(ctx)
	if err != nil {
		return nil, err
	}
	var all []lakehouse.Summary
	for _, namespace := range namespaces {
		ids, err := l.Catalog.List(ctx, namespace)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			s, err := l.ShowTable(ctx, id)
			if errors.Is(err, catalog.ErrNoSuchTable) {
				continue // dropped since it was listed
			}
			if err != nil {
				return nil, err
			}
			all = append(all, s)
		}
	}
	return all, nil
}

// ShowTable summarises one table.
func (l *Lakehouse) ShowTable(ctx context.Context, id catalog.Identifier) (lakehouse.Summary, error) {
	tbl, err := l.Catalog.Load(ctx, id)
	if err != nil {
		return lakehouse.Summary{}, err
	}
	return lakehouse.Summarize(id, tbl.Metadata()), nil
}

// SampleTable reads up to limit rows of a table, as JSON values by column.
func (l *Lakehouse) SampleTable(ctx context.Context, id catalog.Identifier, limit int) (lakehouse.Sample, error) {
	tbl, err := l.Catalog.Load(ctx, id)
	if err != nil {
		return lakehouse.Sample{}, err
	}
	return lakehouse.ReadSample(ctx, tbl, limit)
}

func fileExists(path string) bool {
	_, err := os.Stat(strings.TrimPrefix(path, "file://"))
	return !errors.Is(err, fs.ErrNotExist)
}

// DayCount is how many rows have a timestamp in one day (UTC).
type DayCount struct {
	Day  string
	Rows int64
}

// CountByDay counts a table's rows by the day of a timestamp column, by reading
// the column.
func (l *Lakehouse) CountByDay(ctx context.Context, id catalog.Identifier, column string) ([]DayCount, error) {
	tbl, err := l.Catalog.Load(ctx, id)
	if err != nil {
		return nil, err
	}
	days, err := lakehouse.CountByDay(ctx, tbl, column)
	if err != nil {
		return nil, err
	}
	counts := make([]DayCount, 0, len(days))
	for _, day := range slices.Sorted(maps.Keys(days)) {
		counts = append(counts, DayCount{Day: day, Rows: days[day]})
	}
	return counts, nil
}
