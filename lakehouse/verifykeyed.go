package lakehouse

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/lakehouse/internal/keyindex"
)

// readKeyed reads every row of a keyed table whole, and notes keys that have a
// null or are there twice.
func (v *verifier) readKeyed(ctx context.Context, m *modelProof, t *verifiedTable) error {
	key, err := keyOf(t.name, t.table.Metadata())
	if err != nil {
		return err
	}
	k := &keyHasher{table: t.name, columns: key, hasher: v.lake.hasher}
	var seen keyindex.Table
	var hashes []keyindex.Hash
	err = scan(ctx, t.table, nil, func(r *columnReader) error {
		t.rows += r.batch.NumRows()
		if v.nullKeys(m, t, key, r.batch) {
			return nil
		}
		var err error
		if hashes, err = k.hashes(r.batch, hashes); err != nil {
			return err
		}
		for i, h := range hashes {
			if seen.Put(h, 1) == 0 {
				continue
			}
			if first := v.count(finding{check: CheckDuplicateKey, model: m.Model, table: t.name}); first != nil {
				first.Expected, first.Found = "one row of each key", "two of "+describeKeyOf(r.batch, key, i)
			}
		}
		return nil
	})
	if err != nil {
		return v.unreadable(t, err)
	}
	if want := ownRows(t.table.Metadata()); want >= 0 && want != t.rows {
		v.note(finding{check: CheckRows, model: m.Model, table: t.name}, fmt.Sprintf("%d rows, as after Calve's last snapshot", want), strconv.FormatInt(t.rows, 10))
	}
	return nil
}

// nullKeys notes rows whose key has a null, and tells whether there are any.
func (v *verifier) nullKeys(m *modelProof, t *verifiedTable, key []string, rows arrow.RecordBatch) (any bool) {
	for _, name := range key {
		column := rows.Column(rows.Schema().FieldIndices(name)[0])
		for i := 0; column.NullN() > 0 && i < column.Len(); i++ {
			if column.IsValid(i) {
				continue
			}
			any = true
			if first := v.count(finding{check: CheckNullKey, model: m.Model, table: t.name}); first != nil {
				first.Expected, first.Found = "a value in every column of the key", "null in column "+name
			}
		}
	}
	return any
}

// describeKeyOf shows the key of a row.
func describeKeyOf(rows arrow.RecordBatch, key []string, row int) string {
	parts := make([]string, len(key))
	for i, name := range key {
		parts[i] = name + " " + rows.Column(rows.Schema().FieldIndices(name)[0]).ValueStr(row)
	}
	return strings.Join(parts, ", ")
}
