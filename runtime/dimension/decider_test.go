package dimension

import (
	"context"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record/recordtest"
)

// decideOne is what the fake Decider decides: it depends on the change, and on the
// version in force.
func decideOne(op string, at int64, now, change map[string]any) (Action, map[string]any) {
	switch {
	case op == "d":
		return ActionDelete, nil
	case change["level"] == int64(0):
		return ActionIgnore, nil
	case now != nil && now["name"] == change["name"] && at%2 == 0:
		return ActionOverwrite, change
	case now != nil && now["city"] == nil && change["city"] == nil:
		return ActionDelete, nil
	}
	return ActionNewVersion, change
}

type fakeDecider struct{}

func (fakeDecider) Decide(_ context.Context, p Proposal) (Decision, error) {
	d := Decision{}
	var rows [][]any
	fields := p.Changes.Schema().Fields()
	for i, op := range p.Ops {
		now := rowMap(p.InForce, i)
		if p.Absent[i] {
			now = nil
		}
		action, values := decideOne(string(op), p.EffectiveAt[i], now, rowMap(p.Changes, i))
		var row []any
		for _, f := range fields {
			row = append(row, values[f.Name])
		}
		d.Actions, rows = append(d.Actions, action), append(rows, row)
	}
	d.Attributes = recordtest.Rows(fields, rows)
	return d, nil
}

func rowMap(rows arrow.RecordBatch, row int) map[string]any {
	out := map[string]any{}
	for c, f := range rows.Schema().Fields() {
		if rows.Column(c).IsNull(row) {
			out[f.Name] = nil
			continue
		}
		out[f.Name] = rows.Column(c).GetOneForMarshal(row)
		if s, ok := out[f.Name].(string); ok {
			out[f.Name] = strings.Clone(s)
		}
	}
	return out
}
