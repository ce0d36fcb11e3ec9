package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/kafka"
	"github.com/calvelake/calve/runtime/project"
)

// Lakehouse is a project's warehouse and catalog, open.
type Lakehouse struct {
	Store   storage.Store
	Catalog *catalog.Catalog
}

// OpenLakehouse opens a project's warehouse and catalog.
func OpenLakehouse(ctx context.Context, p *project.Project, logger *slog.Logger) (*Lakehouse, error) {
	store, err := openStore(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("open warehouse %s: %w", p.Connections.Warehouse.Location, err)
	}
	cat, err := openCatalog(ctx, p, store, logger)
	if err != nil {
		return nil, err
	}
	return &Lakehouse{Store: store, Catalog: cat}, nil
}

// Close closes the catalog.
func (l *Lakehouse) Close() error { return l.Catalog.Close() }

func openStore(ctx context.Context, p *project.Project) (storage.Store, error) {
	w := p.Connections.Warehouse
	if !w.IsS3() {
		return storage.OpenLocal(p.Path(strings.TrimPrefix(w.Location, "file://")))
	}
	config := storage.S3Config{
		Location:        w.Location,
		Endpoint:        w.Endpoint,
		Region:          w.Region,
		AccessKeyID:     w.AccessKeyID.Reveal(),
		SecretAccessKey: w.SecretAccessKey.Reveal(),
		SessionToken:    w.SessionToken.Reveal(),
		PathStyle:       w.PathStyle,
	}
	return storage.OpenS3(ctx, config)
}

func openCatalog(ctx context.Context, p *project.Project, store storage.Store, logger *slog.Logger) (*catalog.Catalog, error) {
	c := p.Connections.Catalog
	headers := make(map[string]string, len(c.Headers))
	for name, value := range c.Headers {
		headers[name] = value.Reveal()
	}
	cat, err := catalog.Open(ctx, catalog.Config{
		Type:            string(c.Type),
		Path:            p.Path(c.Path),
		URI:             c.URI,
		Warehouse:       c.Warehouse,
		Credential:      c.Credential.Reveal(),
		Token:           c.Token.Reveal(),
		OAuth2ServerURI: c.OAuth2ServerURI,
		Scope:           c.Scope,
		Headers:         headers,
		Timeout:         c.Timeout,
		Store:           store,
		TableConfig:     tableConfig(p.Connections.Warehouse),
		Logger:          logger,
	})
	if err != nil {
		return nil, fmt.Errorf("open %s catalog: %w", c.Type, err)
	}
	return cat, nil
}

// tableConfig tells engines that load a table from the embedded catalog where
// its bucket is. It holds no secrets: engines bring credentials of their own.
func tableConfig(w project.Warehouse) map[string]string {
	if !w.IsS3() {
		return nil
	}
	config := map[string]string{}
	if w.Region != "" {
		config["client.region"] = w.Region
		config["s3.region"] = w.Region
	}
	if w.Endpoint != "" {
		config["s3.endpoint"] = w.Endpoint
		config["s3.path-style-access"] = strconv.FormatBool(w.PathStyle == nil || *w.PathStyle)
	}
	return config
}

// catalogUnused tells whether the embedded catalog has no file yet, so that it
// has no tables. Opening it would create it, and what only looks leaves no
// trace.
func catalogUnused(p *project.Project) bool {
	c := p.Connections.Catalog
	return c.Type == project.CatalogEmbedded && !fileExists(p.Path(c.Path))
}

// Broker is a project's Kafka: a client, and the embedded broker if it is in
// this process.
type Broker struct {
	*kafka.Client
	embedded *kafka.Broker
}

// OpenBroker connects to a project's Kafka. An embedded broker is started
// here, unless another process of the project runs it already.
func OpenBroker(ctx context.Context, p *project.Project, logger *slog.Logger) (*Broker, error) {
	k := p.Connections.Kafka
	config := kafkaConfig(p)
	b := &Broker{}
	if k.Embedded != nil {
		embedded, err := kafka.StartBroker(kafka.BrokerConfig{Dir: p.Path(k.Embedded.Dir), Listen: k.Embedded.Listen, Logger: logger})
		switch {
		case err == nil:
			b.embedded = embedded
			config.Brokers = []string{embedded.Addr()}
		case errors.Is(err, kafka.ErrDirInUse):
			config.Brokers = []string{k.Embedded.Listen}
		default:
			return nil, fmt.Errorf("start embedded broker: %w", err)
		}
	}
	client, err := kafka.Open(ctx, config, logger)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	b.Client = client
	return b, nil
}

// Close disconnects, and stops the embedded broker if it is in this process.
func (b *Broker) Close() error {
	if b.Client != nil {
		b.Client.Close()
	}
	if b.embedded != nil {
		return b.embedded.Close()
	}
	return nil
}

func kafkaConfig(p *project.Project) kafka.Config {
	k := p.Connections.Kafka
	c := kafka.Config{Brokers: k.Brokers, ClientID: k.ClientID, Timeout: k.Timeout}
	if k.SASL != nil {
		c.SASL = kafka.SASL{Mechanism: string(k.SASL.Mechanism), Username: k.SASL.Username, Password: k.SASL.Password.Reveal()}
	}
	if t := k.TLS; t != nil {
		c.TLS = kafka.TLS{
			Enabled: true, CAFile: optionalPath(p, t.CAFile), CertFile: optionalPath(p, t.CertFile), KeyFile: optionalPath(p, t.KeyFile),
			ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify,
		}
	}
	return c
}

// optionalPath resolves a path that may be absent.
func optionalPath(p *project.Project, path string) string {
	if path == "" {
		return ""
	}
	return p.Path(path)
}
