package pipeline_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/pipeline"
)

const (
	storeRoot    = "s3://lake"
	pipelineName = "shop"
)

// world is what outlives processes: the broker, the store and the catalog.
// Faults and crashes are between it and them.
type world struct {
	t        testing.TB
	broker   *broker
	store    *storage.Memory
	db       string      // of the embedded catalog, if memory is nil
	memory   *tables     // the catalog of a search
	catalog  openCatalog // for looking; processes open their own
	models   []modelSpec
	censuses []censusOf // keyed models
	star     bool       // and a dimension and a fact: see star_test.go
	second   bool       // and another fact
	plugged  bool       // these have a plugin: see censusplugin_test.go
	windows  bool       // and windows of two topics: see windows_test.go
	// maxErrorRatio is plugin.max_error_ratio of censuses.
	maxErrorRatio float64

	separate bool // the catalog commits one table at a time
	// backwards: it takes all tables, and commits one at a time, the last first.
	backwards bool
	reset     []string       // keyed models that the next process lets begin anew
	late      []func() error // commits that are still on their way

	channel   channel                     // of the plugin registry
	altered   map[catalog.Identifier]bool // others deleted rows of these tables
	processes map[string]*process         // the newest of each writer
	started   int
}

func newWorld(t testing.TB) *world {
	w := emptyWorld(t)
	w.db = filepath.Join(t.TempDir(), "catalog.db")
	var err error
	if w.catalog, err = w.open(context.Background(), w.store); err != nil {
		t.Fatal(err)
	}
	return w
}

// newQuickWorld is a world whose catalog is in memory.
func newQuickWorld(t testing.TB) *world {
	w := emptyWorld(t)
	w.memory = newTables()
	w.catalog = memoryCatalog{w.memory, w.store}
	return w
}

func emptyWorld(t testing.TB) *world {
	return &world{t: t, broker: newBroker(), store: storage.NewMemory(storeRoot), altered: map[catalog.Identifier]bool{}, processes: map[string]*process{}}
}

// open opens the catalog for a process, whose files are in its own store.
func (w *world) open(ctx context.Context, store storage.Store) (openCatalog, error) {
	if w.memory != nil {
		return memoryCatalog{w.memory, store}, nil
	}
	return catalog.Open(ctx, catalog.Config{Type: catalog.Embedded, Path: w.db, Store: store})
}

// close crashes what still runs.
func (w *world) close() {
	for _, p := range w.processes {
		p.crash()
	}
	if err := w.catalog.Close(); err != nil {
		w.t.Error(err)
	}
}

func (w *world) definitions() []lakehouse.Definition {
	var all []lakehouse.Definition
	for _, m := range w.models {
		if !m.ephemeral {
			all = append(all, m.definition())
		}
	}
	for _, c := range w.censuses {
		all = append(all, c.definition())
	}
	if w.star {
		all = append(all, starDefinitions()...)
	}
	if w.second {
		all = append(all, secondDefinition())
	}
	if w.windows {
		all = append(all, windowsDefinition())
	}
	return append(all, lakehouse.DeadLettersDefinition(pipelineName), lakehouse.AuditDefinition(pipelineName))
}

func (w *world) buildModels(tables map[string]*lakehouse.Table) ([]pipeline.Model, error) {
	var models []pipeline.Model
	for _, m := range w.models {
		var t *lakehouse.Table
		if !m.ephemeral {
			t = tables[m.definition().ID.String()]
		}
		built, err := m.build(t)
		if err != nil {
			return nil, err
		}
		models = append(models, built)
	}
	return models, nil
}

// rebuild makes a model anew for its table with other columns.
func (w *world) rebuild(_ context.Context, m pipeline.Model, t *lakehouse.Table) (pipeline.Model, error) {
	i := slices.IndexFunc(w.models, func(spec modelSpec) bool { return spec.name == m.Name })
	return w.models[i].build(t)
}

func (w *world) topicNames() []string {
	var names []string
	for _, m := range w.models {
		if !slices.Contains(names, m.topic) {
			names = append(names, m.topic)
		}
	}
	return names
}

// run lets a writer run on, or begins a new process of it, and returns what
// it did.
func (w *world) run(writer string, o runOptions, faults []*fault, until string, patience time.Duration) ([]string, error) {
	p := w.processes[writer]
	if p == nil || p.hasEnded() {
		p = w.newProcess(o)
		w.processes[writer] = p
	}
	for _, f := range faults {
		if err := p.arm(f); err != nil {
			return nil, err
		}
	}
	p.carryOn(until, patience)
	return p.said(), nil
}

// stop asks a writer to finish what it has in hand.
func (w *world) stop(writer string) ([]string, error) {
	p := w.processes[writer]
	if p == nil || p.hasEnded() {
		return nil, fmt.Errorf("writer %s does not run", writer)
	}
	p.stop()
	p.carryOn("", time.Hour)
	return p.said(), nil
}

// landLate carries out the requests that are still on their way.
func (w *world) landLate() []string {
	lines := []string{fmt.Sprintf("%d writes land", w.store.LandLate())}
	for _, commit := range w.late {
		if err := commit(); err != nil {
			lines = append(lines, "a commit lands and is refused")
		} else {
			lines = append(lines, "a commit lands")
		}
	}
	w.late = nil
	return lines
}

func (w *world) load(id catalog.Identifier) (*table.Table, error) {
	return w.catalog.Load(context.Background(), id)
}
