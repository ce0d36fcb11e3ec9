package decode

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/record"
)

// Sources of a column that are not fields of the value.
const (
	fromValue    = "kafka.value"
	fromKey      = "kafka.key"     // and, behind a dot, a field of it
	fromHeader   = "kafka.header." // and the header's name
	fromEnvelope = "debezium."     // and a field of the change event
	fromRest     = "*"
)

// Spec says what a Decoder reads and which columns it makes.
type Spec struct {
	Format  string // one of Formats
	Columns []Column
	// MaxRecordBytes rejects records whose key and value together are larger;
	// 0 is no limit.
	MaxRecordBytes int64
	// OnSchemaChange is one of the SchemaChange constants; "" is ignore.
	OnSchemaChange string
	// Schemas finds the schemas that records name; nil without a registry.
	Schemas Schemas
	// NaturalKey names the columns that tell the rows of a database apart, for
	// change streams: an update that changes one of them becomes two rows, the
	// deletion of the old key and the creation of the new one.
	NaturalKey []string
	// UnavailableValue is what stands in change events for a value that they
	// leave out (unavailable.value.placeholder); "" is Debezium's default.
	UnavailableValue string
	// IgnoreTruncations filters change events that say that their table was
	// truncated, and tells of them (record.Batch.Truncations); else they are a
	// *TruncateError.
	IgnoreTruncations bool
	// Allocator holds the memory of formats text and bytes; nil is
	// memory.DefaultAllocator. Batches of the others are made of the memory of
	// those that were released.
	Allocator memory.Allocator
}

// Schemas finds the schemas that records name by id.
type Schemas interface {
	// Schema returns a schema, registry.ErrUnknown if there is none, or the
	// error for which the registry could not be asked, which stops the pipeline.
	Schema(ctx context.Context, id int) (registry.Schema, error)
}

// Column is one column of the rows.
type Column struct {
	Name string
	// From is where the value is:
	//
	//   - kafka.key, kafka.value, kafka.header.<name> (the last header of that
	//     name): the bytes, as they are or as the text of a scalar;
	//   - a path, field names joined by dots, of the value; in a format of change
	//     events of the row;
	//   - kafka.key.<path>: a field of the key, which is of the value's format;
	//   - debezium.<path>: a field of the change event, as debezium.source.db;
	//   - *: all fields that no column reads, as the JSON text of one object, null
	//     if there are none.
	//
	// Empty is the field of the column's name, and kafka.value in formats
	// without fields.
	From     string
	Type     arrow.DataType
	Nullable bool
	// Default is used where the value is missing or null, as text: JSON text
	// for boolean, numbers and nested types, and the bare value for the others.
	Default *string
	// Encoding says how a value of the type is written, where there is more
	// than one way; see Encodings.
	Encoding string
	// Added tells that the column is for a field that the source has and the
	// project does not declare (Change.Add). In JSON its strings take every
	// value, those that are no strings as JSON text.
	Added bool
}

// source is where a column's value is found, after Compile.
type source struct {
	kind   sourceKind
	header string   // the header's name, for sourceHeader
	path   []string // field names
}

type sourceKind uint8

const (
	sourceValue sourceKind = iota
	sourceKey
	sourceHeader
	sourcePath     // a field of the value, or of the row of a change event
	sourceKeyPath  // a field of the key
	sourceEnvelope // a field of the change event
	sourceRest     // the fields that no column reads
)

// isBytes tells whether the source is bytes rather than a field.
func (s source) isBytes() bool {
	return s.kind == sourceValue || s.kind == sourceKey || s.kind == sourceHeader
}

// seeks tells whether fields that no column reads are looked for.
func (s Spec) seeks() bool {
	return s.OnSchemaChange == SchemaChangeAppend || s.OnSchemaChange == SchemaChangeFail
}

func (s Spec) validate() error {
	if _, known := findFormat(s.Format); !known {
		return fmt.Errorf("format %q is not known; expected one of %s", s.Format, strings.Join(Formats, ", "))
	}
	if len(s.Columns) == 0 {
		return fmt.Errorf("no columns; declare at least one")
	}
	if s.MaxRecordBytes < 0 {
		return fmt.Errorf("max_record_bytes %d is negative; expected a number of bytes, or 0 for no limit", s.MaxRecordBytes)
	}
	switch s.OnSchemaChange {
	case "", SchemaChangeIgnore, SchemaChangeAppend, SchemaChangeFail:
	default:
		return fmt.Errorf("on_schema_change %q is not known; expected %s, %s or %s", s.OnSchemaChange, SchemaChangeIgnore, SchemaChangeAppend, SchemaChangeFail)
	}
	seen := map[string]bool{}
	for _, c := range s.Columns {
		if c.Name == "" {
			return fmt.Errorf("a column has no name")
		}
		if record.IsPositionColumn(c.Name) {
			return fmt.Errorf("column %q: the name belongs to a position column that every staging table has; choose another", c.Name)
		}
		if f, _ := findFormat(s.Format); f.changes && record.IsChangeColumn(c.Name) {
			return fmt.Errorf("column %q: the name belongs to a change column that every table over change events has; choose another", c.Name)
		}
		lower := strings.ToLower(c.Name)
		if seen[lower] {
			return fmt.Errorf("column %q: declared twice (names are compared ignoring case)", c.Name)
		}
		seen[lower] = true
	}
	rest := ""
	for _, c := range s.Columns {
		if c.From != fromRest {
			continue
		}
		if rest != "" {
			return fmt.Errorf("column %q: from \"*\" is column %q's already", c.Name, rest)
		}
		rest = c.Name
	}
	for _, name := range s.NaturalKey {
		if !slices.ContainsFunc(s.Columns, func(c Column) bool { return c.Name == name }) {
			return fmt.Errorf("natural_key: there is no column %q", name)
		}
	}
	return nil
}

func (c Column) source(f format) (source, error) {
	from := c.From
	if from == "" {
		if !f.fields {
			return source{kind: sourceValue}, nil
		}
		// The name itself is one field name, dots included.
		return source{kind: sourcePath, path: []string{c.Name}}, nil
	}
	kind, path := sourcePath, from
	switch {
	case from == fromValue:
		return source{kind: sourceValue}, nil
	case from == fromKey:
		return source{kind: sourceKey}, nil
	case strings.HasPrefix(from, fromHeader) && len(from) > len(fromHeader):
		return source{kind: sourceHeader, header: from[len(fromHeader):]}, nil
	case f.fields && from == fromRest:
		return source{kind: sourceRest}, nil
	case f.fields && strings.HasPrefix(from, fromKey+"."):
		kind, path = sourceKeyPath, from[len(fromKey)+1:]
	case f.changes && strings.HasPrefix(from, fromEnvelope):
		kind, path = sourceEnvelope, from[len(fromEnvelope):]
	case strings.HasPrefix(from, "kafka."), !f.fields:
		expected := "kafka.value, kafka.key or kafka.header.<name>"
		if f.fields {
			expected = "kafka.value, kafka.key, kafka.key.<path>, kafka.header.<name>, or a path into the value"
		}
		return source{}, fmt.Errorf("column %q: from %q is not known; expected %s", c.Name, from, expected)
	}
	parts := strings.Split(path, ".")
	if slices.Contains(parts, "") {
		return source{}, fmt.Errorf("column %q: from %q has an empty part; expected field names joined by dots, as in customer.address.city", c.Name, from)
	}
	return source{kind: kind, path: parts}, nil
}

func buildSchema(columns []Column) *arrow.Schema {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.Name, Type: c.Type, Nullable: c.Nullable}
	}
	return arrow.NewSchema(fields, nil)
}
