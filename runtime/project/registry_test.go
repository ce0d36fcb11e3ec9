package project

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// withRegistry is a project whose schema_registry is value.
func withRegistry(value string) string {
	return smallProject + "connections: {kafka: {brokers: \"a:1\", schema_registry: " + value + "}}\n"
}

func TestSchemaRegistryForms(t *testing.T) {
	env := environment("REGISTRY", "https://a,https://b", "TOKEN", "hunter2.token")
	for _, c := range []struct {
		name, value string
		urls        []string
	}{
		{"one URL", `"http://r:8081"`, []string{"http://r:8081"}},
		{"one with a path", `"http://r:8080/apis/ccompat/v7"`, []string{"http://r:8080/apis/ccompat/v7"}},
		{"several", `"http://a:8081, http://b:8081"`, []string{"http://a:8081", "http://b:8081"}},
		{"from the environment", `"${REGISTRY}"`, []string{"https://a", "https://b"}},
		{"a mapping", `{url: "http://a,http://b", username: u, password: hunter2}`, []string{"http://a", "http://b"}},
		{"a list", `{url: ["http://a", "http://b"]}`, []string{"http://a", "http://b"}},
		{"a token and files", `{url: "https://r", token: "${TOKEN}", tls: {ca_file: ca.pem}}`, []string{"https://r"}},
		{"the system's authorities", `{url: "https://r", tls: true}`, []string{"https://r"}},
	} {
		p := mustLoad(t, folderOf("calve.yaml", withRegistry(c.value)), env)
		if got := p.Connections.Kafka.SchemaRegistry; got == nil || !slices.Equal(got.URLs, c.urls) {
			t.Errorf("%s: got %+v, want URLs %v", c.name, got, c.urls)
		}
	}
	p := mustLoad(t, folderOf("calve.yaml", withRegistry(`{url: "https://r", token: "${TOKEN}", tls: {ca_file: ca.pem}}`)), env)
	got := p.Connections.Kafka.SchemaRegistry
	if got.Token.Reveal() != "hunter2.token" || got.TLS == nil || got.TLS.CAFile != "ca.pem" {
		t.Errorf("got %+v with tls %+v", got, got.TLS)
	}
	if printed := fmt.Sprintf("%v %+v %#v", *got, *got, *got); strings.Contains(printed, hidden) {
		t.Errorf("the token is shown: %s", printed)
	}
}

func TestSchemaRegistryProblems(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"no URL", `{username: u, password: p}`, `key "url" is missing in schema registry`},
		{"another scheme", `"r:8081"`, "expected a URL, http://host… or https://host…"},
		{"the second is none", `"http://a,b"`, "expected a URL, http://host… or https://host…"},
		{"a log-in in the second", `"http://a,http://u:hunter2@b"`, "a URL must not hold a log-in, since URLs are printed; use the keys for user, password or credential"},
		{"a query", `"http://a?token=hunter2"`, "the URL of a schema registry ends with its path; remove what begins with ? or #"},
		{"the same twice", `{url: ["http://a", "http://a"]}`, `"http://a" is given twice`},
		{"no password", `{url: "http://a", username: u}`, "username and password go together; give both or neither"},
		{"two ways to log in", `{url: "http://a", username: u, password: hunter2, token: hunter2}`, "token and username exclude each other; remove one of them"},
		{"tls for http", `{url: "http://a", tls: true}`, "tls needs a url that begins with https://; change the url, or remove tls"},
		{"half a certificate", `{url: "https://a", tls: {key_file: k.pem}}`, "cert_file and key_file go together; give both or neither"},
		{"an empty token", `{url: "https://a", token: ""}`, "expected a string that is not empty"},
	} {
		got := problemsOf(t, "calve.yaml", withRegistry(c.value))
		if !strings.Contains(got, c.want) || !strings.HasPrefix(got, "calve.yaml:3:") || strings.Contains(got, hidden) {
			t.Errorf("%s: got %q, want %q in it, a place and no secret", c.name, got, c.want)
		}
	}
}
