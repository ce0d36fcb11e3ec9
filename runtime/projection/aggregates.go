package projection

import (
	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/aggregate"
	"github.com/calvelake/calve/runtime/expression"
)

// Aggregates are columns over groups of rows.
type Aggregates struct {
	Columns []Compiled                 // over what a group has and the columns of Calls
	Calls   []expression.AggregateCall // of all columns, each once, in order of their first place
	Set     []aggregate.Call           // the same, as aggregate.New takes them
}

// CompileAggregates compiles columns over groups of rows. Inside of aggregates they
// see rows, outside what all rows of a group have in common. A column's path is its
// name behind a prefix. The error is an *ExpressionError.
func CompileAggregates(prefix string, columns []Column, rows, group *arrow.Schema) (*Aggregates, error) {
	scope := expression.AggregateScope{Rows: rows, Group: group, Type: aggregate.ResultType}
	all := &Aggregates{}
	have := map[string]bool{}
	for _, c := range columns {
		path := prefix + c.Name
		made, err := c.Expression.CheckAggregated(scope)
		if err != nil {
			return nil, &ExpressionError{path, c.Expression.String(), err}
		}
		all.Columns = append(all.Columns, Compiled{c.Name, path, made.Result})
		for _, call := range made.Calls {
			if !have[call.Column] {
				have[call.Column] = true
				all.add(call)
			}
		}
	}
	return all, nil
}

func (a *Aggregates) add(call expression.AggregateCall) {
	to := aggregate.Call{Function: call.Function}
	if call.Argument != nil {
		to.Argument = call.Argument.Type()
	}
	a.Calls, a.Set = append(a.Calls, call), append(a.Set, to)
}
