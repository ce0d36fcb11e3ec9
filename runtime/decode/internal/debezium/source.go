package debezium

import (
	"bytes"
	"math"
	"strconv"
)

// Field is a member of an event's source that Calve reads.
type Field uint8

// The fields; a comment says which connectors have one.
const (
	Connector  Field = iota // all: text
	TsMs                    // all: when the change was made, ms since 1970
	TsUs                    // all since 2.5: µs
	TsNs                    // all since 2.5: ns
	DB                      // all: text
	Schema                  // PostgreSQL: text
	Table                   // relational: text
	LSN                     // PostgreSQL: the place in the write-ahead log
	File                    // MySQL, MariaDB: the binlog's file name
	Pos                     // MySQL, MariaDB: the event's place in the file
	Row                     // MySQL, MariaDB: the row's number in the event
	Ord                     // MongoDB: the event's number in its second
	Collection              // MongoDB: text
	fields
)

var names = [fields]string{
	Connector: "connector", TsMs: "ts_ms", TsUs: "ts_us", TsNs: "ts_ns", DB: "db", Schema: "schema", Table: "table",
	LSN: "lsn", File: "file", Pos: "pos", Row: "row", Ord: "ord", Collection: "collection",
}

// Fields lists all fields.
func Fields() []Field {
	all := make([]Field, fields)
	for i := range all {
		all[i] = Field(i)
	}
	return all
}

// FieldOf finds a field by its name in the event.
func FieldOf(name []byte) (Field, bool) {
	for i, n := range names {
		if n == string(name) {
			return Field(i), true
		}
	}
	return 0, false
}

func (f Field) String() string { return names[f] }

// IsLong tells whether a field holds a whole number; the others hold text.
func (f Field) IsLong() bool {
	switch f {
	case TsMs, TsUs, TsNs, LSN, Pos, Row, Ord:
		return true
	}
	return false
}

// Source is the member source of a change event. Text is not copied. A field
// that is absent or null is not set.
type Source struct {
	longs [fields]int64
	texts [fields][]byte
	set   uint32
}

// Reset forgets all fields.
func (s *Source) Reset() { s.set = 0 }

// Clear forgets one field.
func (s *Source) Clear(f Field) { s.set &^= 1 << f }

// SetLong sets a field for which IsLong holds.
func (s *Source) SetLong(f Field, x int64) {
	s.longs[f] = x
	s.set |= 1 << f
}

// SetText sets one of the other fields.
func (s *Source) SetText(f Field, text []byte) {
	s.texts[f] = text
	s.set |= 1 << f
}

// Has tells whether a field is set.
func (s *Source) Has(f Field) bool { return s.set>>f&1 == 1 }

// Long returns a field's number, 0 if it is not set.
func (s *Source) Long(f Field) int64 {
	if !s.Has(f) {
		return 0
	}
	return s.longs[f]
}

// Text returns a field's text, nil if it is not set.
func (s *Source) Text(f Field) []byte {
	if !s.Has(f) {
		return nil
	}
	return s.texts[f]
}

// Timestamp is when the change was made, in µs since 1970: of the finest of
// ts_ns, ts_us and ts_ms that is there. A connector that does not know the time
// gives 0 (MySQL in a snapshot), which is no time.
func (s *Source) Timestamp() (micros int64, ok bool) {
	switch {
	case s.Long(TsNs) != 0:
		micros = floor(s.Long(TsNs), 1000)
	case s.Long(TsUs) != 0:
		micros = s.Long(TsUs)
	case s.Long(TsMs) != 0:
		ms := s.Long(TsMs)
		if ms > math.MaxInt64/1000 || ms < math.MinInt64/1000 {
			return 0, false
		}
		micros = ms * 1000
	default:
		return 0, false
	}
	return micros, true
}

func floor(x, by int64) int64 {
	q := x / by
	if x%by < 0 {
		q--
	}
	return q
}

// AppendSequence appends text that, compared as bytes, orders the changes of
// one source as its log does; ok is false if the connector gives none or is not
// one of these:
//
//   - postgresql: lsn. Changes of one row are in the order of their LSN, since a
//     transaction holds the row's lock until it has committed.
//   - mysql, mariadb: the number of the binlog's file, pos, row.
//   - mongodb: the second of ts_ms, ord: the cluster time of the oplog entry.
//
// Numbers are decimal, filled with zeros to a fixed width, and joined by dots.
// The order holds within one incarnation of a log: a server whose log was reset
// or restored starts over.
func (s *Source) AppendSequence(dst []byte) (text []byte, ok bool) {
	switch string(s.Text(Connector)) {
	case "postgresql":
		if s.Has(LSN) && s.Long(LSN) >= 0 {
			return appendPadded(dst, s.Long(LSN), 20), true
		}
	case "mysql", "mariadb":
		file, found := fileNumber(s.Text(File))
		if found && s.Has(Pos) && s.Long(Pos) >= 0 && s.Long(Row) >= 0 {
			dst = append(appendPadded(dst, file, 10), '.')
			dst = append(appendPadded(dst, s.Long(Pos), 20), '.')
			return appendPadded(dst, s.Long(Row), 10), true
		}
	case "mongodb":
		if s.Long(TsMs) > 0 && s.Long(Ord) >= 0 {
			dst = append(appendPadded(dst, s.Long(TsMs)/1000, 20), '.')
			return appendPadded(dst, s.Long(Ord), 10), true
		}
	}
	return dst, false
}

// fileNumber is the number of a binlog's file: 3 of mysql-bin.000003.
func fileNumber(file []byte) (int64, bool) {
	digits := file[bytes.LastIndexByte(file, '.')+1:]
	if len(digits) == 0 || len(digits) == len(file) || len(digits) > 10 {
		return 0, false
	}
	n := int64(0)
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + int64(d-'0')
	}
	return n, true
}

func appendPadded(dst []byte, n int64, width int) []byte {
	var scratch [20]byte
	digits := strconv.AppendInt(scratch[:0], n, 10)
	dst = append(dst, "00000000000000000000"[:max(0, width-len(digits))]...)
	return append(dst, digits...)
}

// Name is the table or collection that the change is of, for messages.
func (s *Source) Name() string {
	name := ""
	for _, f := range []Field{DB, Schema, Table, Collection} {
		if part := s.Text(f); len(part) > 0 {
			if name != "" {
				name += "."
			}
			name += string(part)
		}
	}
	if name == "" {
		return "a table"
	}
	return name
}
