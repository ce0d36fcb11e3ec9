package avro

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/decode/internal/cast"
)

// scalar emits the reading of a value to a column of a leaf type.
func (c *compiler) scalar(n *node, x *detail) error {
	t := x.target
	if n.kind == structure && n.meaning == variableScale && t.typ.ID() == arrow.DECIMAL128 &&
		(t.encoding == "" || t.encoding == "debezium.variable_scale_decimal") {
		var err error
		if x.cast, err = cast.New(t.typ, t.encoding); err != nil {
			return err
		}
		c.emit(op{code: opVariable, vec: t.vec, x: x})
		return nil
	}
	encoding, source, ok := n.source(t)
	if !ok {
		return c.refuse(n, x.where, t, "what can be read as one, or an encoding that says how")
	}
	var err error
	if x.cast, err = cast.New(t.typ, encoding); err != nil {
		return fmt.Errorf("column of field %s: %w", x.where, err)
	}
	if !x.cast.Takes(source) {
		if t.encoding != "" {
			return c.refuse(n, x.where, t, fmt.Sprintf("what encoding %q is written in", t.encoding))
		}
		return c.refuse(n, x.where, t, "what can be read as one")
	}
	o := op{code: opCast, vec: t.vec, x: x, size: int32(n.size)}
	if t.encoding == "" || t.encoding == encoding {
		if direct, ok := n.direct(t.typ, encoding); ok && !c.marked(n, t) {
			o.code = direct
		}
	}
	c.emit(o)
	return nil
}

// source says how a value of the schema is handed to a cast: by which encoding,
// and by which of its methods.
func (n *node) source(t *target) (encoding string, source cast.Source, ok bool) {
	switch n.kind {
	case boolean:
		return t.encoding, cast.FromBool, true
	case integer, long:
		if t.encoding != "" {
			return t.encoding, cast.FromLong, true
		}
		encoding, ok = n.numberEncoding(t.typ)
		return encoding, cast.FromLong, ok
	case float, double:
		return t.encoding, cast.FromDouble, true
	case text:
		encoding = t.encoding
		if encoding == "" && n.meaning == zonedTimestamp && t.typ.ID() == arrow.TIMESTAMP {
			encoding = "debezium.zoned_timestamp"
		}
		if t.typ.ID() == arrow.BINARY && encoding == "" {
			return "", cast.FromBytes, true // Avro promotes a string to its bytes
		}
		return encoding, cast.FromText, true
	case enum:
		return t.encoding, cast.FromText, t.typ.ID() == arrow.STRING && t.encoding == ""
	case bytes, fixed:
		return n.bytesSource(t)
	}
	return "", 0, false
}

// numberEncoding is what a whole number needs to become a type; ok is false if
// nothing tells what it counts.
func (n *node) numberEncoding(t arrow.DataType) (encoding string, ok bool) {
	switch t.ID() {
	case arrow.DATE32:
		return "", n.meaning == dateDays
	case arrow.TIMESTAMP:
		encoding, ok = map[meaning]string{
			millis: "epoch_ms", micros: "epoch_us", nanos: "epoch_ns",
			localMillis: "epoch_ms", localMicros: "epoch_us", localNanos: "epoch_ns",
		}[n.meaning]
		return encoding, ok
	}
	return "", true
}

func (n *node) bytesSource(t *target) (encoding string, source cast.Source, ok bool) {
	switch t.typ.ID() {
	case arrow.DECIMAL128:
		if n.meaning == decimalNumber && t.encoding != "debezium.variable_scale_decimal" {
			return t.encoding, cast.FromUnscaled, true
		}
		return t.encoding, cast.FromBytes, t.encoding != ""
	case arrow.STRING:
		if n.kind == fixed {
			return t.encoding, cast.FromText, n.meaning == uuid || n.meaning == duration
		}
		return t.encoding, cast.FromBytes, n.meaning != decimalNumber
	}
	return t.encoding, cast.FromBytes, t.typ.ID() == arrow.BINARY
}

// direct is the operation that writes without a cast, if there is one.
func (n *node) direct(t arrow.DataType, encoding string) (code, bool) {
	type pair struct {
		kind kind
		id   arrow.Type
	}
	direct, ok := map[pair]code{
		{boolean, arrow.BOOL}:   opBool,
		{integer, arrow.INT32}:  opInt,
		{integer, arrow.DATE32}: opInt,
		{integer, arrow.INT64}:  opWiden,
		{long, arrow.INT64}:     opLong,
		{float, arrow.FLOAT32}:  opFloat,
		{float, arrow.FLOAT64}:  opWidenFloat,
		{double, arrow.FLOAT64}: opDouble,
		{text, arrow.STRING}:    opText,
		{text, arrow.BINARY}:    opBytes,
		{bytes, arrow.BINARY}:   opBytes,
		{fixed, arrow.BINARY}:   opFixed,
		{enum, arrow.STRING}:    opEnum,
	}[pair{n.kind, t.ID()}]
	switch {
	case n.kind == long && encoding == "epoch_us":
		return opLong, true
	case n.kind == long && encoding == "epoch_ms":
		return opMillis, true
	case encoding != "":
		switch encoding {
		case "connect.date", "debezium.date", "connect.time", "debezium.time", "debezium.micro_time", "debezium.nano_time":
			return direct, ok // the number as it is
		}
		return 0, false
	}
	return direct, ok
}

// marked tells whether the placeholder of a change event may stand for the
// value.
func (c *compiler) marked(n *node, t *target) bool {
	return c.p.marker != nil && t.path == "" && (n.kind == text || n.kind == bytes)
}
