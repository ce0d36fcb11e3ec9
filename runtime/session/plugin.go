package session

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
)

// Plugin accumulates sessions beside the aggregates. It keeps no state between
// calls, and does not keep what it is given.
type Plugin interface {
	// StateSchema is the columns of a session's state.
	StateSchema() *arrow.Schema
	// Initial is the state of n new sessions, which the caller releases.
	Initial(n int) (arrow.RecordBatch, error)
	// Accumulate adds rows to the state of their groups: row i to row groups[i]
	// of state. Rows are sorted by group, event time and position; every group
	// has some. The rows with an error are not in the new state.
	Accumulate(ctx context.Context, rows arrow.RecordBatch, groups []uint32, state arrow.RecordBatch) (Update, error)
	// Merge joins the state of sessions that became one, row by row; into is
	// that of the earlier. An error is about a pair.
	Merge(ctx context.Context, into, from arrow.RecordBatch) (Update, error)
	// Finish makes columns of sessions: their state, then _key, _start, _end,
	// _count and _closed.
	Finish(ctx context.Context, sessions arrow.RecordBatch, watermark int64) (Finished, error)
}

// Update is what became of state.
type Update struct {
	State  arrow.RecordBatch // one row for each that was given; the caller's, who releases it
	Errors []RowError        // at most one a row
}

// Finished is the columns that a plugin makes of sessions.
type Finished struct {
	Rows   arrow.RecordBatch // the caller's, who releases it
	Origin []int32           // the session of each row, never decreasing; nil: one to one
	Errors []RowError        // sessions without a row
}

// RowError is a row that a plugin refuses.
type RowError struct {
	Row     int
	Code    string // the plugin's own, or one of those of dead letters
	Column  string // the column at fault, "" if none in particular
	Message string
}

// Columns that Finish is given behind those of state.
const (
	pluginKey    = "_key"
	pluginStart  = "_start"
	pluginEnd    = "_end"
	pluginCount  = "_count"
	pluginClosed = "_closed"
)

// PluginKeyType is the type of _key: that of the key's only column, or a struct
// of its columns.
func PluginKeyType(key []arrow.Field) arrow.DataType {
	if len(key) == 1 {
		return key[0].Type
	}
	return arrow.StructOf(key...)
}
