package decode

import (
	"context"

	"github.com/calvelake/calve/runtime/decode/internal/debezium"
	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/record"
)

// membersOfRow puts the columns together that are read from one member of the
// row.
func membersOfRow(columns []program.Column) [][]int {
	var members [][]int
	at := map[string]int{}
	for _, c := range columns {
		i, ok := at[c.Path[0]]
		if !ok {
			i = len(members)
			at[c.Path[0]] = i
			members = append(members, nil)
		}
		members[i] = append(members[i], c.Index)
	}
	return members
}

// writeDeleted writes the row of a delete: its image, if it has one, completed
// from the record's key, which names the row in any case, and by the columns'
// defaults.
func (c *registeredChanges) writeDeleted(ctx context.Context, e *changed, rows *rows) (*record.Reject, error) {
	if e.event.HasBefore {
		if err := c.writeImage(e, true); err != nil {
			return c.f.refusal(err)
		}
	} else {
		for _, p := range c.f.value.columns {
			rows.set.Columns[p.Index].SetNull(rows.set.Row)
		}
		if err := e.reader.Envelope(); err != nil {
			return c.f.refusal(err)
		}
	}
	if reject, err := c.completeFromKey(ctx, e.rec.Key, rows); reject != nil || err != nil {
		return reject, err
	}
	return c.completeByDefaults(rows), nil
}

// completeFromKey takes the members of the row that the image has nothing of
// from the record's key.
func (c *registeredChanges) completeFromKey(ctx context.Context, key []byte, rows *rows) (*record.Reject, error) {
	row := rows.set.Row
	var keys *vector.Set // nil until it is needed
	for _, member := range c.f.members {
		if !c.lacks(member, rows) {
			continue
		}
		if keys == nil {
			var reject *record.Reject
			var err error
			if keys, reject, err = c.readRowKey(ctx, key); keys == nil {
				return reject, err
			}
		}
		for _, i := range member {
			if keys.Columns[i].IsNull(0) {
				continue
			}
			to := rows.set.Columns[i]
			to.Rollback(row)
			to.Copy(row, keys.Columns[i], 0)
		}
	}
	return nil, nil
}

// lacks tells whether the present row has nothing for the columns of a member.
func (c *registeredChanges) lacks(member []int, rows *rows) bool {
	for _, i := range member {
		if c.documents.isMissed[i] || !rows.set.Columns[i].IsNull(rows.set.Row) {
			return false
		}
	}
	return true
}

// readRowKey reads the columns of the row from a record's key, as the first row
// of the set; nil if there is no key that can be read.
func (c *registeredChanges) readRowKey(ctx context.Context, key []byte) (*vector.Set, *record.Reject, error) {
	one, body, err := c.keyOf(ctx, c.rowKey, key)
	if err != nil || one == nil {
		return nil, nil, err
	}
	keys := c.rowKey.set
	keys.Rollback() // what the key before had
	if _, err := one.reader.read(body); err != nil {
		reject, err := c.f.refusal(err)
		return nil, reject, err
	}
	return keys, nil, nil
}

// completeByDefaults writes what neither image nor key has.
func (c *registeredChanges) completeByDefaults(rows *rows) *record.Reject {
	row := rows.set.Row
	for _, p := range c.f.value.columns {
		col, to := &c.f.columns[p.Index], rows.set.Columns[p.Index]
		switch {
		case !to.IsNull(row):
		case c.documents.isMissed[p.Index]:
			if !col.nullable {
				return col.reject(&valueError{code: record.CodeMissing, found: []byte(c.f.marker.Placeholder()),
					expected: record.FormatType(col.dataType) + "; " + debezium.Unavailable})
			}
		default:
			to.Rollback(row)
			if err := col.writeMissing(nil, to, row); err != nil {
				err.expected += "; " + debezium.FullImages
				return col.reject(err)
			}
		}
	}
	return nil
}
