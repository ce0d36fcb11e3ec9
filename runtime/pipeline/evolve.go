package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/decode"
	"github.com/calvelake/calve/runtime/record"
)

// ErrSourceChanged: a topic's records have fields, or values, that the model
// has no columns for, and its table is not to follow.
var ErrSourceChanged = errors.New("the source's schema has changed")

// neededChange ends an epoch: a slice can only be taken when the model's table
// has what it needs. The reader is still before the slice.
type neededChange struct {
	model *Model
	at    record.TopicPartition
	// letters tells that the slice is one of dead letters.
	letters bool
	*decode.ChangeError
}

func (e *neededChange) Error() string {
	return fmt.Sprintf("model %s: %s: %v", e.model.Name, e.at, e.ChangeError)
}

// Unwrap is for those who look for the change itself.
func (e *neededChange) Unwrap() error { return e.ChangeError }

// decodeError says which slice was not decoded.
func decodeError(m *Model, s *record.Slice, err error) error {
	var change *decode.ChangeError
	if errors.As(err, &change) {
		return &neededChange{model: m, at: s.TopicPartition, ChangeError: change}
	}
	return fmt.Errorf("model %s: %w", m.Name, err)
}

// evolve lets a model's table follow its source, between two epochs: the one
// before is committed, and the files of the next are written by the new schema.
// The readers' sources are opened again, where the readers are.
func (p *Pipeline) evolve(ctx context.Context, needed *neededChange) error {
	m := needed.model
	if !p.evolves(m) {
		return needed.refused()
	}
	for _, r := range p.readers {
		r.close()
	}
	t, err := p.parts.Lake.Evolve(ctx, m.Table, sourceChange(needed.Change))
	if err != nil && ctx.Err() != nil {
		return nil // stopped: whoever goes on finds the same slice
	}
	if err != nil {
		return fmt.Errorf("model %s needs a change of its table for %s at offset %d: %w", m.Name, needed.at, needed.Offset, err)
	}
	if t.SameColumns(m.Table) {
		return fmt.Errorf("%w: model %s, %s at offset %d: %s, and the table %s has that already, though not from the source; declare it in the model to have it filled, or set the model's on_schema_change to ignore",
			ErrSourceChanged, m.Name, needed.at, needed.Offset, describeChange(needed.Change), t.ID)
	}
	rebuilt, err := p.parts.Rebuild(ctx, *m, t)
	if err != nil {
		return fmt.Errorf("build model %s for the new columns of its table: %w", m.Name, err)
	}
	*m = rebuilt
	p.parts.Start.Tables[t.ID.String()] = rebuilt.Table
	return nil
}

// evolves tells whether a model's table may follow its source.
func (p *Pipeline) evolves(m *Model) bool {
	return m.Evolves && m.Table != nil && p.parts.Rebuild != nil
}

// refused says what to do where the table may not follow.
func (e *neededChange) refused() error {
	return fmt.Errorf("%w: model %s cannot take %s at offset %d: %s; set the model's on_schema_change to append_new_columns, which adds it to the table, or to ignore, which takes what the model declares and leaves out the rest",
		ErrSourceChanged, e.model.Name, e.at, e.Offset, describeChange(e.Change))
}

func sourceChange(c decode.Change) lakehouse.SourceChange {
	columns := func(from []decode.Column) []lakehouse.SourceColumn {
		out := make([]lakehouse.SourceColumn, len(from))
		for i, c := range from {
			out[i] = lakehouse.SourceColumn{Name: c.Name, From: c.From, Type: c.Type}
		}
		return out
	}
	return lakehouse.SourceChange{Add: columns(c.Add), Widen: columns(c.Widen)}
}

// describeChange names what is new in words of the project files.
func describeChange(c decode.Change) string {
	var parts []string
	for _, a := range c.Add {
		parts = append(parts, fmt.Sprintf("new field %s (as a column %s, data_type %s)", a.From, a.Name, record.FormatType(a.Type)))
	}
	for _, w := range c.Widen {
		parts = append(parts, fmt.Sprintf("column %s needs data_type %s", w.Name, record.FormatType(w.Type)))
	}
	return strings.Join(parts, "; ")
}
