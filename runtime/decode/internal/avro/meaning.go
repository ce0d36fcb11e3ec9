package avro

import "github.com/twmb/avro"

// meaning is what a value stands for beyond its type: a logical type of the
// specification, or a schema name of Kafka Connect or Debezium, which Confluent's
// converter keeps as connect.name.
type meaning uint8

const (
	plain meaning = iota
	dateDays
	timeOfDay // a whole number of a unit since midnight
	millis    // since 1970, a moment
	micros
	nanos
	localMillis // since 1970 in no time zone
	localMicros
	localNanos
	decimalNumber
	uuid
	duration
	zonedTimestamp // RFC 3339 text
	zonedTime      // text
	variableScale  // a record of scale and value
)

var meaningNames = map[meaning]string{
	dateDays: "date", timeOfDay: "a time of day", millis: "timestamp-millis", micros: "timestamp-micros", nanos: "timestamp-nanos",
	localMillis: "local-timestamp-millis", localMicros: "local-timestamp-micros", localNanos: "local-timestamp-nanos",
	decimalNumber: "decimal", uuid: "uuid", duration: "duration", zonedTimestamp: "io.debezium.time.ZonedTimestamp",
	zonedTime: "io.debezium.time.ZonedTime", variableScale: "io.debezium.data.VariableScaleDecimal",
}

// typed is a meaning of one physical type; on any other it is no more than a
// note ("implementations must ignore unknown logical types").
type typed struct {
	kind    kind
	meaning meaning
}

var logicalTypes = map[string][]typed{
	"date":                   {{integer, dateDays}},
	"time-millis":            {{integer, timeOfDay}},
	"time-micros":            {{long, timeOfDay}},
	"timestamp-millis":       {{long, millis}},
	"timestamp-micros":       {{long, micros}},
	"timestamp-nanos":        {{long, nanos}},
	"local-timestamp-millis": {{long, localMillis}},
	"local-timestamp-micros": {{long, localMicros}},
	"local-timestamp-nanos":  {{long, localNanos}},
	"decimal":                {{bytes, decimalNumber}, {fixed, decimalNumber}},
	"uuid":                   {{text, uuid}, {fixed, uuid}},
	"duration":               {{fixed, duration}},
}

var connectNames = map[string][]typed{
	"org.apache.kafka.connect.data.Date":      {{integer, dateDays}},
	"org.apache.kafka.connect.data.Time":      {{integer, timeOfDay}},
	"org.apache.kafka.connect.data.Timestamp": {{long, millis}},
	"io.debezium.time.Date":                   {{integer, dateDays}},
	"io.debezium.time.Time":                   {{integer, timeOfDay}},
	"io.debezium.time.MicroTime":              {{long, timeOfDay}},
	"io.debezium.time.NanoTime":               {{long, timeOfDay}},
	"io.debezium.time.Timestamp":              {{long, localMillis}},
	"io.debezium.time.MicroTimestamp":         {{long, localMicros}},
	"io.debezium.time.NanoTimestamp":          {{long, localNanos}},
	"io.debezium.time.ZonedTimestamp":         {{text, zonedTimestamp}},
	"io.debezium.time.ZonedTime":              {{text, zonedTime}},
	"io.debezium.data.VariableScaleDecimal":   {{structure, variableScale}},
}

// interpret sets the meaning. A connect.name is more exact than a logical type.
func (n *node) interpret(from *avro.SchemaNode) {
	n.digits, n.scale = from.Precision, from.Scale
	name, _ := from.Props["connect.name"].(string)
	for _, t := range append(append([]typed{}, connectNames[name]...), logicalTypes[from.LogicalType]...) {
		if t.kind == n.kind && n.holds(t.meaning) {
			n.meaning = t.meaning
			return
		}
	}
	if n.kind == structure && n.name == "io.debezium.data.VariableScaleDecimal" && n.holds(variableScale) {
		n.meaning = variableScale
	}
}

// holds tells whether a node has the shape that a meaning needs.
func (n *node) holds(m meaning) bool {
	switch {
	case m == variableScale:
		return len(n.fields) == 2 && n.fields[0].name == "scale" && n.fields[0].node.kind == integer &&
			n.fields[1].name == "value" && n.fields[1].node.kind == bytes
	case m == uuid && n.kind == fixed:
		return n.size == 16
	case m == duration:
		return n.size == 12
	case m == decimalNumber:
		return n.digits > 0
	}
	return true
}
