package avro

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/calvelake/calve/runtime/decode/internal/cast"
	"github.com/calvelake/calve/runtime/decode/internal/program"
	"github.com/calvelake/calve/runtime/record"
)

// errFull: names of enum symbols and JSON text are longer than the records they
// come from, so that a batch can outgrow Arrow's 32-bit offsets.
var errFull = errors.New("a column of text has more than 2 GiB in one batch; poll fewer records at once")

// stop notes that an operation found no value of its type, if nothing more
// exact is known, and returns -1.
func (r *Reader) stop(o *op) int {
	if r.err == nil {
		found := "bytes that end early or are no value of it"
		what := "the record"
		if o.x != nil && o.x.where != "" {
			what = "field " + o.x.where
		}
		if o.x != nil && o.x.node != nil {
			what += " (" + o.x.node.describe() + ")"
		}
		r.err = &program.Error{Code: record.CodeMalformed, Column: -1, Found: what + ": " + found, Expected: "Avro's binary encoding of the schema that the record names"}
	}
	return -1
}

// trailing says that n bytes are behind the value.
func trailing(n int) error {
	return &program.Error{Code: record.CodeMalformed, Column: -1,
		Found: fmt.Sprintf("%d bytes behind the value", n), Expected: "the end of the record: it was written with another schema than it names"}
}

// notText notes text that is not UTF-8.
func (r *Reader) notText(x *detail, found []byte) int {
	return r.refused(x, &cast.Error{Expected: "string, valid UTF-8"}, excerpt(found))
}

// refused notes that a value does not fit its column.
func (r *Reader) refused(x *detail, err error, found string) int {
	e := &program.Error{Code: record.CodeType, Column: x.target.column, Path: x.target.path, Found: found}
	if c, ok := errors.AsType[*cast.Error](err); ok {
		e.Expected = c.Expected
	}
	r.err = e
	return -1
}

// missing notes that a required column has no value.
func (r *Reader) missing(t *target) {
	expected := record.FormatType(t.typ) + ", since the column is neither nullable nor has a default"
	if t.path != "" {
		expected = record.FormatType(t.typ) + ", not null"
	}
	r.err = &program.Error{Code: record.CodeMissing, Column: t.column, Path: t.path, Expected: expected}
}

// maxExcerpt bounds the bytes of a value that a message quotes.
const maxExcerpt = 60

func excerpt(s []byte) string {
	if len(s) <= maxExcerpt {
		return strconv.Quote(string(s))
	}
	end := maxExcerpt
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return strconv.Quote(string(s[:end])) + "…"
}

func formatLong(x int64) string { return strconv.FormatInt(x, 10) }

func formatBytes(raw []byte) string { return fmt.Sprintf("%d bytes", len(raw)) }
