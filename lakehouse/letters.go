package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go/table"
	"golang.org/x/sync/errgroup"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/runtime/record"
)

// LetterFilter says which dead letters are meant: those that every member
// allows. An empty member allows all.
type LetterFilter struct {
	Models  []string `json:"models,omitempty"`
	Reasons []string `json:"reasons,omitempty"` // of the letter itself, not of later refusals
	Letters []string `json:"letters,omitempty"` // ids
	Since   int64    `json:"since,omitempty"`   // ingested at or after, µs since 1970-01-01 UTC
	Until   int64    `json:"until,omitempty"`   // ingested before, µs
}

// Empty tells whether the filter allows every letter.
func (f LetterFilter) Empty() bool {
	return len(f.Models)+len(f.Reasons)+len(f.Letters) == 0 && f.Since == 0 && f.Until == 0
}

func (f LetterFilter) allows(id, model, reason string, ingestedAt int64) bool {
	return (len(f.Models) == 0 || slices.Contains(f.Models, model)) &&
		(len(f.Reasons) == 0 || slices.Contains(f.Reasons, reason)) &&
		(len(f.Letters) == 0 || slices.Contains(f.Letters, id)) &&
		(f.Since == 0 || ingestedAt >= f.Since) &&
		(f.Until == 0 || ingestedAt < f.Until)
}

// letterScanners bounds how many files of dead letters are read side by side:
// most are small, and their number is what a scan costs on an object store.
const letterScanners = 8

// letterFiles is the table of dead letters as it was when it was opened.
type letterFiles struct {
	table *table.Table
	tasks []table.FileScanTask
}

// letterFiles opens the table; nil if there is none yet.
func (l *Lake) letterFiles(ctx context.Context) (*letterFiles, error) {
	tbl, err := l.catalog.Load(ctx, DeadLettersDefinition(l.pipeline).ID)
	if errors.Is(err, catalog.ErrNoSuchTable) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load the table of dead letters: %w", err)
	}
	tasks, err := plannedFiles(ctx, tbl)
	if err != nil {
		return nil, err
	}
	return &letterFiles{table: tbl, tasks: tasks}, nil
}

// each reads columns of all files, several at a time but one visit after
// another, in no order.
func (f *letterFiles) each(ctx context.Context, columns []string, visit func(file int, r *columnReader) error) error {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(letterScanners)
	for i := range f.tasks {
		group.Go(func() error {
			return scanFiles(ctx, f.table, f.tasks[i:i+1], columns, func(r *columnReader) error {
				mu.Lock()
				defer mu.Unlock()
				return visit(i, r)
			})
		})
	}
	return group.Wait()
}

// letterPlace are the columns that tell a letter, its model and its place.
var letterPlace = []string{
	"letter_id", "epoch", "model", "reader", "kafka_cluster_id", "kafka_topic_id",
	record.ColumnTopic, record.ColumnPartition, record.ColumnOffset, record.ColumnRow, "resolution", "request_id",
}

// letterReason are the columns that tell why.
var letterReason = []string{"reason_code", "message", "column_name", "plugin_digest", "record_rows", record.ColumnTimestamp, record.ColumnIngestedAt}

// letterPayload are the columns with a record's bytes.
var letterPayload = []string{"record_key", "record_value", "record_headers"}

// letterColumns are the columns of a batch of dead letters. Those that were not
// read are nil.
type letterColumns struct {
	id, model, reader, cluster, topicID, topic, resolution, request *array.String
	reason, message, column, digest                                 *array.String
	epoch, offset                                                   *array.Int64
	partition, row, recordRows                                      *array.Int32
	timestamp, ingested                                             *array.Timestamp
	key, value                                                      *array.Binary
	headers                                                         *array.List
}

func placeColumns(r *columnReader) (letterColumns, error) {
	c := letterColumns{
		id: r.strings("letter_id"), epoch: r.int64s("epoch"), model: r.strings("model"), reader: r.strings("reader"),
		cluster: r.strings("kafka_cluster_id"), topicID: r.strings("kafka_topic_id"),
		topic: r.strings(record.ColumnTopic), partition: r.int32s(record.ColumnPartition),
		offset: r.int64s(record.ColumnOffset), row: r.int32s(record.ColumnRow),
		resolution: r.strings("resolution"), request: r.strings("request_id"),
	}
	return c, r.err
}

// wholeColumns are all but, without payload, the record's bytes.
func wholeColumns(r *columnReader, payload bool) (letterColumns, error) {
	c, _ := placeColumns(r) // its error is the reader's
	c.reason, c.message, c.column, c.digest = r.strings("reason_code"), r.strings("message"), r.strings("column_name"), r.strings("plugin_digest")
	c.recordRows, c.timestamp, c.ingested = r.int32s("record_rows"), r.times(record.ColumnTimestamp), r.times(record.ColumnIngestedAt)
	if payload {
		c.key, c.value, c.headers = r.binaries("record_key"), r.binaries("record_value"), r.lists("record_headers")
	}
	return c, r.err
}

// isLetter tells whether row i is a letter itself, not what became of one.
func (c *letterColumns) isLetter(i int) bool { return c.resolution.IsNull(i) }

// place reads the model and place of row i. The strings are the batch's.
func (c *letterColumns) place(i int) Letter {
	l := Letter{
		Epoch: c.epoch.Value(i), Model: c.model.Value(i), Reader: c.reader.Value(i),
		Origin:         record.Origin{ClusterID: c.cluster.Value(i), TopicID: c.topicID.Value(i)},
		TopicPartition: record.TopicPartition{Topic: c.topic.Value(i), Partition: c.partition.Value(i)},
		Record:         record.Record{Offset: c.offset.Value(i), LeaderEpoch: -1},
		OfRow:          c.row.IsValid(i),
	}
	if l.OfRow {
		l.Row = c.row.Value(i)
	}
	return l
}

// letter reads row i, and copies what it holds.
func (c *letterColumns) letter(i int) Letter {
	l := c.place(i)
	for _, text := range []*string{&l.Model, &l.Reader, &l.ClusterID, &l.TopicID, &l.Topic} {
		*text = strings.Clone(*text)
	}
	l.Reason, l.Message, l.Column = strings.Clone(c.reason.Value(i)), strings.Clone(c.message.Value(i)), strings.Clone(c.column.Value(i))
	l.PluginDigest, l.RecordRows = strings.Clone(c.digest.Value(i)), c.recordRows.Value(i)
	l.Record.Timestamp, l.IngestedAt = *micros(c.timestamp, i), *micros(c.ingested, i)
	if c.headers != nil {
		l.Record.Key, l.Record.Value, l.Record.Headers = bytesAt(c.key, i), bytesAt(c.value, i), headersAt(c.headers, i)
	}
	return l
}

// bytesAt copies a value; nil stands for null.
func bytesAt(column *array.Binary, i int) []byte {
	if column.IsNull(i) {
		return nil
	}
	return append([]byte{}, column.Value(i)...)
}

func headersAt(column *array.List, i int) []record.Header {
	if column.IsNull(i) {
		return nil
	}
	start, end := column.ValueOffsets(i)
	element := column.ListValues().(*array.Struct)
	keys, values := element.Field(0).(*array.String), element.Field(1).(*array.Binary)
	var headers []record.Header
	for j := int(start); j < int(end); j++ {
		headers = append(headers, record.Header{Key: strings.Clone(keys.Value(j)), Value: bytesAt(values, j)})
	}
	return headers
}
