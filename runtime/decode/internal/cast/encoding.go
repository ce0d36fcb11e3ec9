package cast

import "slices"

// form is how a value is written, where a format has more than one way.
type form uint8

const (
	formPlain     form = iota
	formEpoch          // a number since 1970-01-01T00:00:00 UTC
	formDays           // a number of days since 1970-01-01
	formWhole          // an integer that means a time of day; kept as it is
	formBase64         // text of bytes
	formHex            // text of bytes
	formTwos           // big-endian two's complement, at the column's scale
	formVariable       // two's complement with a scale of its own
	formZoned          // RFC 3339 with offset
	formZonedTime      // a time of day with offset, kept as text
	formLayout         // a layout of POSIX strptime
)

const strptime = "strptime:"

// encodings are those of the project language: numbers since the epoch, text of
// bytes, and the schema-less forms of Kafka Connect (org.apache.kafka.connect.data)
// and of Debezium (io.debezium.time, io.debezium.data; "Temporal types" and
// "Decimal types" of its connectors' documentation). strptime: is apart, since
// it carries a layout.
var encodings = []struct {
	name  string
	form  form
	unit  int
	kinds []kind
}{
	{"epoch_s", formEpoch, 6, moments},
	{"epoch_ms", formEpoch, 3, moments},
	{"epoch_us", formEpoch, 0, moments},
	{"epoch_ns", formEpoch, -3, moments},
	{"base64", formBase64, 0, []kind{binary}},
	{"hex", formHex, 0, []kind{binary}},
	{"connect.decimal", formTwos, 0, []kind{decimal}},
	{"connect.date", formDays, 0, []kind{date}},
	{"connect.time", formWhole, 0, integers}, // ms since midnight
	{"connect.timestamp", formEpoch, 3, moments},
	{"debezium.date", formDays, 0, []kind{date}},
	{"debezium.time", formWhole, 0, integers},       // ms
	{"debezium.micro_time", formWhole, 0, integers}, // µs
	{"debezium.nano_time", formWhole, 0, integers},  // ns
	{"debezium.timestamp", formEpoch, 3, moments},
	{"debezium.micro_timestamp", formEpoch, 0, moments},
	{"debezium.nano_timestamp", formEpoch, -3, moments},
	{"debezium.zoned_timestamp", formZoned, 0, moments},
	{"debezium.zoned_time", formZonedTime, 0, []kind{text}},
	{"debezium.variable_scale_decimal", formVariable, 0, []kind{decimal}},
}

var (
	moments  = []kind{timestamp, timestamptz}
	integers = []kind{integer, long}
)

// Source is how a format holds a value; a name says the method of Cast that
// takes it.
type Source uint8

// The sources. FromUnscaled is a decimal with a scale of its own.
const (
	FromBool Source = iota
	FromLong
	FromDouble
	FromNumber
	FromText
	FromBytes
	FromUnscaled
)

// Takes tells whether some value of a source can be written, so that a schema
// can be refused before a record is read.
func (c *Cast) Takes(s Source) bool {
	switch c.form {
	case formEpoch:
		return s == FromLong || s == FromNumber || s == FromDouble
	case formDays, formWhole:
		return s == FromLong || s == FromNumber
	case formBase64, formHex, formZoned, formZonedTime, formLayout:
		return s == FromText
	case formTwos:
		return s == FromText || s == FromBytes || s == FromUnscaled
	case formVariable:
		return s == FromUnscaled
	}
	return slices.Contains(plainSources[c.kind], s)
}

var plainSources = map[kind][]Source{
	boolean:     {FromBool},
	integer:     {FromLong, FromNumber},
	long:        {FromLong, FromNumber},
	float:       {FromLong, FromDouble, FromNumber},
	double:      {FromLong, FromDouble, FromNumber},
	decimal:     {FromLong, FromNumber, FromText, FromBytes, FromUnscaled},
	text:        {FromText, FromBytes},
	binary:      {FromText, FromBytes},
	date:        {FromLong, FromText},
	timestamp:   {FromText},
	timestamptz: {FromText},
}
