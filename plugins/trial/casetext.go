package trial

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Text is the case as a file: a row a line.
func (c Case) Text() ([]byte, error) {
	w := caseWriter{}
	w.buffer.WriteString("{\n  \"name\": ")
	w.buffer.Write(quoted(c.Name))
	for _, m := range []struct {
		name  string
		value any
		there bool
	}{
		{"config", c.Config, c.Config != nil}, {"columns", c.Columns, c.Columns != nil},
		{"key", c.Key, c.Key != ""}, {"key_type", c.KeyType, c.KeyType != ""}, {"event_time", c.EventTime, c.EventTime != ""},
		{"gap", c.Gap, c.Gap != ""}, {"watermark", c.Watermark, c.Watermark != ""}, {"refused", c.Refused, c.Refused != ""},
	} {
		if m.there {
			w.member(m.name)
			w.value(m.name, m.value)
		}
	}
	w.input(c.Input)
	for _, m := range []struct {
		name string
		rows *[]json.RawMessage
	}{{"output", c.Output}, {"decisions", c.Decisions}, {"versions", c.Versions}} {
		if m.rows != nil {
			w.member(m.name)
			w.rows("  ", *m.rows)
		}
	}
	w.streams(c.Streams)
	w.errors(c.Errors)
	w.buffer.WriteString("\n}\n")
	return w.buffer.Bytes(), w.err
}

// caseWriter keeps the first error.
type caseWriter struct {
	buffer bytes.Buffer
	err    error
}

func (w *caseWriter) member(name string) { fmt.Fprintf(&w.buffer, ",\n  %q: ", name) }

func (w *caseWriter) value(name string, v any) {
	text, err := json.Marshal(v)
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("write case: %s: %w", name, err)
	}
	w.buffer.Write(text)
}

func (w *caseWriter) rows(indent string, rows []json.RawMessage) {
	if len(rows) == 0 {
		w.buffer.WriteString("[]")
		return
	}
	w.buffer.WriteString("[")
	for i, row := range rows {
		if i > 0 {
			w.buffer.WriteByte(',')
		}
		w.buffer.WriteString("\n  " + indent)
		w.buffer.Write(row)
	}
	w.buffer.WriteString("\n" + indent + "]")
}

func (w *caseWriter) input(in Input) {
	w.member("input")
	if in.Arrive == nil {
		w.rows("  ", in.Rows)
		return
	}
	w.buffer.WriteString("[")
	from := 0
	for i, n := range in.Arrive {
		if i > 0 {
			w.buffer.WriteByte(',')
		}
		w.buffer.WriteString("\n    ")
		w.rows("    ", in.Rows[from:from+n])
		from += n
	}
	w.buffer.WriteString("\n  ]")
}

func (w *caseWriter) streams(streams map[uint32][]json.RawMessage) {
	if len(streams) == 0 {
		return
	}
	w.member("streams")
	for i, stream := range slices.Sorted(maps.Keys(streams)) {
		w.buffer.WriteByte("{,"[min(i, 1)])
		w.buffer.WriteString("\n    \"" + strconv.Itoa(int(stream)) + "\": ")
		w.rows("    ", streams[stream])
	}
	w.buffer.WriteString("\n  }")
}

func (w *caseWriter) errors(errs []RowError) {
	if len(errs) == 0 {
		return
	}
	rows := make([]json.RawMessage, len(errs))
	for i, e := range errs {
		text, err := json.Marshal(e)
		if err != nil && w.err == nil {
			w.err = fmt.Errorf("write case: errors: %w", err)
		}
		rows[i] = text
	}
	w.member("errors")
	w.rows("  ", rows)
}
