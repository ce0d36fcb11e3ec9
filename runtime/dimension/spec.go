package dimension

import (
	"context"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/upstream"
)

// Type is what a change of a column does (Kimball's types of slowly changing
// dimensions).
type Type uint8

const (
	Type0 Type = 0 // keeps the first value
	Type1 Type = 1 // overwrites
	Type2 Type = 2 // makes a version
)

// Type1Scope is which versions a change of a column of type 1 overwrites.
type Type1Scope string

const (
	Type1All     Type1Scope = "all"
	Type1Current Type1Scope = "current"
)

// HardDeletes is what the deletion of a member does, in dbt's words.
type HardDeletes string

const (
	HardDeletesNewRecord  HardDeletes = "new_record" // a version that says is_deleted
	HardDeletesInvalidate HardDeletes = "invalidate" // the current version ends
	HardDeletesIgnore     HardDeletes = "ignore"     // nothing
)

// FirstValidFrom is where the first version of a member starts.
type FirstValidFrom string

const (
	FirstValidFromBeginning FirstValidFrom = "beginning" // at Beginning, so that earlier facts find it
	FirstValidFromEffective FirstValidFrom = "effective" // when its first change took effect
)

// ValidToCurrent is valid_to of a current version.
type ValidToCurrent string

const (
	ValidToMaximum ValidToCurrent = "maximum" // Forever
	ValidToEmpty   ValidToCurrent = "empty"   // null
)

// Beginning and Forever are the ends of time, µs since 1970 UTC: 1900-01-01 and
// 9999-12-31, at midnight.
const (
	Beginning int64 = -2_208_988_800_000_000
	Forever   int64 = 253_402_214_400_000_000
)

// Columns of a dimension's table behind its attributes, before the times of the
// newest record.
const (
	ColumnValidFrom  = "valid_from"
	ColumnValidTo    = "valid_to"
	ColumnChangedAt  = "changed_at"
	ColumnIsCurrent  = "is_current"
	ColumnIsDeleted  = "is_deleted"
	ColumnIsInferred = "is_inferred"
)

// Spec is what a dimension is to be.
type Spec struct {
	Model      string // for messages
	From       upstream.Model
	NaturalKey []string // of a keyed model it is that model's key, in any order
	// SurrogateKey and DurableKey are the names of these columns; DurableKey is ""
	// for none.
	SurrogateKey, DurableKey string
	// EffectiveAt is a timestamptz of From. "" is source_ts of changes of a
	// database, and kafka_timestamp where there is none.
	EffectiveAt string
	// Where is over From, for changes of a database and keyed models: a row that
	// does not meet it is the deletion of its member. nil for none; rows of other
	// staging models are filtered before they come here.
	Where          *expression.Expr
	Derive         []projection.Column // over From and those before
	Attributes     []string            // of From and Derive, in the order of the table
	Types          map[string]Type
	DefaultType    Type // of attributes that are not in Types
	Type1Scope     Type1Scope
	HardDeletes    HardDeletes
	LateChanges    time.Duration
	Unknown        map[string]string // attributes of the unknown member as texts; null for those not given
	FirstValidFrom FirstValidFrom
	ValidToCurrent ValidToCurrent
	Decider        Decider          // decides instead of Types; nil for none
	Allocator      memory.Allocator // nil for the default
}

// Action is what a Decider decides of a change.
type Action int8

const (
	ActionIgnore     Action = 0
	ActionOverwrite  Action = 1 // the version in force has these attributes
	ActionNewVersion Action = 2
	ActionDelete     Action = 3 // as HardDeletes says
)

// Proposal is changes to decide of, one of a member at most, each beside the
// version in force when it took effect.
type Proposal struct {
	Ops         []byte            // c, u, d or r
	EffectiveAt []int64           // µs since 1970 UTC
	Changes     arrow.RecordBatch // the attributes of each change, in the columns of Program.Attributes
	InForce     arrow.RecordBatch // those of the version in force
	Absent      []bool            // there is none
}

// Decision is what to do with each change of a Proposal.
type Decision struct {
	Actions    []Action
	Attributes arrow.RecordBatch // to store, in the columns of Program.Attributes; the caller releases it
	Errors     []DecisionError   // of changes that are ignored, one a row at most
}

// DecisionError is why a change cannot be decided of.
type DecisionError struct {
	Row           int
	Code, Message string
}

// Decider decides what changes do: a plugin of kind scd. The same proposal has
// the same decision: changes are decided of again, from the first one on that an
// earlier change comes before.
type Decider interface {
	Decide(ctx context.Context, p Proposal) (Decision, error)
}

// Program is a Spec that was checked and compiled. It is immutable.
type Program struct {
	spec        Spec
	mem         memory.Allocator
	late        int64 // µs
	hasVersions bool  // members have several versions
	all         bool  // changes of type 1 overwrite all of them
	naturalKey  *arrow.Schema
	where       *projection.Compiled // nil for none
	derive      []projection.Compiled
	attributes  *arrow.Schema // those of type 0, then 1, then 2
	types       []Type        // of attributes
	typed       [3][2]int     // the range of attributes that are of a type
	// inputs is what is kept of a change of a database beside its attributes, where
	// columns that it does not carry decide what they are; it has no fields
	// otherwise.
	inputs  *arrow.Schema
	unknown []byte // a row of attributes
	output  *arrow.Schema
	place   []int // of the attributes of output in attributes
}

// Schema is the columns of the dimension's table.
func (p *Program) Schema() *arrow.Schema { return p.output }

// Key is the columns that tell the table's rows apart.
func (p *Program) Key() []string { return []string{p.spec.SurrogateKey} }

// NaturalKey is the columns that identify a member.
func (p *Program) NaturalKey() *arrow.Schema { return p.naturalKey }

// Attributes is the columns of Found.Row. Their order is not that of the table.
func (p *Program) Attributes() *arrow.Schema { return p.attributes }

// Unknown is the attributes of the unknown member, as Found.Row has them.
func (p *Program) Unknown() []byte { return p.unknown }

// StateVersion tells encodings of state apart, and meanings of it: state of
// another version must not be read. It changes with the columns that are read, the
// natural key, the types of columns, and what deletions and first changes do. It
// does not with lateness: what was forgotten is noted in the state.
func (p *Program) StateVersion() int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(p.describeState())) // never fails
	return int(h.Sum32() >> 1)
}

// Describe is what StateVersion depends on, in parts for a person.
func (p *Program) Describe() []string { return strings.Split(p.describeState(), "; ")[1:] } // without the format

func (p *Program) describeState() string {
	s := &p.spec
	var b strings.Builder
	fmt.Fprintf(&b, "dimension %d; from %q; effective_at %q; hard_deletes %s; first_valid_from %s; valid_to_current %s; versions %t; type_1_scope all %t; decided by a plugin %t; types %v; natural key",
		stateFormat, s.From.Key, s.EffectiveAt, s.HardDeletes, s.FirstValidFrom, s.ValidToCurrent, p.hasVersions, p.all, s.Decider != nil, p.types)
	describe(&b, p.naturalKey)
	b.WriteString("; attributes")
	describe(&b, p.attributes)
	b.WriteString("; keeps")
	describe(&b, p.inputs)
	for _, c := range p.derive {
		fmt.Fprintf(&b, "; %s = %s", c.Name, c.Compiled)
	}
	if p.where != nil {
		fmt.Fprintf(&b, "; where %s", p.where.Compiled)
	}
	return b.String()
}

func describe(b *strings.Builder, s *arrow.Schema) {
	for _, f := range s.Fields() {
		fmt.Fprintf(b, " %s %s", f.Name, record.FormatType(f.Type))
	}
}
