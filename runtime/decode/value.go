package decode

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/decode/internal/cast"
	"github.com/calvelake/calve/runtime/decode/internal/vector"
	"github.com/calvelake/calve/runtime/record"
)

// Encodings lists the encodings that a data_type takes, nil for none; one that
// ends in <layout> takes a layout of POSIX strptime there.
func Encodings(t arrow.DataType) []string { return cast.Encodings(t) }

// encodingVariableScale is the one encoding whose value is an object in JSON.
const encodingVariableScale = "debezium.variable_scale_decimal"

// value is a data_type, compiled for JSON.
type value struct {
	kind   vector.Kind
	name   string // the data_type, for messages
	leaf   *cast.Cast
	epoch  *cast.Cast // milliseconds since 1970, of a leaf that is a time
	plain  bool       // a string without an encoding: takes objects and arrays as JSON text
	any    bool       // a string that takes everything as JSON text
	scaled bool       // encodingVariableScale
	fields []field    // of a struct; a list's element; a map's key and value
}

type field struct {
	name     string
	value    *value
	nullable bool
}

func compileValue(t arrow.DataType, encoding string) (*value, error) {
	v := &value{name: record.FormatType(t)}
	switch t := t.(type) {
	case *arrow.StructType:
		v.kind = vector.Struct
		return v, v.nest(encoding, t.Fields()...)
	case *arrow.ListType:
		v.kind = vector.List
		return v, v.nest(encoding, t.ElemField())
	case *arrow.MapType:
		v.kind = vector.Map
		return v, v.nest(encoding, t.KeyField(), t.ItemField())
	}
	probe, err := vector.New(t)
	if err != nil {
		return nil, err
	}
	v.kind = probe.Kind
	if v.leaf, err = cast.New(t, encoding); err != nil {
		return nil, err
	}
	v.plain = v.kind == vector.String && encoding == ""
	v.scaled = encoding == encodingVariableScale
	if v.kind == vector.Timestamp {
		if v.epoch, err = cast.New(t, "epoch_ms"); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (v *value) nest(encoding string, fields ...arrow.Field) error {
	if encoding != "" {
		return fmt.Errorf("encoding %q is not one of data_type %s, which takes no encoding", encoding, v.name)
	}
	for _, f := range fields {
		inner, err := compileValue(f.Type, "")
		if err != nil {
			return err
		}
		v.fields = append(v.fields, field{name: f.Name, value: inner, nullable: f.Nullable})
	}
	if v.kind == vector.Map {
		switch v.fields[0].value.kind {
		case vector.String, vector.Int, vector.Long, vector.Date:
		default:
			return fmt.Errorf("data_type %s: a map's key must be string, int, long or date", v.name)
		}
	}
	return nil
}

// takeAny makes the strings of the type take every value.
func (v *value) takeAny() {
	v.any = v.plain
	for _, f := range v.fields {
		f.value.takeAny()
	}
}

// scratch is what a record's values are read with.
type scratch struct {
	text     []byte // unescaped strings; valid until the next record
	extended bool   // values are MongoDB's extended JSON
	unknown  int64  // members of structs that the types do not have
}

func (s *scratch) reset() { s.text, s.extended, s.unknown = s.text[:0], false, 0 }

// valueError says why a value is no value of its type.
type valueError struct {
	code     string
	path     string // inside the column, "" for the column itself
	found    []byte // JSON text; nil if there was no value
	expected string
}

func (e *valueError) Error() string {
	found := "no value"
	if e.found != nil {
		found = excerpt(e.found)
	}
	if e.path != "" {
		found = e.path + ": " + found
	}
	return fmt.Sprintf("found %s, expected %s", found, e.expected)
}

func wrongType(found []byte, expected string) *valueError {
	return &valueError{code: record.CodeType, found: found, expected: expected}
}

// inside returns the error as seen from a value around it.
func (e *valueError) inside(path string) *valueError {
	if e.path != "" && e.path[0] != '[' {
		path += "."
	}
	e.path = path + e.path
	return e
}

// maxExcerpt bounds the bytes of a value that a message quotes: a dead letter
// holds the whole record anyway.
const maxExcerpt = 80

// excerpt shortens text for a message and makes it printable.
func excerpt(text []byte) string {
	cut := ""
	if len(text) > maxExcerpt {
		end := maxExcerpt - len("…")
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text, cut = text[:end], "…"
	}
	if utf8.Valid(text) && bytes.IndexFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) < 0 {
		return string(text) + cut
	}
	quoted := strconv.Quote(string(text))
	if len(quoted) > maxExcerpt {
		quoted = quoted[:maxExcerpt-len("…")]
		cut = "…"
	}
	return quoted + cut
}

// isNull tells whether a JSON value is null.
func isNull(raw []byte) bool { return raw[0] == 'n' }

// write writes a JSON value that is not null as a row of a vector. After an
// error the row must be rolled back.
func (v *value) write(raw []byte, to *vector.Vector, row int, s *scratch) *valueError {
	switch v.kind {
	case vector.Struct:
		return v.writeStruct(raw, to, row, s)
	case vector.List:
		return v.writeList(raw, to, row, s)
	case vector.Map:
		return v.writeMap(raw, to, row, s)
	}
	if err := v.writeLeaf(raw, to, row, s); err != nil {
		return castError(raw, err)
	}
	return nil
}

// castError names what was found where a cast failed.
func castError(found []byte, err error) *valueError {
	var wrong *cast.Error
	if errors.As(err, &wrong) {
		return wrongType(found, wrong.Expected)
	}
	return wrongType(found, err.Error())
}

func (v *value) writeLeaf(raw []byte, to *vector.Vector, row int, s *scratch) error {
	switch raw[0] {
	case '"':
		return v.leaf.Text(to, row, s.unquote(raw))
	case '{', '[':
		if s.extended && raw[0] == '{' {
			if done, err := v.writeExtended(raw, to, row, s); done {
				return err
			}
		}
		switch {
		case v.plain:
			return v.leaf.Text(to, row, raw)
		case v.scaled && raw[0] == '{':
			return v.writeScaled(raw, to, row, s)
		}
		return v.mismatch(to, row)
	}
	switch {
	case v.any:
		return v.leaf.Text(to, row, raw)
	case raw[0] == 't' || raw[0] == 'f':
		return v.leaf.Bool(to, row, raw[0] == 't')
	}
	return v.leaf.Number(to, row, raw)
}

// mismatch is the error of a value whose kind no leaf takes.
func (v *value) mismatch(to *vector.Vector, row int) error {
	if v.kind == vector.Boolean {
		return v.leaf.Text(to, row, nil)
	}
	return v.leaf.Bool(to, row, false)
}

// writeScaled writes Debezium's VariableScaleDecimal: an object of the scale and
// the unscaled number, as base64 of big-endian two's complement.
func (v *value) writeScaled(raw []byte, to *vector.Vector, row int, s *scratch) error {
	scale, number := []byte(nil), []byte(nil)
	object := membersOf(raw)
	for {
		name, member, ok := object.next()
		if !ok {
			break
		}
		switch string(s.unescapeName(name)) {
		case "scale":
			scale = member
		case "value":
			number = member
		}
	}
	if scale == nil || number == nil || number[0] != '"' {
		return v.mismatch(to, row)
	}
	places, err := strconv.ParseInt(string(scale), 10, 32)
	if err != nil {
		return v.mismatch(to, row)
	}
	unscaled, ok := s.decodeBase64(s.unquote(number))
	if !ok {
		return v.mismatch(to, row)
	}
	return v.leaf.Unscaled(to, row, unscaled, int(places))
}
