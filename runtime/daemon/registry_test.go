package daemon

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/decode/registry/registrytest"
	"github.com/calvelake/calve/runtime/project"
)

// loadWithRegistry writes a project whose schema_registry is value, and loads it.
func loadWithRegistry(t *testing.T, value string) *project.Project {
	t.Helper()
	dir := t.TempDir()
	body := "name: shop\nconfig_version: 1\n"
	if value != "" {
		body += fmt.Sprintf("connections: {kafka: {schema_registry: %s}}\n", value)
	}
	if err := os.WriteFile(filepath.Join(dir, "calve.yaml"), []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := project.Load(dir, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheRegistryOfAProjectIsAsked(t *testing.T) {
	want := registry.Schema{Type: registry.JSON, Text: `{"type": "object"}`}
	for _, c := range []struct {
		options  registrytest.Options
		settings string
	}{
		{registrytest.Options{Auth: registry.Auth{Username: "u", Password: "p"}}, "username: u, password: p"},
		{registrytest.Options{Auth: registry.Auth{Token: "t"}, TLS: true, Prefix: "/apis/ccompat/v7"}, "token: t, tls: {ca_file: certs/ca.pem}"},
	} {
		server := registrytest.New(t, c.options)
		p := loadWithRegistry(t, fmt.Sprintf("{url: %q, %s}", server.URL(), c.settings))
		if c.options.TLS {
			if err := os.Mkdir(p.Path("certs"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(server.CAFile(t), p.Path("certs/ca.pem")); err != nil {
				t.Fatal(err)
			}
		}
		client, err := openRegistry(p, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		want.ID = server.Add(t, "orders-value", want)
		if got, err := client.Schema(t.Context(), want.ID); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %+v, %v, want %+v", c.settings, got, err, want)
		}
	}
}

func TestAProjectWithoutARegistryHasNoClient(t *testing.T) {
	client, err := openRegistry(loadWithRegistry(t, ""), slog.New(slog.DiscardHandler))
	if client != nil || err != nil {
		t.Errorf("got %v, %v, want nothing", client, err)
	}
}

func TestARegistryThatCannotBeOpenedIsNamed(t *testing.T) {
	p := loadWithRegistry(t, `{url: "https://r", tls: {ca_file: absent.pem}}`)
	_, err := openRegistry(p, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "open connections.kafka.schema_registry: read tls.ca_file") || !strings.Contains(err.Error(), p.Path("absent.pem")) {
		t.Errorf("got %v, want the setting and the file", err)
	}
}
