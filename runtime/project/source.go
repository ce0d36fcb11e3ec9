package project

import (
	"fmt"
	"regexp"
	"time"
)

// Format is how the values of a topic are encoded.
type Format string

const (
	FormatJSON          Format = "json"
	FormatText          Format = "text"  // UTF-8, the record's value is one column
	FormatBytes         Format = "bytes" // anything, the record's value is one column
	FormatConfluentJSON Format = "confluent-json"
	FormatAvro          Format = "avro"
	FormatProtobuf      Format = "protobuf"
	FormatDebeziumJSON  Format = "debezium-json"
	FormatDebeziumAvro  Format = "debezium-avro"
)

// HasFields tells whether values have fields that columns can name.
func (f Format) HasFields() bool { return f != FormatText && f != FormatBytes }

// IsDebezium tells whether values are change events of a database.
func (f Format) IsDebezium() bool { return f == FormatDebeziumJSON || f == FormatDebeziumAvro }

// Source is a group of topics that are read alike.
type Source struct {
	Name        string
	Description string
	Connection  string // always "kafka"
	Tables      []SourceTable
	File        string // that declares it, relative to the project's folder
	Line        int

	Format         Format     // of tables that give none
	Freshness      *Freshness // of tables that give none; nil for none
	MaxRecordBytes int64      // of tables that give none

	doc  *document
	path string // within doc
}

// SourceTable is one topic. What a table does not give is its source's.
type SourceTable struct {
	Name           string
	Description    string
	Topic          string
	Format         Format
	Freshness      *Freshness // nil for none
	MaxRecordBytes int64      // larger records become dead letters
}

// Freshness says how old the newest record of a topic may be. A zero duration
// is no limit.
type Freshness struct {
	WarnAfter, ErrorAfter time.Duration
}

// sourcesShape is a document below models/ that lists sources.
var sourcesShape = object[sourcesFile]{
	name: "sources file",
	doc:  "Sources: the topics that models of kind staging read.",
	fields: []field[sourcesFile]{
		key("sources", list[Source]{of: sourceShape, least: 1}, func(f *sourcesFile) *[]Source { return &f.sources }, "The sources.").must(),
	},
}

type sourcesFile struct{ sources []Source }

var sourceShape = object[Source]{
	name: "source",
	fields: []field[Source]{
		key("name", name, func(s *Source) *string { return &s.Name }, "The source's name, as in from: source.<source>.<table>.").must(),
		key("description", text, func(s *Source) *string { return &s.Description }, "For people."),
		key("connection", oneOf("kafka"), func(s *Source) *string { return &s.Connection }, "The connection to read from.").or("kafka"),
		key("format", formats, func(s *Source) *Format { return &s.Format }, "How values are encoded.").or(string(FormatJSON)),
		key("freshness", optional(freshnessShape), func(s *Source) **Freshness { return &s.Freshness }, "How old the newest record may be."),
		key("max_record_bytes", positiveSize, func(s *Source) *int64 { return &s.MaxRecordBytes }, "Larger records become dead letters.").or("10MiB"),
		key("tables", list[SourceTable]{of: sourceTableShape, least: 1, unique: func(t SourceTable) string { return t.Name }},
			func(s *Source) *[]SourceTable { return &s.Tables }, "The topics.").must(),
	},
	check: func(_ reader, s *Source) { s.inherit() },
}

// inherit gives tables what they leave to their source.
func (s *Source) inherit() {
	for i := range s.Tables {
		t := &s.Tables[i]
		if t.Format == "" {
			t.Format = s.Format
		}
		if t.Freshness == nil {
			t.Freshness = s.Freshness
		}
		if t.MaxRecordBytes == 0 {
			t.MaxRecordBytes = s.MaxRecordBytes
		}
	}
}

var formats = oneOf(FormatJSON, FormatText, FormatBytes, FormatConfluentJSON, FormatAvro, FormatProtobuf, FormatDebeziumJSON, FormatDebeziumAvro)

var sourceTableShape = object[SourceTable]{
	name: "source table",
	fields: []field[SourceTable]{
		key("name", name, func(t *SourceTable) *string { return &t.Name }, "The table's name, as in from: source.<source>.<table>.").must(),
		key("description", text, func(t *SourceTable) *string { return &t.Description }, "For people."),
		key("topic", topic, func(t *SourceTable) *string { return &t.Topic }, "The Kafka topic.").must(),
		key("format", formats, func(t *SourceTable) *Format { return &t.Format }, "How values are encoded; the source's by default."),
		key("freshness", optional(freshnessShape), func(t *SourceTable) **Freshness { return &t.Freshness }, "How old the newest record may be; the source's by default."),
		key("max_record_bytes", positiveSize, func(t *SourceTable) *int64 { return &t.MaxRecordBytes }, "Larger records become dead letters; the source's by default."),
	},
}

var freshnessShape = object[Freshness]{
	name: "freshness",
	fields: []field[Freshness]{
		key("warn_after", positiveDuration, func(f *Freshness) *time.Duration { return &f.WarnAfter }, "Warn when the newest record is older."),
		key("error_after", positiveDuration, func(f *Freshness) *time.Duration { return &f.ErrorAfter }, "Fail when the newest record is older."),
	},
	check: func(r reader, f *Freshness) {
		if f.WarnAfter > 0 && f.ErrorAfter > 0 && f.WarnAfter > f.ErrorAfter {
			r.failAt("warn_after", "warn_after is longer than error_after", "the warning should come first")
		}
	},
}

// topicPattern is what Kafka takes (org.apache.kafka.common.internals.Topic).
const topicPattern = `^[A-Za-z0-9._-]{1,249}$`

var topicText = regexp.MustCompile(topicPattern)

var topic = patterned("a topic name", topicPattern, func(text string) (string, error) {
	if !topicText.MatchString(text) || text == "." || text == ".." {
		return "", fmt.Errorf("%q is no topic name, expected up to 249 letters, digits, ., _ and -", excerpt(text))
	}
	return text, nil
})
