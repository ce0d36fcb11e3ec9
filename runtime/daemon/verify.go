package daemon

import (
	"context"
	"log/slog"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/project"
)

// Verify proves from a project's tables alone that every record has one fate
// in every model; see lakehouse.Lake.Verify. It touches neither the epoch log
// nor Kafka, and writes nothing.
func Verify(ctx context.Context, p *project.Project, logger *slog.Logger) (*lakehouse.Verification, error) {
	if catalogUnused(p) {
		return &lakehouse.Verification{
			Pipeline: p.Name, Proven: true,
			Models: []lakehouse.ModelProof{}, Tables: []lakehouse.TableProof{}, CounterExamples: []lakehouse.CounterExample{},
		}, nil
	}
	opened, err := OpenLakehouse(ctx, p, logger)
	if err != nil {
		return nil, err
	}
	defer closeAndLog(logger, "catalog", opened.Close)
	var models []lakehouse.ModelTable
	for i := range p.Models {
		m := lakehouse.ModelTable{Model: p.Models[i].Name, Keyed: p.Models[i].Kind != project.KindStaging}
		if p.Models[i].Materialized == project.MaterializedTable {
			m.Table = tableID(&p.Models[i]).String()
		}
		models = append(models, m)
	}
	return newLake(p, opened, logger).Verify(ctx, models)
}

// newLake is the lake of a command that ends, and gives up in time.
func newLake(p *project.Project, opened *Lakehouse, logger *slog.Logger) *lakehouse.Lake {
	config := lakehouse.Config{
		Pipeline: p.Name, Nonce: lakehouse.NewNonce(), Logger: logger, GiveUpAfter: p.Connections.Catalog.Timeout,
	}
	return lakehouse.New(config, opened.Store, opened.Catalog)
}
