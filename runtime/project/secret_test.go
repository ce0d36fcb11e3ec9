package project

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// hidden is part of every secret, and of every value from the environment, in
// these tests.
const hidden = "hunter2"

func TestSecretsAreNotPrinted(t *testing.T) {
	calve := smallProject + `
connections:
  kafka:
    brokers: a:1
    sasl: {mechanism: plain, username: u, password: "${PASSWORD}"}
    schema_registry: {url: "http://r", username: u, password: literal-hunter2}
  catalog:
    type: rest
    uri: http://c
    credential: id:hunter2
    headers: {Authorization: Basic hunter2}
  warehouse: {location: "s3://b", access_key_id: hunter2-id, secret_access_key: hunter2-key, session_token: hunter2-token}
`
	p := mustLoad(t, folderOf("calve.yaml", calve), environment("PASSWORD", "x-hunter2"))
	c := p.Connections
	for name, s := range map[string]struct {
		got  Secret
		want string
	}{
		"password":      {c.Kafka.SASL.Password, "x-hunter2"},
		"registry":      {c.Kafka.SchemaRegistry.Password, "literal-hunter2"},
		"credential":    {c.Catalog.Credential, "id:hunter2"},
		"header":        {c.Catalog.Headers["Authorization"], "Basic hunter2"},
		"access key":    {c.Warehouse.AccessKeyID, "hunter2-id"},
		"secret key":    {c.Warehouse.SecretAccessKey, "hunter2-key"},
		"session token": {c.Warehouse.SessionToken, "hunter2-token"},
	} {
		if got := s.got.Reveal(); got != s.want {
			t.Errorf("%s: got %q, want %q", name, got, s.want)
		}
	}
	if !c.Catalog.Token.IsZero() || c.Catalog.Token.Reveal() != "" || c.Catalog.Credential.IsZero() {
		t.Error("a secret that was not given is not zero, or one that was is")
	}
	for form, printed := range printedForms(t, p) {
		if strings.Contains(printed, hidden) {
			t.Errorf("%s shows a secret: %s", form, printed)
		}
	}
	for form, printed := range printedForms(t, c.Catalog.Credential) {
		if !strings.Contains(printed, redacted) {
			t.Errorf("%s of a secret: got %s, want %s", form, printed, redacted)
		}
	}
}

// printedForms prints a value in every way that is common.
func printedForms(t *testing.T, v any) map[string]string {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var text, lines bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("loaded", "value", v)
	slog.New(slog.NewJSONHandler(&lines, nil)).Info("loaded", "value", v)
	out := map[string]string{"JSON": string(body), "slog text": text.String(), "slog JSON": lines.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		out[verb] = fmt.Sprintf(verb, v)
	}
	if p, ok := v.(*Project); ok {
		out["%+v of a copy"] = fmt.Sprintf("%+v", *p)
		out["%+v of connections"] = fmt.Sprintf("%+v %#v", p.Connections, p.Connections)
		out["%+v of an unexported field"] = fmt.Sprintf("%+v", struct{ connections Connections }{p.Connections})
		out["%+v of parts"] = fmt.Sprintf("%+v %+v %v", *p.Connections.Kafka.SASL, *p.Connections.Kafka.SchemaRegistry, p.Connections.Catalog.Headers)
	}
	return out
}

// Every error of these files is about a value that is a secret, or comes from
// the environment.
func TestErrorsQuoteNoSecretAndNoVariable(t *testing.T) {
	env := environment("V", hidden, "U", "http://u:hunter2@host", "S", "s3a://hunter2")
	broken := []string{
		"name: \"${V}!\"\nconfig_version: 1\n",
		"name: a\nconfig_version: ${V}\n",
		smallProject + "profile: ${V}\n",
		smallProject + "timezone: ${V}\n",
		smallProject + "commit: {interval: \"${V}\"}\n",
		smallProject + "commit: {max_bytes: \"${V}\"}\n",
		smallProject + "limits: {open_files: \"${V}\"}\n",
		smallProject + "limits: {max_dead_ratio: \"${V}\"}\n",
		smallProject + "connections: {kafka: {brokers: \"${V}\"}}\n",
		smallProject + "connections: {kafka: {brokers: \"a:1\", sasl: {mechanism: \"${V}\", username: u, password: p}}}\n",
		smallProject + "connections: {kafka: {brokers: \"a:1\", sasl: {mechanism: plain, username: u, password: [hunter2]}}}\n",
		smallProject + "connections: {kafka: {brokers: \"a:1\", sasl: {mechanism: plain, username: u, password: {hunter2x: 1}}}}\n",
		smallProject + "connections: {kafka: {brokers: \"a:1\", sasl: {mechanism: plain, username: u, password: !!int hunter2}}}\n",
		smallProject + "connections: {kafka: {brokers: \"a:1\", sasl: {mechanism: plain, username: u, password: \"\\qhunter2\"}}}\n",
		smallProject + "connections: {kafka: {brokers: \"a:1\", sasl: {mechanism: plain, username: u, password: \"${NONE}hunter2\"}}}\n",
		smallProject + "connections: {kafka: {brokers: \"a:1\", tls: \"${V}\"}}\n",
		smallProject + "connections: {kafka: {brokers: \"a:1\", schema_registry: \"http://u:hunter2@host\"}}\n",
		smallProject + "connections: {catalog: {type: rest, uri: \"${U}\"}}\n",
		smallProject + "connections: {catalog: {type: rest, uri: \"http://u:hunter2@host\"}}\n",
		smallProject + "connections: {catalog: {type: sql, uri: \"postgres://u:hunter2@host/x\"}}\n",
		smallProject + "connections: {catalog: {type: \"${V}\"}}\n",
		smallProject + "connections: {warehouse: \"${S}\"}\n",
		smallProject + "connections: {warehouse: {location: \"${V}\", region: \"${V}\"}}\n",
		smallProject + "models: {marts: {namespace: \"${V}!\"}}\n",
		smallProject + "models: {marts: {on_schema_change: \"${V}\"}}\n",
	}
	for _, calve := range broken {
		got := problemsWith(t, env, "calve.yaml", calve)
		if got == "" || strings.Contains(strings.ReplaceAll(got, "hunter2x", ""), hidden) {
			t.Errorf("%s\ngot: %q", calve, got)
		}
	}
	model := "name: x\nkind: staging\nfrom: source.shop.orders\n"
	for _, body := range []string{
		"sources: [{name: s, format: \"${V}\", tables: [{name: t, topic: t}]}]\n",
		"sources: [{name: s, tables: [{name: t, topic: \"${V} !\"}]}]\n",
		model + "columns: [{name: \"${V}\", data_type: int}]\n",
		model + "columns: [{name: a, data_type: \"${V}\"}]\n",
		model + "columns: [{name: a, data_type: int, default: \"${V}\"}]\n",
		model + "columns: [{name: a, data_type: int, from: \"kafka.${V}\"}]\n",
		model + "columns: [{name: a, data_type: int, encoding: \"${V}\"}]\n",
		model + "namespace: calve_${V}\ncolumns: [{name: a, data_type: int}]\n",
		model + "plugin: {ref: \"${V}\", adds: [a]}\ncolumns: [{name: a, data_type: int}]\n",
		model + "partition_by: [\"${V}\"]\ncolumns: [{name: a, data_type: int}]\n",
		"name: x\nkind: \"${V}\"\n",
		"name: x\nkind: date\nrange: [\"${V}\", \"2020-01-01\"]\n",
		"name: x\nkind: session\nfrom: ref.${V}\nkey: [\"${V}\"]\n",
	} {
		got := problemsWith(t, env, "models/x.yaml", body)
		if got == "" || strings.Contains(got, hidden) {
			t.Errorf("%s\ngot: %q", body, got)
		}
	}
}

func problemsWith(t *testing.T, env func(string) (string, bool), file, body string) string {
	t.Helper()
	files := folderOf("calve.yaml", smallProject, "models/marts/sources.yaml", smallSources)
	for name, f := range folderOf(file, body) {
		files[name] = f
	}
	if _, err := load(files, "dir", env); err != nil {
		return err.Error()
	}
	return ""
}
