package daemon

import (
	"fmt"
	"log/slog"

	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/project"
)

// openRegistry opens the client of a project's schema registry, nil if it has
// none. The registry is first asked when a record names a schema. The caller
// closes the client.
func openRegistry(p *project.Project, logger *slog.Logger) (*registry.Client, error) {
	if p.Connections.Kafka.SchemaRegistry == nil {
		return nil, nil
	}
	client, err := registry.Open(registryConfig(p), logger)
	if err != nil {
		return nil, fmt.Errorf("open connections.kafka.schema_registry: %w", err)
	}
	return client, nil
}

func registryConfig(p *project.Project) registry.Config {
	s := p.Connections.Kafka.SchemaRegistry
	c := registry.Config{
		URLs:    s.URLs,
		Auth:    registry.Auth{Username: s.Username, Password: s.Password.Reveal(), Token: s.Token.Reveal()},
		Timeout: p.Connections.Kafka.Timeout,
	}
	if t := s.TLS; t != nil {
		c.TLS = registry.TLS{
			CAFile: optionalPath(p, t.CAFile), CertFile: optionalPath(p, t.CertFile), KeyFile: optionalPath(p, t.KeyFile),
			ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify,
		}
	}
	return c
}
