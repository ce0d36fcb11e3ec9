package project

import (
	"strings"
	"testing"
	"time"
)

func TestVariablesAreExpanded(t *testing.T) {
	env := environment("A", "x", "B", "y", "EMPTY", "", "PRICE", "$${A}")
	for text, want := range map[string]string{
		"plain":              "plain",
		"${A}":               "x",
		"${A}${B}-${A}":      "xy-x",
		"${NONE:-d}":         "d",
		"${NONE:-}":          "",
		"${EMPTY:-d}":        "d",
		"${EMPTY}":           "",
		"${A:-d}":            "x",
		"${NONE:-a:-b $ {c}": "a:-b $ {c",
		"$${A}":              "${A}",
		"a$${A}${A}":         "a${A}x",
		"$A $ $$ {A}":        "$A $ $$ {A}",
		"${PRICE}":           "$${A}",
	} {
		got, err := expand(text, env)
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
		if got, want := hasVariable(text), strings.Contains(strings.ReplaceAll(text, "$${", ""), "${"); got != want {
			t.Errorf("%q has a variable: got %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{"${", "${}", "${A", "${1}", "${A B}", "${NONE}", "${:-x}", "${A:d}"} {
		if got, err := expand(text, env); err == nil {
			t.Errorf("%q: got %q, want an error", text, got)
		}
	}
}

func TestVariablesTakeTheTypeOfTheirKey(t *testing.T) {
	calve := smallProject + `
commit: {interval: "${INTERVAL}", max_bytes: "${BYTES:-1MB}"}
limits: {open_files: "${FILES}", max_dead_ratio: "${RATIO:-0.5}"}
connections:
  warehouse: {location: "s3://${BUCKET}/x", path_style: "${STYLE}"}
  kafka:
    brokers: "a:1"
    tls: ${TLS}
`
	env := environment("INTERVAL", "30s", "FILES", "7", "BUCKET", "lake", "STYLE", "true", "TLS", "true")
	p := mustLoad(t, folderOf("calve.yaml", calve), env)
	if p.Commit.Interval != 30*time.Second || p.Commit.MaxBytes != 1e6 || p.Limits.OpenFiles != 7 || p.Limits.MaxDeadRatio != 0.5 {
		t.Errorf("got %+v %+v", p.Commit, p.Limits)
	}
	if w := p.Connections.Warehouse; w.Location != "s3://lake/x" || w.PathStyle == nil || !*w.PathStyle || p.Connections.Kafka.TLS == nil {
		t.Errorf("got %+v", p.Connections)
	}
}

func TestNamespacesAndTopicsMayComeFromTheEnvironment(t *testing.T) {
	p := mustLoad(t, folderOf("calve.yaml", smallProject,
		"models/s.yaml", "sources: [{name: s, tables: [{name: t, topic: \"${STAGE}.orders\"}]}]",
		"models/raw/m.yaml", "name: m\nkind: staging\nfrom: source.s.t\nnamespace: raw_${STAGE}\ncolumns: [{name: b, data_type: string}]\nwhere: \"b = '$${x}'\"\n",
	), environment("STAGE", "dev"))
	m := mustModel(t, p, "m")
	if got, want := m.Namespace, "raw_dev"; got != want {
		t.Errorf("namespace: got %q, want %q", got, want)
	}
	if got, want := p.Sources[0].Tables[0].Topic, "dev.orders"; got != want {
		t.Errorf("topic: got %q, want %q", got, want)
	}
	if got, want := m.Where, "b = '${x}'"; got != want {
		t.Errorf("where: got %q, want %q", got, want)
	}
}
