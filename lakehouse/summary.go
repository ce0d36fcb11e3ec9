package lakehouse

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
)

// Summary is what a table is, without reading its data.
type Summary struct {
	Name      string            `json:"name"`
	Location  string            `json:"location"`
	UUID      string            `json:"uuid"`
	Format    int               `json:"format_version"`
	Columns   []ColumnSummary   `json:"columns"`
	Partition string            `json:"partition"`
	Rows      int64             `json:"rows"`
	Files     int64             `json:"files"`
	Bytes     int64             `json:"bytes"`
	Snapshots []SnapshotSummary `json:"snapshots"` // oldest first
	Epoch     int64             `json:"epoch"`     // the last that Calve committed, 0 if none
	Pipeline  string            `json:"pipeline,omitempty"`
}

// ColumnSummary is one column of a Summary.
type ColumnSummary struct {
	ID       int    `json:"id"`
	Name     string `json:"name"`
	Type     string `json:"type"`
	Required bool   `json:"required"`
}

// SnapshotSummary is one snapshot of a Summary.
type SnapshotSummary struct {
	ID        int64     `json:"id"`
	At        time.Time `json:"at"`
	Operation string    `json:"operation"`
	Rows      int64     `json:"added_rows"`
	Files     int64     `json:"added_files"`
	Epoch     int64     `json:"epoch,omitempty"`
}

// Summarize reads a table's metadata.
func Summarize(id catalog.Identifier, meta table.Metadata) Summary {
	s := Summary{
		Name: id.String(), Location: meta.Location(), UUID: meta.TableUUID().String(), Format: meta.Version(),
		Partition: describeSpec(meta.PartitionSpec(), meta.CurrentSchema()), Pipeline: meta.Properties()[PropertyPipeline],
		Snapshots: []SnapshotSummary{},
	}
	for _, f := range meta.CurrentSchema().Fields() {
		s.Columns = append(s.Columns, ColumnSummary{ID: f.ID, Name: f.Name, Type: DescribeType(f.Type), Required: f.Required})
	}
	for _, snapshot := range meta.Snapshots() {
		s.Snapshots = append(s.Snapshots, summarizeSnapshot(snapshot))
	}
	if head := meta.CurrentSnapshot(); head != nil && head.Summary != nil {
		s.Rows = count(head.Summary.Properties, "total-records") - count(head.Summary.Properties, "total-position-deletes")
		s.Files = count(head.Summary.Properties, "total-data-files")
		s.Bytes = count(head.Summary.Properties, "total-files-size")
	}
	if p, err := ReadProgress(s.Name, meta); err == nil {
		s.Epoch = p.Epoch
	}
	return s
}

func summarizeSnapshot(snapshot table.Snapshot) SnapshotSummary {
	s := SnapshotSummary{ID: snapshot.SnapshotID, At: time.UnixMilli(snapshot.TimestampMs).UTC()}
	if snapshot.Summary == nil {
		return s
	}
	s.Operation = string(snapshot.Summary.Operation)
	s.Rows = count(snapshot.Summary.Properties, "added-records")
	s.Files = count(snapshot.Summary.Properties, "added-data-files")
	var p Progress
	if json.Unmarshal([]byte(snapshot.Summary.Properties[PropertyEpoch]), &p) == nil {
		s.Epoch = p.Epoch
	}
	return s
}

func count(properties iceberg.Properties, key string) int64 {
	n, _ := strconv.ParseInt(properties[key], 10, 64) // absent or foreign text counts as 0
	return n
}

// Sample is some rows of a table: Rows[i][j] is column j, in JSON.
type Sample struct {
	Columns []string            `json:"columns"`
	Rows    [][]json.RawMessage `json:"rows"`
}

// ReadSample reads up to limit rows.
func ReadSample(ctx context.Context, tbl *table.Table, limit int) (Sample, error) {
	s := Sample{Rows: [][]json.RawMessage{}}
	schema, batches, err := tbl.Scan(table.WithLimit(int64(limit))).ToArrowRecords(ctx)
	if err != nil {
		return s, fmt.Errorf("scan %v: %w", tbl.Identifier(), err)
	}
	for _, f := range schema.Fields() {
		s.Columns = append(s.Columns, f.Name)
	}
	for batch, err := range batches {
		if err != nil {
			return s, fmt.Errorf("scan %v: %w", tbl.Identifier(), err)
		}
		for i := 0; i < int(batch.NumRows()) && len(s.Rows) < limit; i++ {
			row := make([]json.RawMessage, batch.NumCols())
			for j, c := range batch.Columns() {
				if row[j], err = json.Marshal(c.GetOneForMarshal(i)); err != nil {
					return s, fmt.Errorf("render column %s: %w", s.Columns[j], err)
				}
			}
			s.Rows = append(s.Rows, row)
		}
		batch.Release()
	}
	return s, nil
}

// Describe renders what would be created: "name type" a column, and the
// partition spec.
func (d Definition) Describe() (columns []string, partition string, err error) {
	schema, err := d.icebergSchema()
	if err != nil {
		return nil, "", err
	}
	spec, err := d.spec(schema)
	if err != nil {
		return nil, "", err
	}
	for _, f := range schema.Fields() {
		columns = append(columns, f.Name+" "+describeField(f))
	}
	return columns, describeSpec(*spec, schema), nil
}

// CountByDay counts rows by the UTC day of a timestamp column, "" for nulls.
func CountByDay(ctx context.Context, tbl *table.Table, column string) (map[string]int64, error) {
	_, batches, err := tbl.Scan(table.WithSelectedFields(column)).ToArrowRecords(ctx)
	if err != nil {
		return nil, fmt.Errorf("scan %v: %w", tbl.Identifier(), err)
	}
	days := map[string]int64{}
	for batch, err := range batches {
		if err != nil {
			return nil, fmt.Errorf("scan %v: %w", tbl.Identifier(), err)
		}
		values, ok := batch.Column(0).(*array.Timestamp)
		if !ok {
			batch.Release()
			return nil, fmt.Errorf("count %v by day: column %s is a %s, not a timestamp", tbl.Identifier(), column, batch.Column(0).DataType())
		}
		for i := range values.Len() {
			day := ""
			if values.IsValid(i) {
				day = time.UnixMicro(int64(values.Value(i))).UTC().Format(time.DateOnly)
			}
			days[day]++
		}
		batch.Release()
	}
	return days, nil
}
