package debezium

import "fmt"

// TruncateError: the source's table was truncated. Rows are gone without a
// change event for each, which a stream of changes cannot say, so whoever reads
// it stops.
type TruncateError struct {
	Table string // Source.Name
}

func (e *TruncateError) Error() string {
	return fmt.Sprintf("%s was truncated in the database: its rows are gone without an event for each, so what was derived from them is wrong from here on. "+
		"Load it anew: let the connector take a snapshot into a new topic, read that topic by a model of a new name, and drop the old table. "+
		"To go on without them, set the model's on_truncate to ignore", e.Table)
}

// What to do where an event lacks a value. Formats put these behind what they
// found and expected.
const (
	// FullImages: a delete carries keys only.
	FullImages = "the event of the delete does not carry the column: set REPLICA IDENTITY FULL (PostgreSQL), binlog_row_image=FULL (MySQL) or capture.mode.full.update.type with pre-images (MongoDB), or declare the column nullable or with a default"
	// Unavailable: a change carries the placeholder of an untouched value.
	Unavailable = "the event does not carry the value, since the change left it as it was: set REPLICA IDENTITY FULL for the table, or declare the column nullable"
	// UpdateOnly: a MongoDB update has no document.
	UpdateOnly = "the event of the update has no document: set capture.mode to change_streams_update_full"
	// Flat: what was found is not an event.
	Flat = "a change event with op and source (one that ExtractNewRecordState has flattened to a row is of format json or avro)"
)
