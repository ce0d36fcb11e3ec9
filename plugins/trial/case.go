package trial

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/calvelake/calve/sdk/abi"
)

// Case is rows that go into a plugin with what should come of them. Values are
// JSON as arrow-go reads it: timestamps and decimals are strings, bytes are
// base64. A column that is not there is null.
type Case struct {
	Name    string          `json:"name"`
	Config  json.RawMessage `json:"config,omitempty"`
	Columns []Column        `json:"columns,omitempty"` // of Input, where the plugin takes any
	Keyed
	Input Input `json:"input"`

	// Output is the rows of the main stream, in order; those of a session
	// plugin in the order of the first event of a key, and then of time.
	Output  *[]json.RawMessage           `json:"output,omitempty"`
	Streams map[uint32][]json.RawMessage `json:"streams,omitempty"` // of further streams; in place of Output also of the main one
	// Decisions is an object for each change: _action (ignore, overwrite,
	// new_version or delete), and the attributes where these are to be stored.
	// Versions is what that makes of the members: _key, _valid_from, _valid_to
	// (null: in force) and the attributes, in the order of the first change of a
	// key, and then of time. Kind scd.
	Decisions *[]json.RawMessage `json:"decisions,omitempty"`
	Versions  *[]json.RawMessage `json:"versions,omitempty"`
	Errors    []RowError         `json:"errors,omitempty"`
	Refused   string             `json:"refused,omitempty"` // the config is refused with an error that contains this

	File string `json:"-"`
}

// Keyed is what a case of kind session or scd says of the keys and times of its
// rows.
type Keyed struct {
	// Key is the input column that holds the key. Without it each row has a
	// _key, of KeyType, a data_type, by default string.
	Key     string `json:"key,omitempty"`
	KeyType string `json:"key_type,omitempty"`
	// EventTime is the input column that holds an event's time. Without it each
	// row has an _event_time. Kind session.
	EventTime string `json:"event_time,omitempty"`
	// Gap is a duration as 30m: events of a key that are further apart are of
	// different sessions. Kind session.
	Gap string `json:"gap,omitempty"`
	// Watermark is a time: sessions that ended less than a gap before it are not
	// closed when they are finished. Without it all are closed. Kind session.
	Watermark string `json:"watermark,omitempty"`
}

// RowError is an input row that should come back as an error, or a session that
// finish should refuse. One of Row and Session is there; they count from 0.
type RowError struct {
	Row     *uint32 `json:"row,omitempty"`
	Session *uint32 `json:"session,omitempty"` // as in the order of Output
	Code    string  `json:"code"`
	Column  string  `json:"column,omitempty"` // "": any
}

// Input is rows. Those of a session plugin may be a list of lists: what arrives
// together.
type Input struct {
	Rows   []json.RawMessage
	Arrive []int // how many rows each list has; nil: they all arrive together
}

// UnmarshalJSON reads a list of rows, or of lists of rows.
func (in *Input) UnmarshalJSON(text []byte) error {
	*in = Input{}
	var items []json.RawMessage
	if err := json.Unmarshal(text, &items); err != nil {
		return fmt.Errorf("input: expected a list of rows: %w", err)
	}
	if !slices.ContainsFunc(items, func(item json.RawMessage) bool { return item[0] == '[' }) {
		in.Rows = items
		return nil
	}
	for i, item := range items {
		var rows []json.RawMessage
		if err := json.Unmarshal(item, &rows); err != nil {
			return fmt.Errorf("input: batch %d: expected a list of rows, as the others are: %w", i, err)
		}
		in.Rows, in.Arrive = append(in.Rows, rows...), append(in.Arrive, len(rows))
	}
	return nil
}

// ReadCases reads the *.json files of a folder in the order of their names, one
// case each.
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
		c, err := ParseCase(text)
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

const caseMembers = "{name, config, columns, input, output, streams, errors, refused}, for sessions also key, key_type, event_time, gap and watermark, for changes key, key_type, decisions and versions"

// ParseCase reads one case, strictly.
func ParseCase(text []byte) (Case, error) {
	var c Case
	if err := strictJSON(text, &c); err != nil {
		return c, fmt.Errorf("expected %s: %w", caseMembers, err)
	}
	return c, c.check()
}

// ParseCases reads a list of cases, strictly; nothing and null are none.
func ParseCases(text []byte) ([]Case, error) {
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	var cases []Case
	if err := strictJSON(text, &cases); err != nil {
		return nil, fmt.Errorf("expected a list of %s: %w", caseMembers, err)
	}
	for i, c := range cases {
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("number %d, %q: %w", i+1, c.Name, err)
		}
	}
	return cases, nil
}

// strictJSON reads one JSON value and refuses unknown keys and anything after it.
func strictJSON(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is text after the JSON value")
	}
	return nil
}

func (c Case) check() error {
	if _, ok := c.Streams[abi.StreamMain]; ok && c.Output != nil {
		return errors.New("output and stream 0 are the same: give one")
	}
	for i, e := range c.Errors {
		if (e.Row == nil) == (e.Session == nil) {
			return fmt.Errorf("errors: number %d: give row, the input row, or session, the session that finish refuses", i+1)
		}
	}
	return nil
}

// checkKind refuses what is of another kind than the plugin's.
func (c Case) checkKind(kind string) error {
	for _, m := range []struct {
		name  string
		there bool
		kinds []string
	}{
		{"key", c.Key != "", []string{abi.KindSession, abi.KindSCD}},
		{"key_type", c.KeyType != "", []string{abi.KindSession, abi.KindSCD}},
		{"event_time", c.EventTime != "", []string{abi.KindSession}},
		{"gap", c.Gap != "", []string{abi.KindSession}},
		{"watermark", c.Watermark != "", []string{abi.KindSession}},
		{"output", c.Output != nil, []string{abi.KindTransform, abi.KindSession}},
		{"streams", c.Streams != nil, []string{abi.KindTransform, abi.KindSession}},
		{"decisions", c.Decisions != nil, []string{abi.KindSCD}},
		{"versions", c.Versions != nil, []string{abi.KindSCD}},
		{"input as a list of lists", c.Input.Arrive != nil, []string{abi.KindSession}},
	} {
		if m.there && !slices.Contains(m.kinds, kind) {
			return fmt.Errorf("in the case: %s is of plugins of kind %s, this one is of kind %s", m.name, strings.Join(m.kinds, " and "), kind)
		}
	}
	if c.Key != "" && c.KeyType != "" {
		return errors.New("in the case: key_type is of _key: a column that is named as the key has its own")
	}
	if kind != abi.KindSession {
		return nil
	}
	if _, err := c.gap(); err != nil {
		return err
	}
	_, err := c.watermark()
	return err
}

func (c Case) gap() (time.Duration, error) {
	gap, err := time.ParseDuration(c.Gap)
	if err != nil || gap <= 0 {
		return 0, fmt.Errorf(`in the case: gap %q: expected the duration that ends a session, as "gap": "30m"`, c.Gap)
	}
	return gap, nil
}

// watermark is that of the case in µs; noWatermark without one.
func (c Case) watermark() (int64, error) {
	if c.Watermark == "" {
		return noWatermark, nil
	}
	at, err := time.Parse(time.RFC3339Nano, c.Watermark)
	if err != nil {
		return 0, fmt.Errorf("in the case: watermark %q: expected a time as 2026-01-31T12:00:00Z", c.Watermark)
	}
	return at.UnixMicro(), nil
}

// Wants tells whether the case says what should come of its rows.
func (c Case) Wants() bool {
	return c.Output != nil || c.Streams != nil || c.Decisions != nil || c.Versions != nil || c.Errors != nil || c.Refused != ""
}

// wanted is what the case wants of a part. ok: it is compared; a stream always
// is, what a part of kind scd makes only if the case has it.
func (c Case) wanted(part string) (rows []json.RawMessage, ok bool) {
	switch part {
	case partDecisions:
		return list(c.Decisions), c.Decisions != nil
	case partVersions:
		return list(c.Versions), c.Versions != nil
	case partMain:
		if c.Output != nil {
			return *c.Output, true
		}
	}
	for stream, rows := range c.Streams {
		if partOf(stream) == part {
			return rows, true
		}
	}
	return nil, true
}

func list(rows *[]json.RawMessage) []json.RawMessage {
	if rows == nil {
		return nil
	}
	return *rows
}

// Take makes an answer what the case wants.
func (c *Case) Take(a Answer) {
	main := a.tables[partMain].all
	c.Streams, c.Errors, c.Refused = nil, nil, ""
	if decisions, ok := a.tables[partDecisions]; ok {
		if c.Decisions != nil || c.Versions == nil {
			rows := decisions.all()
			c.Decisions = &rows
		}
		if c.Versions != nil {
			rows := a.tables[partVersions].all()
			c.Versions = &rows
		}
	} else {
		rows := main()
		c.Output = &rows
	}
	for stream, t := range a.streams() {
		if c.Streams == nil {
			c.Streams = map[uint32][]json.RawMessage{}
		}
		c.Streams[stream] = t.all()
	}
	for _, e := range a.Errors {
		row := e.Row
		want := RowError{Row: &row, Code: e.Code, Column: e.Column}
		if e.Session {
			want.Row, want.Session = nil, &row
		}
		c.Errors = append(c.Errors, want)
	}
}
