// Command registry writes schemas of every language to a schema registry and
// reads them back through Calve's client, which must find what was written,
// say which ids are unknown, and tell a wrong path from an unknown id.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/calvelake/calve/runtime/decode/registry"
)

// timeout covers the run as a whole.
const timeout = 2 * time.Minute

// unused is an id that a registry with a handful of schemas does not have.
const unused = 987_654_321

// examples are what is written, by subject.
var examples = map[string]registry.Schema{
	"orders-avro-value": {
		Type: registry.Avro,
		Text: `{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"long"},{"name":"net","type":"shop.Money"}]}`,
		References: []registry.Reference{
			{Name: "shop.Money", Text: `{"type":"record","name":"Money","namespace":"shop","fields":[{"name":"cents","type":"long"}]}`},
		},
	},
	"orders-protobuf-value": {
		Type: registry.Protobuf,
		Text: "syntax = \"proto3\";\npackage shop;\nimport \"shop/price.proto\";\nmessage Order { int64 id = 1; Price price = 2; }\n",
		References: []registry.Reference{
			{Name: "shop/currency.proto", Text: "syntax = \"proto3\";\npackage shop;\nmessage Currency { string code = 1; }\n"},
			{Name: "shop/price.proto", Text: "syntax = \"proto3\";\npackage shop;\nimport \"shop/currency.proto\";\nmessage Price { int64 cents = 1; Currency currency = 2; }\n"},
		},
	},
	"orders-json-value": {
		Type: registry.JSON,
		Text: `{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"id":{"type":"integer"}}}`,
	},
}

func main() {
	url := flag.String("url", "", "URL of the registry's Confluent-compatible API")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := run(ctx, *url); err != nil {
		fmt.Fprintln(os.Stderr, "registry:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url string) error {
	writer, err := open(url)
	if err != nil {
		return err
	}
	defer writer.Close()
	// Another client: nothing that was written is in its cache.
	reader, err := open(url)
	if err != nil {
		return err
	}
	defer reader.Close()
	for subject, schema := range examples {
		if err := roundTrip(ctx, writer, reader, subject, schema); err != nil {
			return err
		}
	}
	if _, err := reader.Schema(ctx, unused); !errors.Is(err, registry.ErrUnknown) {
		return fmt.Errorf("schema id %d: got %w, want that it is unknown", unused, err)
	}
	fmt.Println("an id without a schema is unknown")
	return wrongPath(ctx, url)
}

func open(url string) (*registry.Client, error) {
	return registry.Open(registry.Config{URLs: []string{url}}, slog.New(slog.NewTextHandler(os.Stderr, nil)))
}

func roundTrip(ctx context.Context, writer, reader *registry.Client, subject string, want registry.Schema) error {
	id, err := writer.Register(ctx, subject, want)
	if err != nil {
		return err
	}
	want.ID = id
	got, err := reader.Schema(ctx, id)
	if err != nil {
		return err
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		return fmt.Errorf("subject %s: got %+v, want %+v", subject, got, want)
	}
	fmt.Printf("subject %s: %s, id %d, %d references\n", subject, got.Type, id, len(got.References))
	return nil
}

// wrongPath asks below the server's root, where there is no registry: an error
// that laid it on the record would make a dead letter of every record.
func wrongPath(ctx context.Context, url string) error {
	root, _, found := strings.Cut(url, "/apis/")
	if !found {
		return nil
	}
	client, err := open(root)
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = client.Schema(ctx, 1)
	if err == nil || errors.Is(err, registry.ErrUnknown) {
		return fmt.Errorf("a wrong path: got %w, want an error of the registry", err)
	}
	fmt.Printf("a wrong path says: %v\n", err)
	return nil
}
