package bridge

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/upstream"
)

// ColumnWeight is the column of Spec.Weight.
const ColumnWeight = "weight"

// ForeignKey is the durable key of a dimension's member.
type ForeignKey struct {
	Name string // of its column
	To   string // the dimension
	// On are the columns with the dimension's natural key, in its order: of the
	// input, the element, or derived ones.
	On   []string
	Keys []arrow.DataType // the types of the dimension's natural key; int and long are one
}

// Unnest makes a mapping of each element of a list column.
type Unnest struct {
	Column string
	As     string // the column of the element
}

// Spec is what a bridge is to be.
type Spec struct {
	Model       string // for messages
	From        upstream.Model
	ForeignKeys []ForeignKey
	Unnest      *Unnest // nil for none
	// EffectiveAt is a timestamptz of From. "" is source_ts of changes of a
	// database, and kafka_timestamp where there is none.
	EffectiveAt  string
	LateChanges  time.Duration // how late a change may be
	SurrogateKey string        // the name of its column; "" for none
	// Where is over From, for changes of a database and keyed models: a row that
	// does not meet it maps nothing. nil for none; rows of other staging models are
	// filtered before they come here.
	Where     *expression.Expr
	Derive    []projection.Column // over From, the element and those before
	Weight    *expression.Expr    // over the same and Derive; nil for none
	Allocator memory.Allocator    // nil for the default
}

// Program is a Spec that was checked and compiled. It is immutable.
type Program struct {
	spec   Spec
	mem    memory.Allocator
	late   int64         // µs
	kept   *arrow.Schema // what is kept of a row of the input
	where  *projection.Compiled
	derive []projection.Compiled
	early  []bool // of derive: it does not depend on the element
	weight *projection.Compiled
	keys   []foreign
	output *arrow.Schema
}

// foreign is a ForeignKey that was compiled.
type foreign struct {
	ForeignKey
	index     int
	ofElement bool // it is found by the element, not by the row alone
}

// path is the place of a foreign key in the model.
func (f *foreign) path(rest string) string { return fmt.Sprintf("foreign_keys[%d]%s", f.index, rest) }

// Compile checks a Spec. The error is a *projection.ExpressionError where an
// expression is wrong.
func Compile(spec Spec) (*Program, error) {
	p := &Program{spec: spec, mem: spec.Allocator, late: spec.LateChanges.Microseconds()}
	if p.mem == nil {
		p.mem = memory.DefaultAllocator
	}
	for _, step := range []func() error{p.checkInput, p.checkTimes, p.compileExpressions, p.compileKeys, p.layOut, p.keep} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("bridge %s: %w", spec.Model, err)
		}
	}
	return p, nil
}

// Schema is the columns of the bridge's table.
func (p *Program) Schema() *arrow.Schema { return p.output }

// Key is the columns that tell the table's rows apart.
func (p *Program) Key() []string {
	if p.spec.SurrogateKey != "" {
		return []string{p.spec.SurrogateKey}
	}
	var names []string
	for _, k := range p.keys {
		names = append(names, k.Name)
	}
	return append(names, columnValidFrom)
}

// Dimensions are those that the foreign keys refer to, each once.
func (p *Program) Dimensions() []string {
	var names []string
	seen := map[string]bool{}
	for _, k := range p.keys {
		if !seen[k.To] {
			seen[k.To] = true
			names = append(names, k.To)
		}
	}
	return names
}

// StateVersion tells encodings of state apart, and meanings of it: state of
// another version must not be read. What a row is follows from the state alone, so
// that it changes with all of the model but for late_changes and the surrogate key.
func (p *Program) StateVersion() int {
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "bridge %d; %s", stateFormat, strings.Join(p.Describe(), "; ")) // never fails
	return int(h.Sum32() >> 1)
}

// Describe is what StateVersion depends on, in parts for a person.
func (p *Program) Describe() []string {
	s := &p.spec
	parts := []string{fmt.Sprintf("at %q", s.EffectiveAt), fmt.Sprintf("key %q", s.From.Key)}
	if s.Unnest != nil {
		parts = append(parts, fmt.Sprintf("unnest %s as %s", s.Unnest.Column, s.Unnest.As))
	}
	from := "from"
	for _, f := range p.kept.Fields() {
		from += " " + f.Name + " " + record.FormatType(f.Type)
	}
	parts = append(parts, from)
	for _, k := range p.keys {
		key := fmt.Sprintf("%s of %s on %q", k.Name, k.To, k.On)
		for _, t := range k.Keys {
			key += " " + record.FormatType(t)
		}
		parts = append(parts, key)
	}
	for _, c := range p.expressions() {
		parts = append(parts, fmt.Sprintf("%s = %s", c.Path, c.Compiled))
	}
	return parts
}

// expressions are all that are computed.
func (p *Program) expressions() []projection.Compiled {
	all := slices.Clone(p.derive)
	for _, c := range []*projection.Compiled{p.where, p.weight} {
		if c != nil {
			all = append(all, *c)
		}
	}
	return all
}
