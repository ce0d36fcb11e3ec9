package avro

import (
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/record"
)

// keyProgram compares the natural keys of the two images of an event.
type keyProgram struct {
	before, after *Program
	schema        *arrow.Schema
	columns       []int // of the real set
}

func compileKey(before, after *node, changes Changes) (*keyProgram, error) {
	k := &keyProgram{}
	var columns []program.Column
	var fields []arrow.Field
	for i, at := range changes.NaturalKey {
		col := changes.Image[at]
		if _, nested := col.Type.(arrow.NestedType); nested {
			return nil, fmt.Errorf("natural key: the column of field %v is of data_type %s, expected one that is not nested", col.Path, record.FormatType(col.Type))
		}
		k.columns = append(k.columns, col.Index)
		col.Index, col.Nullable, col.Fallback = i, true, nil
		columns = append(columns, col)
		fields = append(fields, arrow.Field{Name: fmt.Sprint(i), Type: col.Type, Nullable: true})
	}
	k.schema = arrow.NewSchema(fields, nil)
	var err error
	if k.before, err = compile(before, columns, nil); err != nil {
		return nil, err
	}
	k.after, err = compile(after, columns, nil)
	return k, err
}

// keyReader holds two rows: the keys before and after.
type keyReader struct {
	set           *vector.Set
	before, after *Reader
}

func (k *keyProgram) reader() (*keyReader, error) {
	set, err := vector.NewSet(k.schema, 2, 64)
	if err != nil {
		return nil, fmt.Errorf("make room for natural keys: %w", err)
	}
	return &keyReader{set: set, before: k.before.Reader(set), after: k.after.Reader(set)}, nil
}

// KeyChanged tells whether the event has both images and they are of different
// natural keys. A column that the before image does not carry is no difference.
func (r *ChangeReader) KeyChanged() (bool, error) {
	if r.key == nil || !r.event.HasBefore || !r.event.HasAfter {
		return false, nil
	}
	set := r.key.set
	defer set.Truncate(0)
	if r.key.before.read(r.body, r.at[0]) < 0 {
		return false, r.program.key.failure(r.key.before.err)
	}
	set.Next()
	if r.key.after.read(r.body, r.at[1]) < 0 {
		return false, r.program.key.failure(r.key.after.err)
	}
	for _, v := range set.Columns {
		if !v.IsNull(0) && (v.IsNull(1) || compareRows(v, 0, 1) != 0) {
			return true, nil
		}
	}
	return false, nil
}

// failure is an error of a key's column as one of the real set.
func (k *keyProgram) failure(err error) error {
	if e, ok := errors.AsType[*program.Error](err); ok && e.Column >= 0 {
		e.Column = k.columns[e.Column]
	}
	return err
}
