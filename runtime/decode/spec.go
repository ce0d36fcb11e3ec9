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

// Formats lists the formats that Compile knows.
var Formats = []string{"json", "text", "bytes"}

// Sources of a column that are not members of a JSON document.
const (
	fromValue  = "kafka.value"
	fromKey    = "kafka.key"
	fromHeader = "kafka.header." // and the header's name
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
	// Allocator holds the batches' memory; nil is memory.DefaultAllocator.
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
	// From is where the value is: kafka.key, kafka.value, kafka.header.<name>
	// (the last header of that name), or, in format json, a path of member
	// names joined by dots. Empty is the column's name in format json, and
	// kafka.value in the others.
	From     string
	Type     arrow.DataType
	Nullable bool
	// Default is used where the value is missing or null, as text: JSON text
	// for boolean, numbers and nested types, and the bare value for the others.
	Default *string
	// Encoding says how a value of the type is written, where there is more
	// than one way; see Encodings.
	Encoding string
}

// source is where a column's value is found, after Compile.
type source struct {
	kind   sourceKind
	header string   // the header's name, for sourceHeader
	path   []string // member names, for sourcePath
}

type sourceKind uint8

const (
	sourceValue sourceKind = iota
	sourceKey
	sourceHeader
	sourcePath
)

// bytesSource tells whether the source is bytes rather than JSON.
func (s source) bytesSource() bool { return s.kind != sourcePath }

func (s Spec) validate() error {
	if !slices.Contains(Formats, s.Format) {
		return fmt.Errorf("format %q is not known; expected one of %s", s.Format, strings.Join(Formats, ", "))
	}
	if len(s.Columns) == 0 {
		return fmt.Errorf("no columns; declare at least one")
	}
	if s.MaxRecordBytes < 0 {
		return fmt.Errorf("max_record_bytes %d is negative; expected a number of bytes, or 0 for no limit", s.MaxRecordBytes)
	}
	seen := map[string]bool{}
	for _, c := range s.Columns {
		if c.Name == "" {
			return fmt.Errorf("a column has no name")
		}
		if record.IsPositionColumn(c.Name) {
			return fmt.Errorf("column %q: the name belongs to a position column that every staging table has; choose another", c.Name)
		}
		lower := strings.ToLower(c.Name)
		if seen[lower] {
			return fmt.Errorf("column %q: declared twice (names are compared ignoring case)", c.Name)
		}
		seen[lower] = true
	}
	return nil
}

func (c Column) source(format string) (source, error) {
	from := c.From
	if from == "" {
		if format != "json" {
			return source{kind: sourceValue}, nil
		}
		// The name itself is one member name, dots included.
		return source{kind: sourcePath, path: []string{c.Name}}, nil
	}
	switch {
	case from == fromValue:
		return source{kind: sourceValue}, nil
	case from == fromKey:
		return source{kind: sourceKey}, nil
	case strings.HasPrefix(from, fromHeader) && len(from) > len(fromHeader):
		return source{kind: sourceHeader, header: from[len(fromHeader):]}, nil
	case strings.HasPrefix(from, "kafka."), format != "json":
		return source{}, fmt.Errorf("column %q: from %q is not known; expected kafka.value, kafka.key or kafka.header.<name>%s",
			c.Name, from, map[bool]string{true: ", or a path into the document"}[format == "json"])
	}
	path := strings.Split(from, ".")
	if slices.Contains(path, "") {
		return source{}, fmt.Errorf("column %q: from %q has an empty part; expected member names joined by dots, as in customer.address.city", c.Name, from)
	}
	return source{kind: sourcePath, path: path}, nil
}

func buildSchema(columns []Column) *arrow.Schema {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.Name, Type: c.Type, Nullable: c.Nullable}
	}
	return arrow.NewSchema(fields, nil)
}
