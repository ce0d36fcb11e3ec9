package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record"
)

// Recover rebuilds a project's lost epoch log from its tables; see
// lakehouse.Lake.Recover. No writer may be at work.
func Recover(ctx context.Context, p *project.Project, logger *slog.Logger) (*lakehouse.Recovery, error) {
	if err := checkBuilt(p); err != nil {
		return nil, err
	}
	all, err := definitions(p)
	if err != nil {
		return nil, err
	}
	opened, err := OpenLakehouse(ctx, p, logger)
	if err != nil {
		return nil, err
	}
	defer closeAndLog(logger, "catalog", opened.Close)
	return newLake(p, opened, logger).Recover(ctx, all, pipeline.MainReader)
}

// Rederivation is what Rederive did.
type Rederivation struct {
	Epoch   int64                   `json:"epoch"`
	Missing []lakehouse.MissingFile `json:"missing"` // what was derived again; empty if nothing was missing
}

// Rederive derives a decided epoch again of which data files are missing, from
// the records that Kafka still has, and commits it; see pipeline.Rederive and
// lakehouse.Lake.CommitRederived.
func Rederive(ctx context.Context, p *project.Project, number int64, logger *slog.Logger) (_ *Rederivation, err error) {
	if err := checkBuilt(p); err != nil {
		return nil, err
	}
	opened, err := OpenLakehouse(ctx, p, logger)
	if err != nil {
		return nil, err
	}
	defer closeAndLog(logger, "catalog", opened.Close)
	lake := newLake(p, opened, logger)
	decided, err := lake.Decided(ctx, number)
	if err != nil {
		return nil, err
	}
	out := &Rederivation{Epoch: number, Missing: []lakehouse.MissingFile{}}
	missing, err := lake.Missing(ctx, decided)
	if err != nil || len(missing) == 0 {
		return out, err
	}
	out.Missing = missing
	changes, err := derive(ctx, p, lake, decided, logger)
	if err != nil {
		return nil, err
	}
	return out, lake.CommitRederived(ctx, decided, changes)
}

// derive runs the records of an epoch through the project's models.
func derive(ctx context.Context, p *project.Project, lake *lakehouse.Lake, decided *lakehouse.Epoch, logger *slog.Logger) (_ []lakehouse.TableChange, err error) {
	start, err := startBefore(ctx, p, lake, decided)
	if err != nil {
		return nil, err
	}
	with, err := openTools(ctx, p, toolsConfig{logger: logger})
	if err != nil {
		return nil, err
	}
	with.registry.pin(decided.Plugins)
	defer func() { err = errors.Join(err, with.close()) }()
	built, err := models(ctx, p, with, start.Tables)
	if err != nil {
		return nil, err
	}
	broker, err := OpenBroker(ctx, p, logger)
	if err != nil {
		return nil, err
	}
	defer closeAndLog(logger, "broker", broker.Close)
	config := pipelineConfig(p, RunOptions{Logger: logger}, decided.Writer, nil)
	return pipeline.Rederive(ctx, config, pipeline.Parts{
		Lake: lake, Start: start, Models: built,
		Open: func(ctx context.Context, positions []record.Position) (pipeline.Source, error) {
			source, err := broker.Source(ctx, positions)
			if err != nil {
				return nil, fmt.Errorf("read the records of epoch %d again: %w", decided.Number, err)
			}
			return source, nil
		},
		Discover: func(ctx context.Context) ([]pipeline.Topic, error) { return readTopics(ctx, broker, topicNames(built)) },
		Now:      time.Now, Logger: logger, Allocator: memory.DefaultAllocator,
	}, decided)
}

// startBefore opens the tables as a pipeline sees them that is about to take
// an epoch, with the columns that they had then.
func startBefore(ctx context.Context, p *project.Project, lake *lakehouse.Lake, decided *lakehouse.Epoch) (*lakehouse.Start, error) {
	start := &lakehouse.Start{Last: decided.Number - 1, Tables: map[string]*lakehouse.Table{}, Epochs: map[string]int64{}}
	all, err := definitions(p)
	if err != nil {
		return nil, err
	}
	for _, d := range all {
		name, schema := d.ID.String(), lakehouse.CurrentSchema
		if c := decided.Change(name); c != nil {
			start.Epochs[name], schema = c.Prev, c.SchemaID
		}
		t, err := lake.OpenAt(ctx, d.ID, schema)
		if err != nil {
			return nil, err
		}
		start.Tables[name] = t
	}
	return start, nil
}
