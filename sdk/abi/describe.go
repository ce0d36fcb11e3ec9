package abi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Describe is what calve_describe returns: what a module says about itself.
type Describe struct {
	ABI           int             `json:"abi"`
	Name          string          `json:"name"`
	Version       string          `json:"version"`
	Kind          string          `json:"kind"`
	Summary       string          `json:"summary,omitempty"`
	ConfigSchema  json.RawMessage `json:"config_schema,omitempty"` // JSON Schema of Init.Config
	Input         Input           `json:"input"`
	Outputs       []Stream        `json:"outputs"`
	State         []StateColumn   `json:"state,omitempty"` // kind session only
	BatchRowsHint int             `json:"batch_rows_hint,omitempty"`
	Fixtures      json.RawMessage `json:"fixtures,omitempty"`
}

// Column is a column or nested field: its name, and its type as a format
// string of the Arrow C Data Interface ("u" is utf8, "tsu:UTC" a timestamp,
// "+s" a struct with Children). A column is nullable unless it says otherwise.
type Column struct {
	Name     string   `json:"name"`
	Format   string   `json:"format"`
	Nullable *bool    `json:"nullable,omitempty"`
	Children []Column `json:"children,omitempty"`
}

// IsNullable tells whether the column may hold nulls.
func (c Column) IsNullable() bool { return c.Nullable == nil || *c.Nullable }

// Input is the columns a plugin needs, or any columns at all; in JSON a list
// of columns or "any".
type Input struct {
	Any     bool
	Columns []Column
}

// Stream is one output: its columns, or derived from the input at init.
type Stream struct {
	Stream  uint32
	Derived bool
	Columns []Column
}

// StateColumn is an accumulator of a session plugin with its initial value.
type StateColumn struct {
	Column
	Initial json.RawMessage `json:"initial,omitempty"`
}

// Init is the JSON that calve_init receives.
type Init struct {
	Config      json.RawMessage `json:"config"`
	InputSchema uint32          `json:"input_schema"` // ArrowSchema* of the struct of input columns
	// StateSchema is an ArrowSchema* of the struct that calve_finish gets (kind
	// session) or that is in force (kind scd), 0 for a transform.
	StateSchema uint32     `json:"state_schema"`
	Limits      InitLimits `json:"limits"`
	Pipeline    string     `json:"pipeline"`
	Model       string     `json:"model"`
}

// InitLimits tells a guest what it may use.
type InitLimits struct {
	MemoryBytes int64 `json:"memory_bytes"`
	OutputBytes int64 `json:"output_bytes"`
	OutputRows  int64 `json:"output_rows"`
}

const (
	anyInput      = `"any"`
	derivedOutput = "derived"
)

// ParseDescribe reads the JSON of calve_describe. It refuses unknown keys,
// another ABI version and names that no table can hold; it does not know which
// kinds and formats a host supports.
func ParseDescribe(data []byte) (Describe, error) {
	var d Describe
	if len(data) > MaxDescribeBytes {
		return d, fmt.Errorf("description is %d bytes, at most %d are allowed", len(data), MaxDescribeBytes)
	}
	if !utf8.Valid(data) {
		return d, errors.New("description is not UTF-8")
	}
	if err := strictJSON(data, &d); err != nil {
		return d, fmt.Errorf("read description: %w", err)
	}
	return d, d.validate()
}

func (d Describe) validate() error {
	switch {
	case d.ABI != Version:
		return fmt.Errorf("description: abi is %d, this host speaks %d", d.ABI, Version)
	case d.Name == "" || len(d.Name) > MaxNameBytes:
		return fmt.Errorf("description: name must have 1 to %d bytes", MaxNameBytes)
	case d.Version == "" || len(d.Version) > MaxNameBytes:
		return fmt.Errorf("description: version must have 1 to %d bytes", MaxNameBytes)
	case d.Kind == "":
		return errors.New("description: kind is missing")
	case d.BatchRowsHint < 0:
		return fmt.Errorf("description: batch_rows_hint is %d, it cannot be negative", d.BatchRowsHint)
	case len(d.Outputs) == 0:
		return errors.New("description: outputs is empty, name at least one stream")
	case len(d.Outputs) > MaxStreams:
		return fmt.Errorf("description: %d outputs, at most %d are allowed", len(d.Outputs), MaxStreams)
	}
	if err := validateColumns("input", d.Input.Columns); err != nil {
		return err
	}
	if err := d.validateState(); err != nil {
		return err
	}
	seen := map[uint32]bool{}
	for _, s := range d.Outputs {
		if seen[s.Stream] {
			return fmt.Errorf("description: output stream %d twice", s.Stream)
		}
		seen[s.Stream] = true
		if !s.Derived && len(s.Columns) == 0 {
			return fmt.Errorf("description: output stream %d has no columns", s.Stream)
		}
		if err := validateColumns(fmt.Sprintf("output stream %d", s.Stream), s.Columns); err != nil {
			return err
		}
	}
	return nil
}

// validateState checks that a session has state, and nothing else does.
func (d Describe) validateState() error {
	if (d.Kind == KindSession) != (len(d.State) > 0) {
		return fmt.Errorf("description: a plugin of kind %q with %d state columns: a session needs some, others have none", d.Kind, len(d.State))
	}
	columns := make([]Column, len(d.State))
	for i, c := range d.State {
		columns[i] = c.Column
		if strings.HasPrefix(c.Name, "_") {
			return fmt.Errorf("description: state: column %q: names that begin with an underscore are the host's", c.Name)
		}
	}
	return validateColumns("state", columns)
}

// validateColumns checks names, nesting and number; where says whose they are.
func validateColumns(where string, columns []Column) error {
	total := 0
	var walk func(columns []Column, depth int) error
	walk = func(columns []Column, depth int) error {
		if depth > MaxDepth {
			return fmt.Errorf("description: %s: nested deeper than %d", where, MaxDepth)
		}
		seen := map[string]bool{}
		for _, c := range columns {
			if total++; total > MaxColumns {
				return fmt.Errorf("description: %s: more than %d columns", where, MaxColumns)
			}
			if c.Name == "" || len(c.Name) > MaxNameBytes {
				return fmt.Errorf("description: %s: a column's name must have 1 to %d bytes", where, MaxNameBytes)
			}
			if seen[c.Name] {
				return fmt.Errorf("description: %s: column %q twice", where, c.Name)
			}
			seen[c.Name] = true
			if c.Format == "" {
				return fmt.Errorf("description: %s: column %q has no format", where, c.Name)
			}
			if err := walk(c.Children, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return walk(columns, 0)
}

// UnmarshalJSON reads a list of columns or "any".
func (in *Input) UnmarshalJSON(data []byte) error {
	if string(data) == anyInput {
		*in = Input{Any: true}
		return nil
	}
	*in = Input{}
	if err := strictJSON(data, &in.Columns); err != nil {
		return fmt.Errorf(`input: expected a list of columns or "any": %w`, err)
	}
	return nil
}

// MarshalJSON is the inverse of UnmarshalJSON.
func (in Input) MarshalJSON() ([]byte, error) {
	if in.Any {
		return []byte(anyInput), nil
	}
	return json.Marshal(append([]Column{}, in.Columns...))
}

type streamJSON struct {
	Stream  uint32          `json:"stream"`
	Columns json.RawMessage `json:"columns"`
}

// UnmarshalJSON reads {stream, columns} where columns is a list or "derived".
func (s *Stream) UnmarshalJSON(data []byte) error {
	var raw streamJSON
	if err := strictJSON(data, &raw); err != nil {
		return fmt.Errorf("outputs: %w", err)
	}
	*s = Stream{Stream: raw.Stream}
	if string(raw.Columns) == `"`+derivedOutput+`"` {
		s.Derived = true
		return nil
	}
	if err := strictJSON(raw.Columns, &s.Columns); err != nil {
		return fmt.Errorf(`outputs: columns: expected a list of columns or "derived": %w`, err)
	}
	return nil
}

// MarshalJSON is the inverse of UnmarshalJSON.
func (s Stream) MarshalJSON() ([]byte, error) {
	raw := streamJSON{Stream: s.Stream, Columns: json.RawMessage(`"` + derivedOutput + `"`)}
	if !s.Derived {
		columns, err := json.Marshal(append([]Column{}, s.Columns...))
		if err != nil {
			return nil, err
		}
		raw.Columns = columns
	}
	return json.Marshal(raw)
}

// strictJSON reads one JSON value and refuses unknown keys and anything after it.
func strictJSON(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("unexpected text after the JSON value")
	}
	return nil
}
