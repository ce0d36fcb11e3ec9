package lakehouse

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// groupEncoder encodes row groups of a table one by one, each as a Parquet file
// in memory, from which it goes into a data file as it is.
//
// It learns which columns a dictionary does not pay for. arrow-go finds that out
// for a row group when its first page is full, which in one of some thousand
// rows is after most of the work.
type groupEncoder struct {
	schema          *arrow.Schema
	mem             memory.Allocator
	plain           []string // paths of columns without a dictionary
	properties      *parquet.WriterProperties
	arrowProperties pqarrow.ArrowWriterProperties
	empty           *metadata.FileMetaData // of a file without rows
	body            bytes.Buffer
}

// newGroupEncoder returns an encoder that knows some plain columns already.
func newGroupEncoder(schema *arrow.Schema, mem memory.Allocator, plain []string) (*groupEncoder, error) {
	e := &groupEncoder{schema: schema, mem: mem, plain: slices.Clone(plain)}
	err := e.setProperties()
	if err != nil {
		return nil, err
	}
	if e.empty, err = e.file(nil); err != nil {
		return nil, fmt.Errorf("describe row groups: %w", err)
	}
	return e, nil
}

func (e *groupEncoder) setProperties() (err error) {
	e.properties, e.arrowProperties, err = parquetProperties(e.schema, e.mem, e.plain...)
	return err
}

// enoughToLearn is how many rows tell how many values of a column are equal.
const enoughToLearn = 1 << 10

// learn takes note of the columns of a row group that have no dictionary, or one
// that is most of what they are.
func (e *groupEncoder) learn(footer *metadata.FileMetaData, group int) error {
	if footer.RowGroups[group].NumRows < enoughToLearn {
		return nil
	}
	known := len(e.plain)
	for i, c := range footer.RowGroups[group].Columns {
		pays := false
		if d := c.MetaData.DictionaryPageOffset; d != nil && *d > 0 {
			pays = 2*(c.MetaData.DataPageOffset-*d) < c.MetaData.TotalCompressedSize
		}
		if path := footer.Schema.Column(i).Path(); !pays && !slices.Contains(e.plain, path) {
			e.plain = append(e.plain, path)
		}
	}
	if len(e.plain) == known {
		return nil
	}
	return e.setProperties()
}

// file encodes rows as a Parquet file, which is valid until the next call.
func (e *groupEncoder) file(rows []arrow.RecordBatch) (*metadata.FileMetaData, error) {
	e.body.Reset()
	w, err := pqarrow.NewFileWriter(e.schema, &e.body, e.properties, e.arrowProperties)
	if err != nil {
		return nil, fmt.Errorf("begin row group: %w", err)
	}
	for _, r := range rows {
		if err := w.WriteBuffered(r); err != nil {
			_ = w.Close() // gives memory back; the first error counts
			return nil, fmt.Errorf("encode rows: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("end row group: %w", err)
	}
	footer, err := w.FileMetadata()
	if err == nil && len(footer.RowGroups) > 0 {
		err = e.learn(footer, 0)
	}
	return footer, err
}

// writes tells whether a Parquet file is as this encoder would write it now, so
// that its row groups can go into one of ours as they are: of this program, with
// the same columns, types and field ids.
func (e *groupEncoder) writes(footer *metadata.FileMetaData) bool {
	return footer.GetCreatedBy() == e.empty.GetCreatedBy() && footer.FileMetaData.Version == e.empty.FileMetaData.Version &&
		reflect.DeepEqual(footer.FileMetaData.Schema, e.empty.FileMetaData.Schema)
}
