package fact

import (
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
	"github.com/calvelake/calve/runtime/upstream"
)

// OnUpdate is what another row of a grain does.
type OnUpdate string

const (
	Upsert OnUpdate = "upsert" // the newest is the fact's row
	Append OnUpdate = "append" // it is a row of its own
)

// OnDelete is what the deletion of a row does.
type OnDelete string

const (
	DeleteHard   OnDelete = "hard"   // the fact's row goes
	DeleteSoft   OnDelete = "soft"   // the fact's row says is_deleted
	DeleteIgnore OnDelete = "ignore" // nothing
)

// ColumnDeleted tells with DeleteSoft whether a row was deleted.
const ColumnDeleted = "is_deleted"

// Pair is two columns that are equal where rows match.
type Pair struct {
	Left  string // of the fact's input
	Right string // of the joined model
}

// Within keeps the rows of a join whose time is in [From, To].
type Within struct {
	Time     string // of the joined model
	From, To string // of the fact's input
}

// Copy is a column with that of the one row that matches.
type Copy struct{ Name, From string }

// Join is columns of another model. It has Aggregates or Copy.
type Join struct {
	To         upstream.Model
	On         []Pair
	Within     *Within             // nil for no range; a staging model needs one
	Aggregates []projection.Column // over the rows that match; outside of aggregates they see the fact's input
	Copy       []Copy
	Unmatched  []projection.Column // constants of copied columns, where no row matches; null for others
}

// Spec is what a fact is to be.
type Spec struct {
	Model        string // for messages
	From         upstream.Model
	Grain        []string
	EventTime    string // a timestamptz of From
	Lateness     time.Duration
	Rekey        time.Duration // how long after its time a key follows its dimension; at least Lateness
	OnUpdate     OnUpdate
	OnDelete     OnDelete
	SurrogateKey string           // the name of its column; "" for none
	Where        *expression.Expr // over From; nil for none
	Joins        []Join
	Milestones   []projection.Column // over From
	Derive       []projection.Column // over From, joins, milestones and those before
	ForeignKeys  []ForeignKey
	// Columns are those that the table has behind surrogate key, grain, event time
	// and foreign keys with what they copy, and before is_deleted and the times of
	// the newest record.
	Columns   []string
	Limits    aggregate.Limits
	Allocator memory.Allocator // nil for the default
}

// Program is a Spec that was checked and compiled. It is immutable.
type Program struct {
	spec       Spec
	mem        memory.Allocator
	lateness   int64         // µs
	rekey      int64         // µs
	base       *arrow.Schema // what is kept of a row of the input
	grain      []int         // columns of base
	eventTime  int
	recordedAt int                  // the column of base with the time of the record
	ingestedAt int                  // and with that of its poll
	id         []int                // columns of base: the key of a keyed input
	appended   bool                 // each row of the input is a row of the fact
	where      *projection.Compiled // nil for none
	joins      []*join
	milestones []projection.Compiled
	filled     *arrow.Schema // milestones
	derive     []projection.Compiled
	early      []int // of derive: those of input and milestones alone
	foreign    []*foreign
	output     *arrow.Schema
	fixed      []string // the columns of output behind the surrogate key: grain and event time
	referred   []string // behind them, of foreign keys
	chosen     []string // and those behind
}

// Compile checks a Spec. The error is a *projection.ExpressionError where an
// expression is wrong.
func Compile(spec Spec) (*Program, error) {
	p := &Program{spec: spec, mem: spec.Allocator, lateness: spec.Lateness.Microseconds()}
	p.rekey = max(p.lateness, spec.Rekey.Microseconds())
	if p.mem == nil {
		p.mem = memory.DefaultAllocator
	}
	for _, step := range []func() error{p.checkInput, p.checkOptions, p.checkKey, p.compileInput, p.compileJoins, p.compileDerive, p.compileForeign, p.checkNames, p.choose, p.keep} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("fact %s: %w", spec.Model, err)
		}
	}
	return p, nil
}

// Schema is the columns of the fact's table.
func (p *Program) Schema() *arrow.Schema { return p.output }

// Key is the columns that tell the table's rows apart.
func (p *Program) Key() []string {
	if p.spec.SurrogateKey != "" {
		return []string{p.spec.SurrogateKey}
	}
	return p.spec.Grain
}

// StateVersion tells encodings of state apart, and meanings of it: state of
// another version must not be read. It changes with the columns that are read, the
// grain, what updates and deletes do, milestones, joins, foreign keys and lateness.
// It does not depend on Rekey: a key that no longer follows its dimension does not
// begin to, if that is raised.
func (p *Program) StateVersion() int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(p.describeState())) // never fails
	return int(h.Sum32() >> 1)
}

// Describe is what StateVersion depends on, in parts for a person.
func (p *Program) Describe() []string {
	parts := strings.Split(p.describeState(), "; ")[1:] // without the format
	if lateness := fmt.Sprintf("lateness %d", p.lateness); parts[0] == lateness {
		parts[0] = fmt.Sprintf("allowed_lateness %s", p.spec.Lateness)
	}
	return parts
}

func (p *Program) describeState() string {
	var b strings.Builder
	fmt.Fprintf(&b, "fact %d; lateness %d; %s %s; grain %q; by %s; key %q; from", stateFormat, p.lateness, p.spec.OnUpdate, p.spec.OnDelete, p.spec.Grain, p.spec.EventTime, p.spec.From.Key)
	describe(&b, p.base)
	for _, m := range p.milestones {
		fmt.Fprintf(&b, "; milestone %s = %s", m.Name, m.Compiled)
	}
	for _, j := range p.joins {
		fmt.Fprintf(&b, "; join %s %q on %q within %v", j.spec.To.Name, j.spec.To.Key, j.spec.On, j.within())
		for _, c := range j.calls {
			fmt.Fprintf(&b, "; %s", c.Column)
		}
		b.WriteString("; keeps")
		describe(&b, j.right)
		b.WriteString("; gives")
		describe(&b, j.values)
		for _, c := range j.spec.Unmatched {
			fmt.Fprintf(&b, " %s or %s", c.Name, c.Expression)
		}
	}
	for _, f := range p.foreign {
		f.describe(&b)
	}
	return b.String()
}

func describe(b *strings.Builder, s *arrow.Schema) {
	for _, f := range s.Fields() {
		fmt.Fprintf(b, " %s %s", f.Name, record.FormatType(f.Type))
	}
}
