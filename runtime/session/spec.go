package session

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/aggregate"
	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
)

// Emit is when a session's row is made.
type Emit string

const (
	EmitOnClose Emit = "on_close" // once the session has ended
	EmitEarly   Emit = "early"    // with its first event, and updated
)

// Columns that every session has.
const (
	ColumnStart = "session_start" // the time of its first event
	ColumnEnd   = "session_end"   // the time of its last event
)

// Spec is what sessions are to be.
type Spec struct {
	Model        string        // for messages
	Input        *arrow.Schema // of the staging model's table: with its change and position columns
	Key          []string      // the columns whose events belong together
	EventTime    string
	Gap          time.Duration // a longer pause ends a session; whole microseconds
	Lateness     time.Duration
	Emit         Emit
	SurrogateKey string              // the name of its column
	Aggregates   []projection.Column // over the columns of Input; outside of aggregates they see key, start and end
	Derive       []projection.Column // over all columns before them
	Plugin       Plugin              // nil for none
	PluginInput  []string            // the columns of Input that the plugin accumulates
	Adds         []arrow.Field
	// Columns chooses the columns of aggregates, plugin and derive that the
	// table has behind surrogate key, key, start and end; nil is all, in this
	// order.
	Columns   []string
	Limits    aggregate.Limits
	Allocator memory.Allocator // nil for the default
}

// ErrInput: the model that sessions are to be made of has rows that change.
var ErrInput = errors.New("sessions read a staging model")

// Program is a Spec that was checked and compiled. It is immutable.
type Program struct {
	spec       Spec
	mem        memory.Allocator
	gap        int64 // µs
	lateness   int64 // µs
	keyFields  []arrow.Field
	group      *arrow.Schema // what expressions over aggregates see, the calls' columns included
	calls      []expression.AggregateCall
	set        []aggregate.Call
	aggregates []projection.Compiled
	derive     []projection.Compiled
	all        *arrow.Schema // every column that is made, in the order of making
	chosen     []int         // the columns of all that the table has
	output     *arrow.Schema
	positions  bool // input columns that WithPositions makes are read
	plugin     *arrow.Schema
	finish     *arrow.Schema
}

// Compile checks a Spec. The error is a *projection.ExpressionError where an
// expression is wrong, and ErrInput where the input is no staging model's.
func Compile(spec Spec) (*Program, error) {
	p := &Program{spec: spec, mem: spec.Allocator, gap: spec.Gap.Microseconds(), lateness: spec.Lateness.Microseconds()}
	if p.mem == nil {
		p.mem = memory.DefaultAllocator
	}
	for _, step := range []func() error{p.checkInput, p.checkTimes, p.compileKey, p.compileAggregates, p.compilePlugin, p.compileDerive, p.choose} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("sessions of %s: %w", spec.Model, err)
		}
	}
	p.positions = p.readsPositions()
	return p, nil
}

// Schema is the columns of the sessions' table.
func (p *Program) Schema() *arrow.Schema { return p.output }

// KeyFields is the columns of the key.
func (p *Program) KeyFields() []arrow.Field { return p.keyFields }

// StateVersion tells encodings of state apart, and meanings of it: state of
// another version must not be read. It changes with the key, the event time,
// gap and lateness, the aggregates that are called, and the plugin's columns.
func (p *Program) StateVersion() int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(p.describeState())) // never fails
	return int(h.Sum32() >> 1)
}

// Describe is what StateVersion depends on, in parts for a person.
func (p *Program) Describe() []string {
	parts := strings.Split(p.describeState(), "; ")[1:] // without the format
	for i, part := range parts {
		switch part {
		case fmt.Sprintf("gap %d", p.gap):
			parts[i] = fmt.Sprintf("gap %s", p.spec.Gap)
		case fmt.Sprintf("lateness %d", p.lateness):
			parts[i] = fmt.Sprintf("allowed_lateness %s", p.spec.Lateness)
		}
	}
	return parts
}

func (p *Program) describeState() string {
	var b strings.Builder
	fmt.Fprintf(&b, "sessions %d; key", stateFormat)
	for _, f := range p.keyFields {
		fmt.Fprintf(&b, " %s %s", f.Name, record.FormatType(f.Type))
	}
	fmt.Fprintf(&b, "; by %s; gap %d; lateness %d", p.spec.EventTime, p.gap, p.lateness)
	for i, c := range p.calls {
		fmt.Fprintf(&b, "; %s %s", c.Column, record.FormatType(p.calls[i].Type))
	}
	set, err := aggregate.New(p.set, p.spec.Limits)
	if err != nil {
		panic("BUG: aggregates that were compiled are refused: " + err.Error())
	}
	b.WriteString("; " + set.Describe())
	if p.plugin != nil {
		fmt.Fprintf(&b, "; plugin %s; adds", p.plugin)
		for _, f := range p.spec.Adds {
			fmt.Fprintf(&b, " %s %s", f.Name, record.FormatType(f.Type))
		}
	}
	return b.String()
}
