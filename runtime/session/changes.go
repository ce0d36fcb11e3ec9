package session

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
)

// changes collects what an epoch changed, in parts.
type changes struct {
	ops    []record.Op
	rows   []arrow.RecordBatch
	failed []SessionError
}

// add takes a part, which it releases.
func (c *changes) add(part record.Changelog, failed []SessionError) {
	c.failed = append(c.failed, failed...)
	if part.Len() > 0 {
		c.ops, c.rows = append(c.ops, part.Ops...), append(c.rows, part.Rows)
	}
}

// join is all of it, which the caller releases.
func (c *changes) join(mem memory.Allocator) (record.Changelog, error) {
	if len(c.ops) == 0 {
		return record.Changelog{}, nil
	}
	rows, err := joinRows(c.rows, mem)
	if err != nil {
		return record.Changelog{}, err
	}
	return record.Changelog{Ops: c.ops, Rows: rows}, nil
}

func (c *changes) release() { releaseAll(c.rows) }

func releaseAll(parts []arrow.RecordBatch) {
	for _, p := range parts {
		p.Release()
	}
}

// joinRows is the rows of one part or several, which have the same columns.
func joinRows(parts []arrow.RecordBatch, mem memory.Allocator) (arrow.RecordBatch, error) {
	if len(parts) == 1 {
		parts[0].Retain()
		return parts[0], nil
	}
	schema, rows := parts[0].Schema(), int64(0)
	for _, p := range parts {
		rows += p.NumRows()
	}
	columns := make([]arrow.Array, schema.NumFields())
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i := range columns {
		arrays := make([]arrow.Array, len(parts))
		for j, p := range parts {
			arrays[j] = p.Column(i)
		}
		var err error
		if columns[i], err = array.Concatenate(arrays, mem); err != nil {
			return nil, fmt.Errorf("join changes: column %s: %w", schema.Field(i).Name, err)
		}
	}
	return newBatch(schema, columns, rows), nil
}
