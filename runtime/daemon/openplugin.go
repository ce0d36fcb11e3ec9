package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/runtime/project"
)

// openPlugin reads a model's plugin and opens it for the model.
func openPlugin(ctx context.Context, p *project.Project, m *project.Model, with tools) (*plugin, error) {
	module, err := readModule(ctx, p, m, with.registry)
	if err != nil {
		return nil, fmt.Errorf("plugin %s: %w", m.Plugin.Ref, err)
	}
	opened, err := opening{project: p, model: m, host: with.host}.open(ctx, module)
	if err != nil {
		return nil, &openError{ref: m.Plugin.Ref, error: err}
	}
	return opened, nil
}

// openError: the module that a reference means does not run in a model. Another
// one may.
type openError struct {
	ref string
	error
}

func (e *openError) Error() string { return "plugin " + e.ref + ": " + e.error.Error() }

// Unwrap is for those who look for the reason.
func (e *openError) Unwrap() error { return e.error }

// opening is for which model a module is opened.
type opening struct {
	project *project.Project
	model   *project.Model
	host    *wasm.Host
	spares  bool // it stops over no row, whatever the model says
}

// open compiles a module and checks that it takes and returns what the model
// declares.
func (o opening) open(ctx context.Context, module []byte) (_ *plugin, err error) {
	declared := o.model.Plugin
	compiled, err := o.host.Compile(ctx, module, wasmLimits(declared.Limits))
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", cmp.Or(declared.Module, "its module in the registry"), err)
	}
	made := &plugin{compiled: compiled, digest: compiled.Digest(), rows: int(declared.Limits.BatchRows)}
	defer func() {
		if err != nil {
			err = errors.Join(err, made.Close(ctx))
		}
	}()
	init := wasm.Init{Pipeline: o.project.Name, Model: o.model.Name, Config: declared.Config}
	init.Input, init.Output = pluginSchemas(o.model)
	if declared.OnError == project.OnErrorStop && !o.spares {
		sparing := init
		made.sparing = &sparingPlugin{stopping: made, open: func(ctx context.Context) (*wasm.Transform, error) { return compiled.Open(ctx, sparing) }}
		init.OnError = wasm.Stop
	}
	if made.transform, err = compiled.Open(ctx, init); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return made, nil
}

// pluginSchemas are what a model hands to its plugin, and what it takes back.
func pluginSchemas(m *project.Model) (input, output *arrow.Schema) {
	return arrow.NewSchema(arrowFields(m.Input()), nil), arrow.NewSchema(arrowFields(m.Columns), nil)
}
