package main

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/twmb/avro"

	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/kafka"
)

// register makes a schema a version of a subject and returns its id.
type register func(ctx context.Context, subject string, s registry.Schema) (int, error)

// topic is one topic, and the table that its records become.
type topic struct {
	name, model string
	columns     []column // of the table, in order, without position columns
	sample      func(i int) (sample, error)
}

// column is a name and a type as Iceberg writes it.
type column [2]string

// row is values by column, in the JSON form of interop/engines/report.py: decimals are
// text, instants are microseconds, bytes are hexadecimal digits. A column that is not
// there is null.
type row map[string]any

// sample is a record and what has to become of it: rows, a letter, or else it is
// filtered.
type sample struct {
	kafka.ProduceRecord
	rows   []row
	letter *letter
}

// letter is a dead letter.
type letter struct {
	Reason string  `json:"reason_code"`
	Column *string `json:"column_name"`
	Key    *string `json:"record_key"` // hexadecimal digits, as the value; null is null
	Value  *string `json:"record_value"`
}

// expectation is what has to become of all that is produced.
type expectation struct {
	Models map[string]*fates `json:"models"`
}

// fates is what has to become of a topic in its model.
type fates struct {
	Topic     string   `json:"topic"`
	Columns   []column `json:"columns"`
	Delivered int64    `json:"delivered"`
	WithRows  int64    `json:"with_rows"`
	Filtered  int64    `json:"filtered"`
	Rows      []row    `json:"rows"`
	Letters   []letter `json:"letters"`
}

func (f *fates) add(s sample) {
	f.Delivered++
	switch {
	case s.letter != nil:
		l := *s.letter
		l.Key, l.Value = digits(s.Key), digits(s.Value)
		f.Letters = append(f.Letters, l)
	case len(s.rows) == 0:
		f.Filtered++
	default:
		f.WithRows++
	}
	for n, r := range s.rows {
		r["kafka_topic"], r["kafka_row"] = f.Topic, n
		f.Rows = append(f.Rows, r)
	}
}

// digits is the JSON form of bytes, nil for null.
func digits(b []byte) *string {
	if b == nil {
		return nil
	}
	text := hex.EncodeToString(b)
	return &text
}

// dead makes a sample one that becomes a letter; column "" is none in particular.
func (s sample) dead(reason, column string) sample {
	s.rows, s.letter = nil, &letter{Reason: reason}
	if column != "" {
		s.letter.Column = &column
	}
	return s
}

// with is the sample with another value.
func (s sample) with(value []byte) sample {
	s.Value = value
	return s
}

// Of every breakEvery records one is broken, in one way after the other.
const breakEvery = 19

// broken says in which of so many ways a record is broken; -1 is in none.
func broken(i, ways int) int {
	if i%breakEvery != breakEvery-1 {
		return -1
	}
	return i / breakEvery % ways
}

// unregistered is an id that a registry with a handful of schemas does not have.
const unregistered = 987_654_321

// wire puts a schema's id before a body, as Confluent's serializers do.
func wire(id int, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), body...)
}

// encoder writes values of one Avro schema of the registry.
type encoder struct {
	id     int
	schema *avro.Schema
}

func newEncoder(ctx context.Context, register register, subject, text string) (*encoder, error) {
	schema, err := avro.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parse the schema of %s: %w", subject, err)
	}
	id, err := register(ctx, subject, registry.Schema{Type: registry.Avro, Text: text})
	return &encoder{id, schema}, err
}

func (e *encoder) encode(value map[string]any) ([]byte, error) {
	body, err := e.schema.Encode(value)
	if err != nil {
		return nil, fmt.Errorf("encode Avro: %w", err)
	}
	return wire(e.id, body), nil
}

// epoch is the instant of record 0.
var epoch = time.Date(2026, time.February, 27, 22, 30, 0, 123_456_000, time.UTC)

// instant is that of a record, some minutes after the one before.
func instant(i int) time.Time { return epoch.Add(time.Duration(i) * 7 * time.Minute) }

// day is the date of an instant, as JSON has it.
func day(t time.Time) string { return t.Format(time.DateOnly) }

// days is the number of days since 1970.
func days(t time.Time) int64 { return t.Truncate(24*time.Hour).Unix() / 86400 }

// cents is a number of hundredths as decimal text.
func cents(n int64) string { return big.NewRat(n, 100).FloatString(2) }

// twos is a number as Kafka Connect writes the unscaled value of a decimal: in two's
// complement, big-endian, as short as can be.
func twos(n int64) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(n))
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		b = b[1:]
	}
	return b
}

// oversized is a value beyond the sources' max_record_bytes.
func oversized() []byte { return []byte(strings.Repeat("x", 65<<10)) }

var errNoSample = errors.New("there is no such way to break a record")
