// Package changelog makes changelogs of operations and rows, and one of several.
package changelog

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
)

// Of is the changelog of operations and rows that belong together. It takes the rows
// over, and releases them where they do not.
func Of(ops []record.Op, rows arrow.RecordBatch) (record.Changelog, error) {
	changes := record.Changelog{Ops: ops, Rows: rows}
	if err := changes.Check(); err != nil {
		changes.Release()
		return record.Changelog{}, err
	}
	return changes, nil
}

// Parts collects what an epoch changes in the rows of one model. The zero value is
// empty.
type Parts struct {
	ops  []record.Op
	rows []arrow.RecordBatch
}

// Add takes a part over.
func (p *Parts) Add(part record.Changelog) {
	if part.Len() > 0 {
		p.ops, p.rows = append(p.ops, part.Ops...), append(p.rows, part.Rows)
	}
}

// Join is all of it, which the caller releases.
func (p *Parts) Join(mem memory.Allocator) (record.Changelog, error) {
	if len(p.ops) == 0 {
		return record.Changelog{}, nil
	}
	rows, err := JoinRows(p.rows, mem)
	if err != nil {
		return record.Changelog{}, err
	}
	return record.Changelog{Ops: p.ops, Rows: rows}, nil
}

// Release releases the parts.
func (p *Parts) Release() {
	for _, r := range p.rows {
		r.Release()
	}
}

// JoinRows is the rows of one part or several, which have the same columns. The
// caller releases the result, and keeps the parts.
func JoinRows(parts []arrow.RecordBatch, mem memory.Allocator) (arrow.RecordBatch, error) {
	if len(parts) == 1 {
		parts[0].Retain()
		return parts[0], nil
	}
	schema, rows := parts[0].Schema(), int64(0)
	for _, p := range parts {
		rows += p.NumRows()
	}
	columns := make([]arrow.Array, 0, schema.NumFields())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i, f := range schema.Fields() {
		arrays := make([]arrow.Array, len(parts))
		for j, p := range parts {
			arrays[j] = p.Column(i)
		}
		joined, err := array.Concatenate(arrays, mem)
		if err != nil {
			return nil, fmt.Errorf("join changes: column %s: %w", f.Name, err)
		}
		columns = append(columns, joined)
	}
	return array.NewRecordBatch(schema, columns, rows), nil
}
