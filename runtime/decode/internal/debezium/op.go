package debezium

// Op is the member op of a change event.
type Op byte

// The operations.
const (
	Create   Op = 'c'
	Update   Op = 'u'
	Delete   Op = 'd'
	Read     Op = 'r' // by a snapshot
	Truncate Op = 't'
	Message  Op = 'm' // pg_logical_emit_message
)

// Ops lists the operations for messages.
const Ops = "c, u, d, r, t or m"

// ParseOp reads the text of op.
func ParseOp(text []byte) (Op, bool) {
	if len(text) != 1 {
		return 0, false
	}
	switch op := Op(text[0]); op {
	case Create, Update, Delete, Read, Truncate, Message:
		return op, true
	}
	return 0, false
}

func (o Op) String() string { return string(o) }

// Image is the member of the event that holds the row: before for a delete,
// after for the others.
func (o Op) Image() string {
	if o == Delete {
		return "before"
	}
	return "after"
}

// Kind tells what an object without op may be, by the names of its members.
func Kind(has func(name string) bool) string {
	switch {
	case has("ddl") || has("databaseName") || has("tableChanges"):
		return "it looks like a schema change; read the topic of a table instead"
	case has("status") && has("id"):
		return "it looks like the boundary of a transaction; read the topic of a table instead"
	case has("ts_ms") && !has("before") && !has("after") && !has("source"):
		return "it looks like a heartbeat; read the topic of a table instead"
	case has("source") || has("before") || has("after"):
		return "op says whether the row was created, updated or deleted"
	}
	return "if ExtractNewRecordState has flattened it to a row, it is of format json or avro"
}
