package fact

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/aggregate"
	"github.com/calvelake/calve/runtime/expression"
	"github.com/calvelake/calve/runtime/projection"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/rowcodec"
	"github.com/calvelake/calve/runtime/upstream"
)

// join is a Join that was compiled.
type join struct {
	index      int
	spec       Join
	staging    bool  // its rows are of a staging model: events that are forgotten in time
	left       []int // columns of base: the key
	from, to   int   // columns of base: the range
	calls      []expression.AggregateCall
	set        []aggregate.Call
	right      *arrow.Schema         // what is kept of a row to be joined: arguments or copied columns, and its record's times
	values     *arrow.Schema         // what is kept of a join's result: what calls give, or copied columns
	aggregates []projection.Compiled // over input and values
	fields     []arrow.Field         // that it makes
	unmatched  []byte                // copy: a row of values, where no row matches
}

// Columns of join.right behind the arguments.
const (
	rightRecordedAt = "recorded_at"
	rightIngestedAt = "ingested_at"
)

func (j *join) within() Within {
	if j.spec.Within == nil {
		return Within{}
	}
	return *j.spec.Within
}

func (p *Program) compileJoins() error {
	for i, spec := range p.spec.Joins {
		j := &join{index: i, spec: spec, staging: !spec.To.IsKeyed()}
		if err := p.checkJoin(j); err != nil {
			return err
		}
		var err error
		if len(spec.Copy) > 0 {
			err = j.compileCopy(p.mem)
		} else {
			err = p.compileAggregates(j)
		}
		if err != nil {
			return err
		}
		for _, f := range j.right.Fields() {
			if !rowcodec.Supports(f.Type) {
				return fmt.Errorf("%s: column %s is %s, which no table holds", j.path(""), f.Name, f.Type)
			}
		}
		p.joins = append(p.joins, j)
	}
	return nil
}

func (p *Program) checkJoin(j *join) error {
	s := j.spec
	if err := s.To.Check(j.path(".to")); err != nil {
		return err
	}
	switch {
	case j.staging && s.To.Schema.HasField(record.ColumnChangeOp):
		return fmt.Errorf("%s: the rows of %s are changes of a database's rows, which events are joined to as they are; make a fact or dimension of them, and join that", j.path(".to"), s.To.Name)
	case j.staging && s.Within == nil:
		return fmt.Errorf("%s: %s is a staging model, whose rows cannot be kept for ever; say within which time they match", j.path(".within"), s.To.Name)
	case len(s.On) == 0:
		return fmt.Errorf("%s: a join needs at least one pair of columns", j.path(".on"))
	case (len(s.Aggregates) == 0) == (len(s.Copy) == 0):
		return fmt.Errorf("%s: a join needs aggregates or copy", j.path(""))
	case len(s.Copy) > 0 && s.Within != nil:
		return fmt.Errorf("%s: within needs aggregates", j.path(".within"))
	}
	for _, pair := range s.On {
		left, err := p.spec.From.Field(j.path(".on"), pair.Left)
		if err != nil {
			return err
		}
		right, err := s.To.Field(j.path(".on"), pair.Right)
		if err != nil {
			return err
		}
		if !arrow.TypeEqual(left.Type, right.Type) || !record.IsKeyType(left.Type) {
			return fmt.Errorf("%s: column %s is %s and %s of %s is %s; both must be of one type: string, int, long, date, boolean or timestamptz", j.path(".on"),
				pair.Left, record.FormatType(left.Type), pair.Right, s.To.Name, record.FormatType(right.Type))
		}
	}
	if s.Within == nil {
		return nil
	}
	for _, c := range []struct {
		what, name string
		in         upstream.Model
	}{{".within.time", s.Within.Time, s.To}, {".within.from", s.Within.From, p.spec.From}, {".within.to", s.Within.To, p.spec.From}} {
		if err := c.in.CheckTimestamptz(j.path(c.what), c.name); err != nil {
			return err
		}
	}
	return nil
}

func (j *join) compileCopy(mem memory.Allocator) error {
	var fields []arrow.Field
	for _, c := range j.spec.Copy {
		f, err := j.spec.To.Field(j.path(".copy."+c.Name), c.From)
		if err != nil {
			return err
		}
		fields = append(fields, arrow.Field{Name: c.Name, Type: f.Type, Nullable: true})
	}
	j.fields, j.values = fields, arrow.NewSchema(fields, nil)
	j.right = rightSchema(fields)
	return j.compileUnmatched(mem)
}

func rightSchema(fields []arrow.Field) *arrow.Schema {
	all := make([]arrow.Field, 0, len(fields)+2)
	for i, f := range fields {
		all = append(all, arrow.Field{Name: fmt.Sprint(i), Type: f.Type, Nullable: true})
	}
	for _, name := range []string{rightRecordedAt, rightIngestedAt} {
		all = append(all, arrow.Field{Name: name, Type: record.Timestamptz, Nullable: true})
	}
	return arrow.NewSchema(all, nil)
}

// compileAggregates finds what is kept of rows, and of what calls give.
func (p *Program) compileAggregates(j *join) error {
	made, err := projection.CompileAggregates(j.path(".aggregates."), j.spec.Aggregates, j.spec.To.Schema, p.spec.From.Schema)
	if err != nil {
		return err
	}
	j.aggregates, j.calls, j.set = made.Columns, made.Calls, made.Set
	for i := range j.aggregates {
		j.fields = append(j.fields, j.aggregates[i].Field())
	}
	var arguments, results []arrow.Field
	for _, call := range j.calls {
		if call.Argument != nil {
			arguments = append(arguments, arrow.Field{Type: call.Argument.Type()})
		}
		results = append(results, arrow.Field{Name: call.Column, Type: call.Type, Nullable: true})
	}
	j.right, j.values = rightSchema(arguments), arrow.NewSchema(results, nil)
	return nil
}
