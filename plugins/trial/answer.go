package trial

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/sdk/abi"
)

// Answer is what a plugin made of rows.
type Answer struct {
	// Errors is row errors in their order; those that are about sessions, which
	// finish refused, behind those about rows.
	Errors []AnswerError
	// Fate is instead of everything else: a plugin that is opened to stop
	// trapped, exceeded a limit, or returned what is not valid.
	Fate error

	tables  map[string]table // by part
	schemas map[string]*arrow.Schema
	origins map[string][]int32
	metrics wasm.Metrics
}

// AnswerError is a row error. Session: Row is that of a session.
type AnswerError struct {
	wasm.RowError
	Session bool
}

// refused is the input rows that came back as errors.
func (a Answer) refused() map[int]bool {
	rows := map[int]bool{}
	for _, e := range a.Errors {
		if !e.Session {
			rows[int(e.Row)] = true
		}
	}
	return rows
}

// Host tells whether the error is not the plugin's own, but the host's about it:
// that it trapped, exceeded a limit, or returned what is not valid.
func (e AnswerError) Host() bool {
	return e.Code == wasm.CodeTrap || e.Code == wasm.CodeLimit || e.Code == wasm.CodeOutput
}

// Parts of an answer: the main stream, further ones, and what is made of
// decisions.
const (
	partMain      = ""
	partDecisions = "decisions"
	partVersions  = "versions"
	partSessions  = "sessions" // that are refused, in differences only
	partStream    = "stream "
)

func partOf(stream uint32) string {
	if stream == abi.StreamMain {
		return partMain
	}
	return fmt.Sprintf("%s%d", partStream, stream)
}

// streams is the tables of streams but the main one.
func (a Answer) streams() map[uint32]table {
	all := map[uint32]table{}
	for part, t := range a.tables {
		var stream uint32
		if _, err := fmt.Sscanf(part, partStream+"%d", &stream); err == nil {
			all[stream] = t
		}
	}
	return all
}

// addOutputs reads the streams of a transform, or of finish.
func (a *Answer) addOutputs(outputs []wasm.Output) (err error) {
	a.tables, a.schemas, a.origins = map[string]table{}, map[string]*arrow.Schema{}, map[string][]int32{}
	for _, o := range outputs {
		part := partOf(o.Stream)
		if a.tables[part], err = toTable(o.Rows); err != nil {
			return fmt.Errorf("stream %d: %w", o.Stream, err)
		}
		a.schemas[part], a.origins[part] = o.Rows.Schema(), o.Origin
	}
	return nil
}

func (a *Answer) addErrors(errs []wasm.RowError, sessions bool) {
	for _, e := range errs {
		a.Errors = append(a.Errors, AnswerError{e, sessions})
	}
}

// Difference is a place where a plugin's answer is not what it should be.
type Difference struct {
	Part    string          `json:"part,omitempty"`   // "stream 1", "sessions", "decisions", "versions"; "" for the main output, or the input
	Row     int             `json:"row"`              // of the part, of the input for a row error; -1: none in particular
	Column  string          `json:"column,omitempty"` // "": none in particular
	Got     json.RawMessage `json:"got,omitempty"`
	Want    json.RawMessage `json:"want,omitempty"`
	Message string          `json:"message,omitempty"`
}

func (d Difference) String() string {
	var where []string
	if d.Part != partMain {
		where = append(where, d.Part)
	}
	if d.Row >= 0 {
		where = append(where, fmt.Sprintf("row %d", d.Row))
	}
	if d.Column != "" {
		where = append(where, fmt.Sprintf("column %q", d.Column))
	}
	what := d.Message
	if what == "" {
		what = fmt.Sprintf("got %s, want %s", d.Got, d.Want)
	}
	if len(where) == 0 {
		return what
	}
	return strings.Join(where, ", ") + ": " + what
}

// fates are how a guest fails.
var fates = []error{wasm.ErrBudget, wasm.ErrMemory, wasm.ErrOutputLimit, wasm.ErrOutput, wasm.ErrTrap}

// withFate makes an answer of how a guest failed. Other errors stay.
func withFate(err error) (Answer, error) {
	if fateOf(err) < 0 {
		return Answer{}, err
	}
	return Answer{Fate: err}, nil
}

// Difference says where another answer to the same rows differs; ok if nowhere.
func (a Answer) Difference(b Answer) (d Difference, ok bool) { return a.difference(b, false) }

// difference leaves out numbers with a fraction if loose: those depend on how
// sums are split.
func (a Answer) difference(b Answer, loose bool) (d Difference, ok bool) {
	if a.Fate != nil || b.Fate != nil {
		if fateOf(a.Fate) != fateOf(b.Fate) {
			return nowhere("%s, and then %s", orAnswers(a.Fate), orAnswers(b.Fate))
		}
		return Difference{}, true
	}
	for _, part := range slices.Sorted(maps.Keys(a.tables)) {
		if d, ok := a.partDifference(b, part, loose); !ok {
			return d, false
		}
	}
	if len(a.tables) != len(b.tables) {
		return nowhere("%d streams, and then %d", len(a.tables), len(b.tables))
	}
	if len(a.Errors) != len(b.Errors) {
		return nowhere("%d row errors, and then %d", len(a.Errors), len(b.Errors))
	}
	for i, e := range a.Errors {
		if e != b.Errors[i] {
			return Difference{Part: e.part(), Row: int(e.Row), Column: e.Column, Message: fmt.Sprintf("row error %q: %s, and then %q: %s", e.Code, e.Message, b.Errors[i].Code, b.Errors[i].Message)}, false
		}
	}
	// Maps print in the order of their keys.
	if x, y := fmt.Sprint(a.metrics), fmt.Sprint(b.metrics); x != y && !loose {
		return nowhere("counted %s, and then %s", x, y)
	}
	return Difference{}, true
}

func (e AnswerError) part() string {
	if e.Session {
		return partSessions
	}
	return partMain
}

func nowhere(format string, args ...any) (Difference, bool) {
	return Difference{Row: -1, Message: fmt.Sprintf(format, args...)}, false
}

func orAnswers(fate error) string {
	if fate == nil {
		return "it answers"
	}
	return fate.Error()
}

func (a Answer) partDifference(b Answer, part string, loose bool) (Difference, bool) {
	one, two := a.tables[part], b.tables[part]
	if one.rows != two.rows || !slices.Equal(one.names, two.names) {
		return Difference{Part: part, Row: -1, Message: fmt.Sprintf("%d rows of %v, and then %d of %v", one.rows, one.names, two.rows, two.names)}, false
	}
	if loose {
		one = one.without(a.schemas[part], hasFraction)
	}
	if all := compareTables(part, two, one); len(all) > 0 {
		return all[0], false
	}
	if x, y := fmt.Sprint(a.origins[part]), fmt.Sprint(b.origins[part]); x != y {
		return Difference{Part: part, Row: -1, Message: "the same rows, of other input rows"}, false
	}
	return Difference{}, true
}

func hasFraction(t arrow.DataType) bool {
	if nested, ok := t.(arrow.NestedType); ok {
		return slices.ContainsFunc(nested.Fields(), func(f arrow.Field) bool { return hasFraction(f.Type) })
	}
	return t.ID() == arrow.FLOAT32 || t.ID() == arrow.FLOAT64
}

// compareTables compares tables of as many rows as both have, value by value,
// in the columns of want.
func compareTables(part string, got, want table) []Difference {
	var all []Difference
	for i := range min(got.rows, want.rows) {
		for k, name := range want.names {
			if x, y := got.column(name)[i], want.values[k][i]; string(x) != string(y) {
				all = append(all, Difference{Part: part, Row: i, Column: name, Got: x, Want: y})
			}
		}
	}
	return all
}

// Difference is a message about where the error is.
func (e AnswerError) Difference(message string) Difference {
	return Difference{Part: e.part(), Row: int(e.Row), Column: e.Column, Message: message}
}
