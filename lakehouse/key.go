package lakehouse

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/lakehouse/internal/keyindex"
)

// PropertyKey names the columns of a keyed table's key, as a JSON array. Rows of
// such a table change: each key has one at most, and what an epoch changes
// replaces data files.
const PropertyKey = "calve.key"

// ErrNullKey: a row of a keyed table has a null in its key.
var ErrNullKey = errors.New("a key has a null")

// keyOf reads PropertyKey; nil if the table is not keyed.
func keyOf(id string, meta table.Metadata) ([]string, error) {
	text, ok := meta.Properties()[PropertyKey]
	if !ok {
		return nil, nil
	}
	var key []string
	if err := json.Unmarshal([]byte(text), &key); err != nil || len(key) == 0 {
		return nil, fmt.Errorf("%w: %s: property %s is not a JSON array of column names; set it back to the model's key", ErrForeign, id, PropertyKey)
	}
	for _, name := range key {
		if _, ok := meta.CurrentSchema().FindFieldByName(name); !ok {
			return nil, fmt.Errorf("%w: %s has no column %s, which its key names; restore it", ErrForeign, id, name)
		}
	}
	return key, nil
}

// withKey makes the key's columns required, and identifier fields (Iceberg spec,
// "Identifier Field IDs") of a schema.
func (d Definition) withKey(schema *iceberg.Schema) (*iceberg.Schema, error) {
	fields := slices.Clone(schema.Fields())
	ids := make([]int, len(d.Key))
	for i, name := range d.Key {
		at := slices.IndexFunc(fields, func(f iceberg.NestedField) bool { return f.Name == name })
		switch {
		case at < 0:
			return nil, fmt.Errorf("key of %s: no column %s", d.ID, name)
		case slices.Contains(d.Key[:i], name):
			return nil, fmt.Errorf("key of %s: column %s twice", d.ID, name)
		case !canBeKey(fields[at].Type):
			return nil, fmt.Errorf("key of %s: column %s is a %s; a key takes boolean, int, long, decimal, string, binary, date, timestamp and timestamptz", d.ID, name, DescribeType(fields[at].Type))
		}
		fields[at].Required = true
		ids[i] = fields[at].ID
	}
	return iceberg.NewSchemaWithIdentifiers(schema.ID, ids, fields...), nil
}

func canBeKey(t iceberg.Type) bool {
	switch t.(type) {
	case iceberg.BooleanType, iceberg.Int32Type, iceberg.Int64Type, iceberg.StringType, iceberg.BinaryType,
		iceberg.DateType, iceberg.TimestampType, iceberg.TimestampTzType, iceberg.DecimalType:
		return true
	}
	return false
}

// checkKey refuses a table whose rows are of another key than the model's.
func (d Definition) checkKey(v *evolver) error {
	have, err := keyOf(d.ID.String(), v.from)
	if err != nil {
		return err
	}
	if !slices.Equal(have, d.Key) {
		v.refuse("key: the table has %s, the project declares %s; change the model back, or give it a new name", describeKey(have), describeKey(d.Key))
	}
	return nil
}

func describeKey(key []string) string {
	if len(key) == 0 {
		return "none"
	}
	return strings.Join(key, ", ")
}

// keyHasher computes the hashes of rows' keys. Not safe for concurrent use.
type keyHasher struct {
	table   string
	columns []string
	hasher  keyindex.Hasher
	scratch []byte
}

func (t *Table) keyHasher() *keyHasher {
	return &keyHasher{table: t.ID.String(), columns: t.key, hasher: t.lake.hasher}
}

// hashes returns the hash of each row's key, in into if that has room. A null in
// a key is an error.
func (k *keyHasher) hashes(rows arrow.RecordBatch, into []keyindex.Hash) ([]keyindex.Hash, error) {
	parts := make([]keyPart, len(k.columns))
	for i, name := range k.columns {
		indices := rows.Schema().FieldIndices(name)
		if len(indices) != 1 {
			return nil, fmt.Errorf("key of %s: %d columns %s in the rows, expected 1", k.table, len(indices), name)
		}
		column := rows.Column(indices[0])
		if column.NullN() > 0 {
			return nil, fmt.Errorf("%w: %s: column %s is null in %d rows", ErrNullKey, k.table, name, column.NullN())
		}
		part, err := keyPartOf(column)
		if err != nil {
			return nil, fmt.Errorf("key of %s: column %s: %w", k.table, name, err)
		}
		parts[i] = part
	}
	into = slices.Grow(into[:0], int(rows.NumRows()))
	for row := range int(rows.NumRows()) {
		k.scratch = k.scratch[:0]
		for _, part := range parts {
			k.scratch = part(k.scratch, row)
		}
		into = append(into, k.hasher.Sum(k.scratch))
	}
	return into, nil
}

// sumBytes is the hash of a key of one column of text or bytes.
func (k *keyHasher) sumBytes(key []byte) keyindex.Hash {
	k.scratch = append(binary.AppendUvarint(k.scratch[:0], uint64(len(key))), key...)
	return k.hasher.Sum(k.scratch)
}

// keyPart appends a row's value to an encoded key. Values that are equal after
// the promotions of Iceberg are encoded alike: an int as a long, decimals
// without their precision. What has no fixed length is preceded by it, so that
// no two keys are encoded alike.
type keyPart func(to []byte, row int) []byte

func keyPartOf(column arrow.Array) (keyPart, error) {
	number := func(at func(row int) int64) keyPart {
		return func(to []byte, row int) []byte { return binary.LittleEndian.AppendUint64(to, uint64(at(row))) }
	}
	switch a := column.(type) {
	case *array.Int64:
		return number(a.Value), nil
	case *array.Int32:
		return number(func(row int) int64 { return int64(a.Value(row)) }), nil
	case *array.Date32:
		return number(func(row int) int64 { return int64(a.Value(row)) }), nil
	case *array.Timestamp:
		return number(func(row int) int64 { return int64(a.Value(row)) }), nil
	case *array.Boolean:
		return number(func(row int) int64 {
			if a.Value(row) {
				return 1
			}
			return 0
		}), nil
	case *array.Decimal128:
		return func(to []byte, row int) []byte {
			v := a.Value(row)
			return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(to, v.LowBits()), uint64(v.HighBits()))
		}, nil
	case *array.String:
		return func(to []byte, row int) []byte {
			v := a.Value(row)
			return append(binary.AppendUvarint(to, uint64(len(v))), v...)
		}, nil
	case *array.Binary:
		return func(to []byte, row int) []byte {
			v := a.Value(row)
			return append(binary.AppendUvarint(to, uint64(len(v))), v...)
		}, nil
	}
	return nil, fmt.Errorf("a %s cannot be part of a key", column.DataType())
}
