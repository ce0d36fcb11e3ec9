package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/runtime/decode"
	"github.com/calvelake/calve/runtime/project"
)

// tools are what models are built with.
type tools struct {
	host     *wasm.Host       // of plugins
	registry *registryPlugins // nil if no model refers to it
	schemas  decode.Schemas   // nil without a registry
	closers  []func() error
}

// toolsConfig is what tools are opened for.
type toolsConfig struct {
	logger   *slog.Logger
	metrics  wasm.Recorder // of plugins; nil drops them
	registry bool          // of plugins is needed, also if no model refers to it
}

func openTools(ctx context.Context, p *project.Project, c toolsConfig) (tools, error) {
	logger := c.logger
	host, err := openHost(ctx, p, c)
	if err != nil {
		return tools{}, err
	}
	t := tools{host: host, closers: []func() error{func() error { return host.Close(context.WithoutCancel(ctx)) }}}
	client, err := openRegistry(p, logger)
	if err != nil {
		return tools{}, errors.Join(err, t.close())
	}
	if client != nil {
		t.schemas = client
		t.closers = append(t.closers, func() error { client.Close(); return nil })
	}
	if t.registry, err = openRegistryPlugins(ctx, p, logger, c.registry); err != nil {
		return tools{}, errors.Join(err, t.close())
	}
	if t.registry != nil {
		t.closers = append(t.closers, func() error { t.registry.close(); return nil })
	}
	return t, nil
}

func (t tools) close() error {
	var errs []error
	for _, one := range t.closers {
		errs = append(errs, one())
	}
	return errors.Join(errs...)
}

// checkRegistry refuses models whose records name schemas where no registry is
// to be asked.
func checkRegistry(p *project.Project) error {
	if p.Connections.Kafka.SchemaRegistry != nil {
		return nil
	}
	for i := range p.Models {
		m := &p.Models[i]
		table, ok := p.SourceTable(m.From)
		if !ok {
			continue
		}
		switch table.Format {
		case project.FormatAvro, project.FormatProtobuf, project.FormatDebeziumAvro:
			return fmt.Errorf("%s:%d: model %s: records of format %s name their schemas in a schema registry; give connections.kafka.schema_registry its URL", m.File, m.Line, m.Name, table.Format)
		}
	}
	return nil
}
