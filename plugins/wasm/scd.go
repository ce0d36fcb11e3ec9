package wasm

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/plugins/wasm/internal/cdata"
	"github.com/calvelake/calve/sdk/abi"
)

// Action is what an scd plugin decides about a change.
type Action int8

const (
	ActionIgnore     Action = abi.ActionIgnore
	ActionOverwrite  Action = abi.ActionOverwrite
	ActionNewVersion Action = abi.ActionNewVersion
	ActionDelete     Action = abi.ActionDelete
)

// SCD is a plugin of kind scd, opened for a model. It is safe for concurrent
// use.
type SCD struct {
	transform *Transform
	output    *arrow.Schema // _action, and the attributes as the plugin returns them
}

// OpenSCD makes an instance, configures it, and compares the plugin's columns
// with the model's: Init.Input is the attributes of a change, Init.InForce those
// of the version in force, Init.Output those to store. Its errors are those of
// Open.
func (p *Plugin) OpenSCD(ctx context.Context, init Init) (*SCD, error) {
	t, err := p.open(ctx, init, abi.KindSCD, func(t *Transform) error {
		if t.init.InForce == nil {
			return fmt.Errorf("BUG: an scd plugin is opened without the attributes in force")
		}
		t.input = extend(arrow.NewSchema([]arrow.Field{
			{Name: abi.ColumnOp, Type: arrow.BinaryTypes.String}, {Name: abi.ColumnEffectiveAt, Type: instant},
		}, nil), t.init.Input.Fields()...)
		t.state = t.init.InForce
		return nil
	})
	if err != nil {
		return nil, err
	}
	action := arrow.NewSchema([]arrow.Field{{Name: abi.ColumnAction, Type: arrow.PrimitiveTypes.Int8}}, nil)
	return &SCD{transform: t, output: extend(action, t.streams[abi.StreamMain].schema.Fields()...)}, nil
}

// ChangeSchema is the columns of the changes that Decide takes: _op,
// _effective_at, then Init.Input.
func (s *SCD) ChangeSchema() *arrow.Schema { return s.transform.input }

// InForce is the version in force beside each change; rows that are Absent have
// none.
type InForce struct {
	Rows   arrow.RecordBatch
	Absent []bool // nil: none is
}

// Decision is what to do with each change. Attributes has a row for each, which
// the caller releases; those of rows with an error, and of those to ignore or
// delete, are of no meaning.
type Decision struct {
	Actions    []Action
	Attributes arrow.RecordBatch
	Errors     []RowError // at most one a row, in row order; the action is to ignore it
	Usage      Usage
}

// Decide asks what to do with changes, at most one of a key, in effective order.
func (s *SCD) Decide(ctx context.Context, changes arrow.RecordBatch, now InForce) (Decision, error) {
	n := int(changes.NumRows())
	if !sameColumns(changes.Schema(), s.transform.input) || !sameColumns(now.Rows.Schema(), s.transform.state) {
		return Decision{}, fmt.Errorf("BUG: changes of %s beside %s, the plugin was opened for others", changes.Schema(), now.Rows.Schema())
	}
	if int(now.Rows.NumRows()) != n || now.Absent != nil && len(now.Absent) != n {
		return Decision{}, fmt.Errorf("BUG: %d changes beside %d rows, %d of them marked", n, now.Rows.NumRows(), len(now.Absent))
	}
	d := &decision{scd: s, changes: changes, now: now}
	defer func() {
		for _, a := range d.attributes {
			a.Release()
		}
	}()
	h := &halves{transform: s.transform, what: "rows", total: n, attempt: d.attempt, reject: d.reject}
	if err := h.run(ctx); err != nil {
		return Decision{}, err
	}
	attributes, err := concatenate(d.attributes)
	if err != nil {
		return Decision{}, fmt.Errorf("join attributes: %w", err)
	}
	return Decision{Actions: d.actions, Attributes: attributes, Errors: d.errors, Usage: h.usage}, nil
}

// Close frees the instances, as Transform.Close does.
func (s *SCD) Close(ctx context.Context) error { return s.transform.Close(ctx) }

// NextEpoch begins another epoch: the plugin may log again.
func (s *SCD) NextEpoch() { s.transform.NextEpoch() }

// decision collects what calls decided.
type decision struct {
	scd     *SCD
	changes arrow.RecordBatch
	now     InForce

	actions    []Action
	attributes []arrow.RecordBatch
	errors     []RowError
}

func (d *decision) attempt(ctx context.Context, from, to int, budget int64) (cost, error) {
	rows, state := d.changes.NewSlice(int64(from), int64(to)), d.now.Rows.NewSlice(int64(from), int64(to))
	defer rows.Release()
	defer state.Release()
	b := cdata.Batch{Rows: rows, State: state}
	if d.now.Absent != nil {
		b.Absent = d.now.Absent[from:to]
	}
	t := d.scd.transform
	return t.with(ctx, func(in *instance) error {
		reader, res, err := t.exchange(ctx, in, exchange{export: abi.ExportProcess, budget: budget, batch: b})
		if err != nil {
			return err
		}
		errs, err := rowErrors(reader, res, to-from)
		if err != nil {
			return err
		}
		table, err := t.oneToOne(reader, res, d.scd.output, to-from)
		if err != nil {
			return err
		}
		return d.take(table, errs, from)
	})
}

// take splits the actions from the attributes.
func (d *decision) take(table arrow.RecordBatch, errs []RowError, from int) error {
	defer table.Release()
	actions := make([]Action, table.NumRows())
	for i, a := range table.Column(0).(*array.Int8).Int8Values() {
		if a < abi.ActionIgnore || a > abi.ActionDelete {
			return fmt.Errorf("%w: row %d: action %d is unknown", ErrOutput, i, a)
		}
		actions[i] = Action(a)
	}
	for _, e := range sortedErrors(errs) {
		actions[e.Row] = ActionIgnore
		e.Row += uint32(from)
		d.errors = append(d.errors, e)
	}
	stream := d.scd.transform.streams[abi.StreamMain]
	attributes := array.NewRecordBatch(stream.schema, table.Columns()[1:], table.NumRows())
	d.actions = append(d.actions, actions...)
	d.attributes = append(d.attributes, stream.arrange(attributes))
	return nil
}

func (d *decision) reject(from, to int, code, message string) {
	for i := from; i < to; i++ {
		d.actions = append(d.actions, ActionIgnore)
		d.errors = append(d.errors, RowError{Row: uint32(i), Code: code, Message: message})
	}
	schema := d.scd.transform.streams[abi.StreamMain].schema
	if d.scd.transform.init.Output != nil {
		schema = d.scd.transform.init.Output
	}
	columns := make([]arrow.Array, schema.NumFields())
	for i, f := range schema.Fields() {
		columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, to-from)
		defer columns[i].Release()
	}
	d.attributes = append(d.attributes, array.NewRecordBatch(schema, columns, int64(to-from)))
}
