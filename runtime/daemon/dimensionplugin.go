package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
)

// scdPlugin is a plugin of kind scd as the pipeline's KeyedPlugin.
type scdPlugin struct {
	*wasm.SCD // nil if it was refused
	compiled  *wasm.Plugin
	called    bool // in the epoch in hand
}

// openSCD compiles a dimension's plugin and checks that it takes the dimension's
// attributes and returns them.
func openSCD(ctx context.Context, p *project.Project, k *keyedModel, host *wasm.Host, module []byte) (_ *scdPlugin, err error) {
	compiled, err := host.Compile(ctx, module, wasmLimits(k.Plugin.Limits))
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", cmp.Or(k.Plugin.Module, "its module in the registry"), err)
	}
	opened := &scdPlugin{compiled: compiled}
	defer func() {
		if err != nil {
			err = errors.Join(err, opened.Close(ctx))
		}
	}()
	attributes := k.dimension.Attributes()
	init := wasm.Init{Pipeline: p.Name, Model: k.Name, Config: k.Plugin.Config, Input: attributes, InForce: attributes, Output: attributes}
	if k.Plugin.OnError == project.OnErrorStop {
		init.OnError = wasm.Stop
	}
	if opened.SCD, err = compiled.OpenSCD(ctx, init); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return opened, nil
}

// Digest implements pipeline.Plugin.
func (s *scdPlugin) Digest() string { return s.compiled.Digest() }

// NextEpoch implements pipeline.EpochBounded: the plugin may log again.
func (s *scdPlugin) NextEpoch() {
	s.called = false
	s.SCD.NextEpoch()
}

// Called implements pipeline.KeyedPlugin.
func (s *scdPlugin) Called() bool { return s.called }

// Close frees the plugin's instances and its code. No call may be running.
func (s *scdPlugin) Close(ctx context.Context) error {
	var errs []error
	if s.SCD != nil {
		errs = append(errs, s.SCD.Close(ctx))
	}
	return errors.Join(append(errs, s.compiled.Close(ctx))...)
}

// decider is a dimension.Decider by the plugin that the dimension has now.
type decider struct{ plugin *scdPlugin }

// Decide implements dimension.Decider.
func (d *decider) Decide(ctx context.Context, p dimension.Proposal) (dimension.Decision, error) {
	d.plugin.called = true
	changes := changesOf(p, d.plugin.ChangeSchema())
	defer changes.Release()
	made, err := d.plugin.SCD.Decide(ctx, changes, wasm.InForce{Rows: p.InForce, Absent: p.Absent})
	if err != nil {
		return dimension.Decision{}, fault(ctx, err)
	}
	out := dimension.Decision{Actions: make([]dimension.Action, len(made.Actions)), Attributes: made.Attributes}
	for i, a := range made.Actions {
		out.Actions[i] = dimension.Action(a) // both are those of the plugin ABI
	}
	for _, e := range made.Errors {
		out.Errors = append(out.Errors, dimension.DecisionError{Row: int(e.Row), Code: e.Code, Message: e.Message})
	}
	return out, nil
}

// changesOf is what a plugin is given: operation, time and attributes.
func changesOf(p dimension.Proposal, schema *arrow.Schema) arrow.RecordBatch {
	ops, times := array.NewStringBuilder(memory.DefaultAllocator), array.NewTimestampBuilder(memory.DefaultAllocator, schema.Field(1).Type.(*arrow.TimestampType))
	defer ops.Release()
	defer times.Release()
	for i, op := range p.Ops {
		ops.Append(string(op))
		times.Append(arrow.Timestamp(p.EffectiveAt[i]))
	}
	columns := []arrow.Array{ops.NewArray(), times.NewArray()}
	defer columns[0].Release()
	defer columns[1].Release()
	return array.NewRecordBatch(schema, append(columns, p.Changes.Columns()...), p.Changes.NumRows())
}

// openDecider opens a dimension's plugin.
func (k *keyedModel) openDecider(ctx context.Context, p *project.Project, with tools, module []byte) error {
	opened, err := openSCD(ctx, p, k, with.host, module)
	if err != nil {
		return &openError{ref: k.Plugin.Ref, error: err}
	}
	k.decider.plugin, k.plugin = opened, opened
	return nil
}

// Swap implements pipeline.Swapper.
func (m *members) Swap(next pipeline.KeyedPlugin) error {
	plugin, ok := next.(*scdPlugin)
	if !ok {
		return fmt.Errorf("BUG: a dimension is given %T as its plugin", next)
	}
	m.decider.plugin = plugin
	return nil
}
