package lakehouse

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/record"
)

// columnOp is the change file's column of operations: c, u or d. No column of a
// table has such a name: theirs begin with a letter.
const columnOp = "_op"

// writeChangeFile puts what an epoch changes in a keyed table at
// <table>/changes/<name>.parquet: column _op, then the table's, a row a change.
// It returns the file's size too.
func (s *changeSet) writeChangeFile(ctx context.Context, names *Names) (*ChangeFile, int64, error) {
	location := s.table.location + "/changes/" + names.Next() + ".parquet"
	out, err := s.table.store.Create(ctx, location)
	if err != nil {
		return nil, 0, fmt.Errorf("create change file %s: %w", location, err)
	}
	defer out.Abort()
	rows := s.withOps()
	defer rows.Release()
	properties, arrowProperties, err := parquetProperties(rows.Schema(), s.mem, s.table.lake.indexes.of(s.table.UUID).plainColumns()...)
	if err != nil {
		return nil, 0, err
	}
	to := &sink{out: out, digest: sha256.New()}
	w, err := pqarrow.NewFileWriter(rows.Schema(), to, properties, arrowProperties)
	if err != nil {
		return nil, 0, fmt.Errorf("begin change file %s: %w", location, err)
	}
	if err := errors.Join(w.WriteBuffered(rows), w.Close()); err != nil {
		return nil, 0, fmt.Errorf("encode change file %s: %w", location, err)
	}
	if err := out.Commit(); err != nil {
		return nil, 0, fmt.Errorf("publish change file %s: %w", location, err)
	}
	return &ChangeFile{Location: location, SHA256: hex.EncodeToString(to.digest.Sum(nil))}, to.written, nil
}

func (s *changeSet) withOps() arrow.RecordBatch {
	b := array.NewStringBuilder(s.mem)
	defer b.Release()
	for _, op := range s.ops {
		b.Append(op.String())
	}
	ops := b.NewArray()
	defer ops.Release()
	fields := append([]arrow.Field{{Name: columnOp, Type: arrow.BinaryTypes.String}}, s.rows.Schema().Fields()...)
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), append([]arrow.Array{ops}, s.rows.Columns()...), s.rows.NumRows())
}

// readChanges reads a change file back, for the table as it is now. One that is
// missing, or is not what was recorded, is ErrMissingFile.
func (t *Table) readChanges(ctx context.Context, f *ChangeFile, mem memory.Allocator) (_ *changeSet, err error) {
	body, err := t.store.Get(ctx, f.Location)
	if errors.Is(err, storage.ErrNotExist) {
		return nil, fmt.Errorf("%w: change file %s does not exist, and files of %s are not as the epoch needs them; put it back", ErrMissingFile, f.Location, t.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("read change file %s: %w", f.Location, err)
	}
	if digest := sha256.Sum256(body); hex.EncodeToString(digest[:]) != f.SHA256 {
		return nil, fmt.Errorf("%w: change file %s has another SHA-256 than was recorded; put back the one that has %s", ErrMissingFile, f.Location, f.SHA256)
	}
	s := newChangeSet(t, mem)
	if err = s.decode(ctx, body); err == nil {
		err = s.join()
	}
	if err != nil {
		s.release()
		return nil, fmt.Errorf("read change file %s: %w", f.Location, err)
	}
	return s, nil
}

// changeFileRows is how many rows of a change file are read at once.
const changeFileRows = 64 << 10

func (s *changeSet) decode(ctx context.Context, body []byte) error {
	parquet, err := file.NewParquetReader(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("open parquet: %w", err)
	}
	reader, err := pqarrow.NewFileReader(parquet, pqarrow.ArrowReadProperties{BatchSize: changeFileRows}, s.mem)
	if err != nil {
		return fmt.Errorf("open parquet: %w", err)
	}
	batches, err := reader.GetRecordReader(ctx, nil, nil)
	if err != nil {
		return fmt.Errorf("decode parquet: %w", err)
	}
	defer batches.Release()
	for batches.Next() {
		if err := s.addDecoded(ctx, batches.RecordBatch()); err != nil {
			return err
		}
	}
	return batches.Err()
}

func (s *changeSet) addDecoded(ctx context.Context, batch arrow.RecordBatch) error {
	r := &columnReader{batch: batch}
	letters := r.strings(columnOp)
	if r.err != nil {
		return r.err
	}
	ops := make([]record.Op, letters.Len())
	for i := range ops {
		ops[i] = record.Op(letters.Value(i)[0])
	}
	at := batch.Schema().FieldIndices(columnOp)[0]
	fields, columns := slices.Clone(batch.Schema().Fields()), slices.Clone(batch.Columns())
	rows := array.NewRecordBatch(arrow.NewSchema(slices.Delete(fields, at, at+1), nil), slices.Delete(columns, at, at+1), batch.NumRows())
	defer rows.Release()
	return s.add(ctx, ops, rows)
}
