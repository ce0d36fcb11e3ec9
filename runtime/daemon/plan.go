package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/project"
)

// Plan is what a project is, and what running it would do to its tables.
type Plan struct {
	Project   string      `json:"project"`
	Warehouse string      `json:"warehouse"`
	Catalog   string      `json:"catalog"`
	Kafka     []string    `json:"kafka"`
	Models    []PlanModel `json:"models"`
	Tables    []PlanTable `json:"tables"`
}

// PlanModel is one model of a plan.
type PlanModel struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	From   string `json:"from"`
	Plugin string `json:"plugin,omitempty"`
	Table  string `json:"table,omitempty"`
	// Problems are why a run would refuse to begin: the model is defined otherwise
	// than its state.
	Problems []string `json:"problems,omitempty"`
	// Warnings are what a run goes on with, and its rows may suffer of.
	Warnings []string `json:"warnings,omitempty"`
}

// PlanTable is one table of a plan. Action is create, keep, change or refuse.
type PlanTable struct {
	Name      string   `json:"name"`
	Action    string   `json:"action"`
	Columns   []string `json:"columns,omitempty"`  // of a table to create: name and type
	Changes   []string `json:"changes,omitempty"`  // to the schema of a table that exists
	Kept      []string `json:"kept,omitempty"`     // differences that stay
	Problems  []string `json:"problems,omitempty"` // differences for which a run would refuse to start
	Partition string   `json:"partition,omitempty"`
}

// MakePlan compares a project with its catalog and changes nothing. A catalog
// that was never used (embedded, no file yet) has no tables.
func MakePlan(ctx context.Context, p *project.Project, logger *slog.Logger) (Plan, error) {
	if err := checkBuilt(p); err != nil {
		return Plan{}, err
	}
	if err := checkCompiles(p); err != nil {
		return Plan{}, err
	}
	plan := Plan{
		Project: p.Name, Warehouse: p.Connections.Warehouse.Location, Catalog: catalogName(p),
		Kafka: p.Connections.Kafka.Brokers,
	}
	if e := p.Connections.Kafka.Embedded; e != nil {
		plan.Kafka = []string{"embedded (" + e.Listen + ")"}
	}
	for i := range p.Models {
		m := planModel(&p.Models[i])
		m.Warnings = shortLateness(p, &p.Models[i])
		plan.Models = append(plan.Models, m)
	}
	load, closing, err := loader(ctx, p, logger)
	if err != nil {
		return Plan{}, err
	}
	defer closeAndLog(logger, "catalog", closing)
	all, err := definitions(p)
	if err != nil {
		return Plan{}, err
	}
	for _, d := range all {
		t, err := planTable(ctx, d, load)
		if err != nil {
			return Plan{}, err
		}
		plan.Tables = append(plan.Tables, t)
	}
	if err := planKeyed(ctx, p, logger, &plan); err != nil {
		return Plan{}, err
	}
	return plan, nil
}

// checkCompiles reports, for all models, what a run would refuse of their
// columns and expressions.
func checkCompiles(p *project.Project) error {
	var errs []error
	for i := range p.Models {
		m := &p.Models[i]
		if m.Kind != project.KindStaging {
			continue // it decodes nothing
		}
		if _, err := compileModel(p, m, noSchemas{}, nil); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: model %s: %w", m.File, m.Line, m.Name, err))
		}
	}
	return errors.Join(errs...)
}

// noSchemas stands for a registry where no record is decoded.
type noSchemas struct{}

func (noSchemas) Schema(context.Context, int) (registry.Schema, error) {
	return registry.Schema{}, errors.New("BUG: the schema registry is asked without a record")
}

func planModel(m *project.Model) PlanModel {
	out := PlanModel{Name: m.Name, Kind: string(m.Kind), From: m.From.String()}
	if m.Plugin != nil {
		out.Plugin = m.Plugin.Ref
	}
	if m.Materialized == project.MaterializedTable {
		out.Table = tableID(m).String()
	}
	return out
}

func catalogName(p *project.Project) string {
	if c := p.Connections.Catalog; c.URI != "" {
		return string(c.Type) + " (" + c.URI + ")"
	}
	return string(p.Connections.Catalog.Type)
}

// tableLoader tells what becomes of a table, or catalog.ErrNoSuchTable.
type tableLoader func(ctx context.Context, d lakehouse.Definition) (lakehouse.Evolution, error)

// loader opens the catalog for reading.
func loader(ctx context.Context, p *project.Project, logger *slog.Logger) (tableLoader, func() error, error) {
	if catalogUnused(p) {
		none := func(context.Context, lakehouse.Definition) (lakehouse.Evolution, error) {
			return lakehouse.Evolution{}, catalog.ErrNoSuchTable
		}
		return none, func() error { return nil }, nil
	}
	lake, err := OpenLakehouse(ctx, p, logger)
	if err != nil {
		return nil, nil, err
	}
	load := func(ctx context.Context, d lakehouse.Definition) (lakehouse.Evolution, error) {
		tbl, err := lake.Catalog.Load(ctx, d.ID)
		if err != nil {
			return lakehouse.Evolution{}, err
		}
		return d.Evolve(tbl.Metadata())
	}
	return load, lake.Close, nil
}

func planTable(ctx context.Context, d lakehouse.Definition, load tableLoader) (PlanTable, error) {
	t := PlanTable{Name: d.ID.String(), Action: "keep"}
	evolution, err := load(ctx, d)
	switch {
	case errors.Is(err, catalog.ErrNoSuchTable):
		t.Action = "create"
		t.Columns, t.Partition, err = d.Describe()
		return t, err
	case err != nil:
		return t, err
	}
	t.Kept, t.Problems = evolution.Kept, evolution.Problems
	switch {
	case len(t.Problems) > 0:
		t.Action = "refuse"
	case len(evolution.Changes) > 0:
		t.Action, t.Changes = "change", evolution.Changes
	}
	return t, nil
}
