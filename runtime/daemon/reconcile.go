package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/state"
)

// Reconciliation makes the rows of a keyed model anew from its inputs' tables:
// by asking the pipeline's writer, or on trial.
type Reconciliation struct {
	project *project.Project
	model   string
	letters *DeadLetters
	logger  *slog.Logger
}

// OpenReconciliation opens what a reconciliation of a model needs: the catalog
// and the warehouse, not Kafka. It refuses models that cannot be reconciled.
func OpenReconciliation(ctx context.Context, p *project.Project, model string, logger *slog.Logger) (*Reconciliation, error) {
	if err := checkBuilt(p); err != nil {
		return nil, err
	}
	if err := checkReconciled(p, model); err != nil {
		return nil, err
	}
	letters, err := OpenDeadLetters(ctx, p, logger)
	if err != nil {
		return nil, err
	}
	if letters.lake == nil {
		return nil, fmt.Errorf("%w: project %s never ran", pipeline.ErrNotReconciled, p.Name)
	}
	return &Reconciliation{project: p, model: model, letters: letters, logger: logger}, nil
}

// reconcilable are the kinds of models whose rows can be made anew while others
// go on: those that read any.
var reconcilable = []project.Kind{project.KindSession, project.KindFact, project.KindDimension, project.KindBridge, project.KindMap}

func checkReconciled(p *project.Project, model string) error {
	i := slices.IndexFunc(p.Models, func(m project.Model) bool { return m.Name == model })
	switch {
	case i < 0:
		return fmt.Errorf("%w: the project has no model %q", pipeline.ErrNotReconciled, model)
	case p.Models[i].Kind == project.KindStaging:
		return fmt.Errorf("%w: model %s is of kind staging, and keeps no state; dead letters of it are replayed with calve dlq replay", pipeline.ErrNotReconciled, model)
	case !slices.Contains(reconcilable, p.Models[i].Kind):
		return fmt.Errorf("%w: model %s is of kind %s, and reads no other model", pipeline.ErrNotReconciled, model, p.Models[i].Kind)
	}
	return nil
}

// Close closes the catalog.
func (r *Reconciliation) Close() { r.letters.Close() }

// Ask puts the request, and returns its id.
func (r *Reconciliation) Ask(ctx context.Context) (string, error) {
	return r.letters.Ask(ctx, lakehouse.RequestReconcile, lakehouse.LetterFilter{Models: []string{r.model}})
}

// Wait waits until the request is carried out and the tables show it.
func (r *Reconciliation) Wait(ctx context.Context, id string) (lakehouse.RequestResult, error) {
	return r.letters.Wait(ctx, id)
}

// DryRun tells what would change, by making the rows anew in a temporary folder
// below the project's .calve.
func (r *Reconciliation) DryRun(ctx context.Context) (_ lakehouse.RequestResult, err error) {
	none := lakehouse.RequestResult{}
	start, err := r.start(ctx)
	if err != nil {
		return none, err
	}
	with, err := openTools(ctx, r.project, toolsConfig{logger: r.logger})
	if err != nil {
		return none, err
	}
	if with.registry != nil {
		with.registry.pin(start.Plugins)
	}
	defer func() { err = errors.Join(err, with.close()) }()
	anew, err := r.anew()
	if err != nil {
		return none, err
	}
	plugged, err := startModels(ctx, r.project, with, start, anew)
	if err != nil {
		return none, err
	}
	keyed, err := r.keyed(ctx, plugged, start, anew)
	if err != nil {
		return none, err
	}
	defer func() { err = errors.Join(err, keyed.close(), os.RemoveAll(keyed.state.dir)) }()
	config := pipelineConfig(r.project, RunOptions{Logger: r.logger}, lakehouse.NewNonce(), nil)
	return pipeline.DryReconcile(ctx, config, pipeline.Parts{
		Lake: r.letters.lake, Start: start, Models: plugged.models, Keyed: keyed.models, State: keyed.state,
		Now: time.Now, Logger: r.logger, Allocator: memory.DefaultAllocator,
	}, r.model)
}

// start is where a pipeline would go on, of which nothing is changed.
func (r *Reconciliation) start(ctx context.Context) (*lakehouse.Start, error) {
	lake := r.letters.lake
	tail, err := lake.Log().Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read epoch log: %w", err)
	}
	floor := tail.Floor
	start := &lakehouse.Start{
		Last: floor.Number, State: floor.State, Watermarks: floor.Watermarks, Keyed: floor.Keyed, Plugins: floor.Plugins,
		Tables: map[string]*lakehouse.Table{}, Epochs: map[string]int64{},
	}
	tables := floor.Tables
	if n := len(tail.Epochs); n > 0 {
		last := tail.Epochs[n-1]
		start.Last, start.State, start.Watermarks, start.Keyed, start.Plugins = last.Number, last.State, last.Watermarks, last.Keyed, last.Plugins
		tables = last.Tables
	}
	if start.Last == 0 {
		return nil, fmt.Errorf("%w: no epoch of project %s is recorded", pipeline.ErrNotReconciled, r.project.Name)
	}
	for _, t := range tables {
		start.Epochs[t.Table] = t.Epoch
	}
	all, err := definitions(r.project)
	if err != nil {
		return nil, err
	}
	for _, d := range all {
		if _, known := start.Epochs[d.ID.String()]; !known {
			return nil, fmt.Errorf("%w: table %s is not there yet; calve run creates it", pipeline.ErrNotReconciled, d.ID)
		}
		if start.Tables[d.ID.String()], err = lake.OpenAt(ctx, d.ID, lakehouse.CurrentSchema); err != nil {
			return nil, err
		}
	}
	return start, nil
}

// anew are the model and those that refer to it.
func (r *Reconciliation) anew() ([]string, error) {
	compiled, err := compileKeyed(r.project)
	if err != nil {
		return nil, err
	}
	return withFactsOf([]string{r.model}, compiled, slog.New(slog.DiscardHandler)), nil
}

// keyed builds the keyed models on a copy of the state, as far as those that are made
// anew ask others' for keys.
func (r *Reconciliation) keyed(ctx context.Context, plugged pluggedModels, start *lakehouse.Start, anew []string) (*startedKeyed, error) {
	folder := filepath.Join(r.project.Dir, ".calve")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(folder, "reconcile-")
	if err != nil {
		return nil, err
	}
	opened := r.letters.opened
	config := state.Config{Dir: filepath.Join(dir, "state"), Objects: opened.Store, Prefix: opened.Store.Root() + "/_calve/" + r.project.Name + "/state", Logger: r.logger}
	if refersToOthers(plugged.keyed, anew) {
		config.Manifest = manifestOf(start.State)
	}
	store, err := state.Open(ctx, config)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &keyedState{Store: store, objects: opened.Store, prefix: config.Prefix, dir: dir}
	models, err := s.begin(r.project, start, plugged.keyed, anew)
	if err != nil {
		return nil, errors.Join(err, s.Close(), os.RemoveAll(dir))
	}
	return &startedKeyed{models, s}, nil
}

// refersToOthers tells whether models have keys of dimensions that are not made anew
// with them.
func refersToOthers(all []keyedModel, anew []string) bool {
	return slices.ContainsFunc(all, func(k keyedModel) bool {
		return slices.Contains(anew, k.Name) && slices.ContainsFunc(refersTo(k.Model), func(name string) bool { return !slices.Contains(anew, name) })
	})
}
