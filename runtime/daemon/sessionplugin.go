package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/session"
)

// sessionPlugin is a plugin of kind session as the operator's Plugin, and as the
// pipeline's KeyedPlugin.
type sessionPlugin struct {
	*wasm.Session // nil if it was refused
	compiled      *wasm.Plugin
	input         []string
	program       *session.Program // of the model's sessions with it
	called        bool             // in the epoch in hand
}

// openSession compiles a session model's plugin and checks that it takes what the
// model's input has and adds what the model declares.
func openSession(ctx context.Context, p *project.Project, k *keyedModel, host *wasm.Host, module []byte) (_ *sessionPlugin, err error) {
	compiled, err := host.Compile(ctx, module, wasmLimits(k.Plugin.Limits))
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", cmp.Or(k.Plugin.Module, "its module in the registry"), err)
	}
	opened := &sessionPlugin{compiled: compiled}
	defer func() {
		if err != nil {
			err = errors.Join(err, opened.Close(ctx))
		}
	}()
	init, err := opened.takes(p, k)
	if err != nil {
		return nil, err
	}
	if opened.Session, err = compiled.OpenSession(ctx, init); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if opened.program, err = compileSession(p, k.Model, opened); err != nil {
		return nil, err
	}
	return opened, nil
}

// takes finds the columns that the plugin takes, and tells what it is opened for.
func (s *sessionPlugin) takes(p *project.Project, k *keyedModel) (wasm.Init, error) {
	from, err := inputOf(p, k.Model)
	if err != nil {
		return wasm.Init{}, err
	}
	schema := from.DeriveSchema(len(from.Derived))
	s.input = pluginInput(s.compiled, from)
	fields := make([]arrow.Field, len(s.input))
	for i, name := range s.input {
		at := schema.FieldIndices(name)
		if len(at) != 1 {
			return wasm.Init{}, fmt.Errorf("it takes column %q, which %s does not have", name, from.Name)
		}
		fields[i] = schema.Field(at[0])
	}
	init := wasm.Init{
		Pipeline: p.Name, Model: k.Name, Config: k.Plugin.Config,
		Input: arrow.NewSchema(fields, nil), Output: arrow.NewSchema(arrowFields(k.Plugin.Added), nil),
		Key: session.PluginKeyType(k.session.KeyFields()),
	}
	if k.Plugin.OnError == project.OnErrorStop {
		init.OnError = wasm.Stop
	}
	return init, nil
}

// Digest implements pipeline.Plugin.
func (s *sessionPlugin) Digest() string { return s.compiled.Digest() }

// NextEpoch implements pipeline.EpochBounded: the plugin may log again.
func (s *sessionPlugin) NextEpoch() {
	s.called = false
	s.Session.NextEpoch()
}

// Called implements pipeline.KeyedPlugin.
func (s *sessionPlugin) Called() bool { return s.called }

// Close frees the plugin's instances and its code. No call may be running.
func (s *sessionPlugin) Close(ctx context.Context) error {
	var errs []error
	if s.Session != nil {
		errs = append(errs, s.Session.Close(ctx))
	}
	return errors.Join(append(errs, s.compiled.Close(ctx))...)
}

// fault marks an error of a call as the plugin's, but for a call that was given
// up.
func fault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return pipeline.PluginFault(err)
}

// wasmLimits are the limits that a model gives its plugin.
func wasmLimits(l project.PluginLimits) wasm.Limits {
	if l == (project.PluginLimits{}) {
		return wasm.Limits{}
	}
	return wasm.Limits{MemoryBytes: l.Memory, Budget: l.CPUBudget, OutputBytes: l.OutputBytes}
}

// pluginInput is the columns that a plugin takes: those that it names, or all
// that the model declares.
func pluginInput(compiled *wasm.Plugin, from *project.Model) []string {
	var names []string
	if d := compiled.Describe(); !d.Input.Any {
		for _, c := range d.Input.Columns {
			names = append(names, c.Name)
		}
		return names
	}
	for _, c := range from.Columns {
		names = append(names, c.Name)
	}
	return names
}

// Input is the columns that the plugin accumulates.
func (s *sessionPlugin) Input() []string { return s.input }

// Accumulate implements session.Plugin.
func (s *sessionPlugin) Accumulate(ctx context.Context, rows arrow.RecordBatch, groups []uint32, before arrow.RecordBatch) (session.Update, error) {
	s.called = true
	after, err := s.Session.Accumulate(ctx, rows, groups, before)
	return session.Update{State: after.State, Errors: sessionErrors(after.Errors)}, fault(ctx, err)
}

// Merge implements session.Plugin.
func (s *sessionPlugin) Merge(ctx context.Context, into, from arrow.RecordBatch) (session.Update, error) {
	s.called = true
	after, err := s.Session.Merge(ctx, into, from)
	return session.Update{State: after.State, Errors: sessionErrors(after.Errors)}, fault(ctx, err)
}

// Finish implements session.Plugin.
func (s *sessionPlugin) Finish(ctx context.Context, sessions arrow.RecordBatch, watermark int64) (session.Finished, error) {
	s.called = true
	result, err := s.Session.Finish(ctx, sessions, watermark)
	if err != nil {
		return session.Finished{}, fault(ctx, err)
	}
	if len(result.Outputs) != 1 {
		for _, o := range result.Outputs {
			o.Rows.Release()
		}
		return session.Finished{}, pipeline.PluginFault(fmt.Errorf("the plugin returned %d streams, a session model takes 1", len(result.Outputs)))
	}
	return session.Finished{Rows: result.Outputs[0].Rows, Origin: result.Outputs[0].Origin, Errors: sessionErrors(result.Errors)}, nil
}

func sessionErrors(from []wasm.RowError) []session.RowError {
	errs := make([]session.RowError, len(from))
	for i, e := range from {
		errs[i] = session.RowError{Row: int(e.Row), Code: e.Code, Column: e.Column, Message: e.Message}
	}
	return errs
}

// declaredPlugin stands for a model's plugin where only its columns count.
func declaredPlugin(m *project.Model) session.Plugin {
	if m.Plugin == nil {
		return nil
	}
	return stateless{}
}

// stateless is a plugin that is never called.
type stateless struct{ session.Plugin }

// StateSchema implements session.Plugin.
func (stateless) StateSchema() *arrow.Schema { return arrow.NewSchema(nil, nil) }

// timeText shows µs since 1970 to a person.
func timeText(at int64) string { return time.UnixMicro(at).UTC().Format(time.RFC3339Nano) }
