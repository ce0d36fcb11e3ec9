package protobuf

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/calvelake/calve/runtime/decode/internal/cast"
	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/record"
)

// reject says why a value is none of its column's type.
func (x *value) reject(err error, found string) *program.Error {
	expected := err.Error()
	if c := (*cast.Error)(nil); errors.As(err, &c) {
		expected = c.Expected
	}
	return &program.Error{Code: record.CodeType, Column: x.column.Index, Path: x.name, Found: found, Expected: expected}
}

// missing says that a column has no value.
func (x *value) missing() *program.Error {
	expected := "a value, since the column is not nullable and has no default"
	if x.desc == nil {
		expected = fmt.Sprintf("a field %s in the schema that the record names, since the column is not nullable and has no default", joinPath(x.column.Path))
	}
	return &program.Error{Code: record.CodeMissing, Column: x.column.Index, Path: x.name, Expected: expected}
}

// inside returns an error as seen from the values around it, the inner first.
func inside(err *program.Error, around ...string) *program.Error {
	if err == nil {
		return nil
	}
	for _, name := range around {
		switch {
		case err.Path == "" || name == "":
			err.Path = name + err.Path
		case err.Path[0] == '[':
			err.Path = name + err.Path
		default:
			err.Path = name + "." + err.Path
		}
	}
	return err
}

// found prints a scalar as set takes it.
func (x *value) found(number uint64, text []byte) string {
	switch x.class {
	case classBool:
		return strconv.FormatBool(number != 0)
	case classInt, classEnum, className:
		return strconv.FormatInt(int64(number), 10)
	case classFloat:
		return strconv.FormatFloat(float64(math.Float32frombits(uint32(number))), 'g', -1, 32)
	case classDouble:
		return strconv.FormatFloat(math.Float64frombits(number), 'g', -1, 64)
	case classText, classBytes:
		return excerpt(string(text))
	}
	return strconv.FormatUint(number, 10)
}

// maxExcerpt bounds the bytes of a value that a message quotes: a dead letter
// holds the whole record anyway.
const maxExcerpt = 80

func excerpt(text string) string {
	cut := ""
	if len(text) > maxExcerpt {
		end := maxExcerpt
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text, cut = text[:end], "…"
	}
	return strconv.Quote(text) + cut
}

// describeMessage prints the scalars of a small message.
func describeMessage(m protoreflect.Message) string {
	var parts []string
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		text := m.Get(f).String()
		if f.Kind() == protoreflect.BytesKind {
			text = fmt.Sprintf("%x", m.Get(f).Bytes())
		}
		if len(text) > maxExcerpt {
			text = excerpt(text)
		}
		parts = append(parts, fmt.Sprintf("%s: %s", f.Name(), text))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// plain prints an error of protobuf-go, which varies its spaces on purpose, the
// same in every build.
func plain(err error) string {
	return strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\u00a0", " "), "proto: ")
}
