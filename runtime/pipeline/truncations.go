package pipeline

import (
	"fmt"
	"maps"
	"slices"

	"github.com/calvelake/calve/runtime/record"
)

// truncated counts the truncations of source tables that a model ignores.
type truncated struct {
	count  int64
	table  string // of the first
	at     record.TopicPartition
	offset int64
}

func (e *epoch) countTruncations(o outcome) {
	if len(o.truncations) == 0 {
		return
	}
	t := e.truncated[o.model.Name]
	if t == nil {
		first, source := o.truncations[0], o.rows.Source
		t = &truncated{table: first.Table, at: source.TopicPartition, offset: source.Records[first.Record].Offset}
		e.truncated[o.model.Name] = t
	}
	t.count += int64(len(o.truncations))
}

// reportTruncations logs them, once an epoch for each model.
func (p *Pipeline) reportTruncations(e *epoch) {
	for _, model := range slices.Sorted(maps.Keys(e.truncated)) {
		t := e.truncated[model]
		p.parts.Logger.Warn("truncations of the source are ignored (on_truncate); rows that are gone there stay here", "epoch", e.number, "model", model,
			"truncations", t.count, "first", fmt.Sprintf("%s at %s offset %d", t.table, t.at, t.offset))
	}
}
