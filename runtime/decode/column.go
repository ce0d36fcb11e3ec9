package decode

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/decode/internal/cast"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/record"
)

// column is a Column after Compile.
type column struct {
	name     string
	source   source
	dataType arrow.DataType
	encoding string
	nullable bool
	added    bool
	value    *value     // how JSON is read; nil for a source of bytes
	plain    *cast.Cast // how bytes are read; nil for other sources
	isText   bool       // bytes are text: the column is a string
	bare     []byte     // the default, if bytes go into a column of bytes as they are; nil if there is none
	fallback *vector.Vector
}

// whole tells whether a column takes a source's bytes as they are.
func (c *column) whole() bool {
	return c.source.isBytes() && (c.dataType.ID() == arrow.STRING || c.dataType.ID() == arrow.BINARY)
}

func compileColumn(c Column, f format) (column, error) {
	src, err := c.source(f)
	if err != nil {
		return column{}, err
	}
	if c.Type == nil {
		return column{}, fmt.Errorf("column %q: no data_type", c.Name)
	}
	compiled := column{name: c.Name, source: src, dataType: c.Type, encoding: c.Encoding, nullable: c.Nullable, added: c.Added}
	if src.isBytes() {
		err = compiled.compileBytes(f)
	} else {
		compiled.value, err = compileValue(c.Type, c.Encoding)
	}
	if err != nil {
		return column{}, fmt.Errorf("column %q: %w", c.Name, err)
	}
	if src.kind == sourceRest && c.Type.ID() != arrow.STRING {
		return column{}, fmt.Errorf("column %q: data_type %s cannot hold the fields that no column reads (from: \"*\"); use string", c.Name, record.FormatType(c.Type))
	}
	if c.Added && compiled.value != nil {
		compiled.value.takeAny()
	}
	if c.Default == nil {
		return compiled, nil
	}
	if err := compiled.compileDefault(*c.Default); err != nil {
		return column{}, fmt.Errorf("column %q: default %q: %w", c.Name, *c.Default, err)
	}
	return compiled, nil
}

// compileBytes compiles a column of a record's key, its value as a whole, or a
// header.
func (c *column) compileBytes(f format) error {
	name := record.FormatType(c.dataType)
	if c.whole() {
		if c.encoding != "" {
			return fmt.Errorf("encoding %q: a column of %s with data_type %s takes no encoding", c.encoding, c.source, name)
		}
		c.isText = c.dataType.ID() == arrow.STRING
		var err error
		c.plain, err = cast.New(c.dataType, "")
		return err
	}
	if c.source.kind == sourceValue && f.name != "text" {
		return fmt.Errorf("data_type %s cannot be read from %s of format %s; use string or binary", name, c.source, f.name)
	}
	plain, err := cast.New(c.dataType, c.encoding)
	if err != nil {
		return fmt.Errorf("%w (it is read from %s)", err, c.source)
	}
	c.plain = plain
	return nil
}

// compileDefault reads the default into a vector of one row. A timestamp's is
// written as RFC 3339 whatever the column's encoding is.
func (c *column) compileDefault(text string) error {
	raw := []byte(text)
	var err error
	if c.fallback, err = vector.New(c.dataType); err != nil {
		return err
	}
	c.fallback.Reserve(1, 0)
	if c.whole() {
		c.bare = raw
		return c.plain.Bytes(c.fallback, 0, raw)
	}
	value, err := compileValue(c.dataType, "")
	if err != nil {
		return err
	}
	switch c.dataType.ID() {
	case arrow.STRING, arrow.BINARY, arrow.DATE32, arrow.TIMESTAMP, arrow.DECIMAL128:
		if !utf8.Valid(raw) {
			return errors.New("is not valid UTF-8")
		}
		if raw, err = json.Marshal(text); err != nil {
			return fmt.Errorf("quote it: %w", err)
		}
	default:
		raw = trim(raw)
		if err := checkJSON(raw); err != nil {
			return fmt.Errorf("expected %s: %w", value.name, err)
		}
		if isNull(raw) {
			return errors.New("a default cannot be null; leave it out and make the column nullable")
		}
	}
	if err := value.write(raw, c.fallback, 0, new(scratch)); err != nil {
		return err
	}
	return nil
}

// writeMissing writes the row of a column that finds no value: its default or a
// null. found is the null that was found, nil if there was nothing.
func (c *column) writeMissing(found []byte, to *vector.Vector, row int) *valueError {
	switch {
	case c.fallback != nil:
		to.Copy(row, c.fallback, 0)
	case c.nullable:
		to.SetNull(row)
	default:
		return &valueError{code: record.CodeMissing, found: found, expected: c.expected()}
	}
	return nil
}

func (c *column) expected() string {
	return record.FormatType(c.dataType) + ", since the column is neither nullable nor has a default"
}

// writeBytes writes the row of a column that reads bytes; raw is nil for none.
func (c *column) writeBytes(raw []byte, to *vector.Vector, row int) *valueError {
	if raw == nil {
		return c.writeMissing(nil, to, row)
	}
	if c.isText && !utf8.Valid(raw) {
		return &valueError{code: record.CodeType, found: raw, expected: "string, valid UTF-8"}
	}
	if err := c.plain.Plain(to, row, raw); err != nil {
		return castError(raw, err)
	}
	return nil
}

// reject is the reject of a record for one of its columns.
func (c *column) reject(err *valueError) *record.Reject {
	return &record.Reject{Code: err.code, Column: c.name, Message: fmt.Sprintf("column %s: %s", c.name, err)}
}
