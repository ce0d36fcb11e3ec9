package author

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Case is rows that go into a plugin with what should come of them; a file of
// a plugin's folder cases holds one. Values are JSON as arrow-go reads it:
// timestamps and decimals are strings, bytes are base64.
type Case struct {
	Name    string            `json:"name"` // the file's name by default
	Config  json.RawMessage   `json:"config,omitempty"`
	Columns []Column          `json:"columns,omitempty"` // of Input, where the plugin takes any
	Input   []json.RawMessage `json:"input"`
	// Output is the rows of the main stream, in order. A column that is not
	// there is null.
	Output  *[]json.RawMessage           `json:"output,omitempty"`
	Streams map[uint32][]json.RawMessage `json:"streams,omitempty"` // of further streams; in place of Output also of the main one
	Errors  []RowError                   `json:"errors,omitempty"`
	Refused string                       `json:"refused,omitempty"` // the config is refused with an error that contains this

	File string `json:"-"`
}

// RowError is an input row that should come back as an error.
type RowError struct {
	Row    uint32 `json:"row"` // from 0
	Code   string `json:"code"`
	Column string `json:"column,omitempty"` // "": any
}

// ReadCases reads the *.json files of a folder in the order of their names.
func ReadCases(dir string) ([]Case, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("look for cases: %w", err)
	}
	var cases []Case
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read case: %w", err)
		}
		c, err := parseCase(text)
		if err != nil {
			return nil, fmt.Errorf("read case %s: %w", file, err)
		}
		if c.File = file; c.Name == "" {
			c.Name = strings.TrimSuffix(filepath.Base(file), ".json")
		}
		cases = append(cases, c)
	}
	return cases, nil
}

func parseCase(text []byte) (Case, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var c Case
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("expected {name, config, columns, input, output, streams, errors, refused}: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return c, errors.New("there is text after the case")
	}
	if _, ok := c.Streams[0]; ok && c.Output != nil {
		return c, errors.New("output and stream 0 are the same: give one")
	}
	return c, nil
}

// wants tells whether the case says what should come of its rows.
func (c Case) wants() bool {
	return c.Output != nil || c.Streams != nil || c.Errors != nil || c.Refused != ""
}

// rowsOf is what the case wants of a stream.
func (c Case) rowsOf(stream uint32) []json.RawMessage {
	if stream == 0 && c.Output != nil {
		return *c.Output
	}
	return c.Streams[stream]
}

// parseRows reads rows; what names them in errors.
func parseRows(what string, rows []json.RawMessage) ([]raw, error) {
	parsed := make([]raw, len(rows))
	for i, text := range rows {
		if err := json.Unmarshal(text, &parsed[i]); err != nil || parsed[i] == nil {
			return nil, fmt.Errorf("%s: row %d: expected an object of values by column, got %s", what, i, text)
		}
	}
	return parsed, nil
}

// text is the case as a file: a row a line.
func (c Case) text() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("{\n  \"name\": ")
	b.Write(quoted(c.Name))
	for _, m := range []struct {
		name  string
		value any
		there bool
	}{{"config", c.Config, c.Config != nil}, {"columns", c.Columns, c.Columns != nil}, {"refused", c.Refused, c.Refused != ""}} {
		if !m.there {
			continue
		}
		text, err := json.Marshal(m.value)
		if err != nil {
			return nil, fmt.Errorf("write case: %s: %w", m.name, err)
		}
		fmt.Fprintf(&b, ",\n  %q: %s", m.name, text)
	}
	b.WriteString(",\n  \"input\": ")
	writeRows(&b, "  ", c.Input)
	if c.Output != nil {
		b.WriteString(",\n  \"output\": ")
		writeRows(&b, "  ", *c.Output)
	}
	if len(c.Streams) > 0 {
		b.WriteString(",\n  \"streams\": {")
		for i, stream := range sortedStreams(c.Streams) {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString("\n    \"" + strconv.Itoa(int(stream)) + "\": ")
			writeRows(&b, "    ", c.Streams[stream])
		}
		b.WriteString("\n  }")
	}
	if len(c.Errors) > 0 {
		rows := make([]json.RawMessage, len(c.Errors))
		for i, e := range c.Errors {
			text, err := json.Marshal(e)
			if err != nil {
				return nil, fmt.Errorf("write case: errors: %w", err)
			}
			rows[i] = text
		}
		b.WriteString(",\n  \"errors\": ")
		writeRows(&b, "  ", rows)
	}
	b.WriteString("\n}\n")
	return b.Bytes(), nil
}

func sortedStreams[V any](m map[uint32]V) []uint32 {
	var streams []uint32
	for s := range m {
		streams = append(streams, s)
	}
	slices.Sort(streams)
	return streams
}

func writeRows(b *bytes.Buffer, indent string, rows []json.RawMessage) {
	if len(rows) == 0 {
		b.WriteString("[]")
		return
	}
	b.WriteString("[")
	for i, row := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n  " + indent)
		b.Write(row)
	}
	b.WriteString("\n" + indent + "]")
}
