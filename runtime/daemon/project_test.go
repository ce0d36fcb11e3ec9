package daemon_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/kafka"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
)

var quiet = slog.New(slog.DiscardHandler)

// setup is a project with one model, "events", of one topic of that name.
type setup struct {
	kafka     string // connections.kafka, as YAML; "" for an embedded broker on a free port
	catalog   string // connections.catalog; "" for embedded
	warehouse string // connections.warehouse; "" for a local folder
	plugin    string // the model's plugin, as YAML
	source    string // more of the source, as YAML
	model     string // more of the model, as YAML
	columns   string // of the model beside id, as YAML; text if ""
	interval  string // commit.interval; 10s if ""
}

const embeddedBroker = `{embedded: {listen: "127.0.0.1:0"}, timeout: 20s}`

// write makes or changes the project in a folder.
func (s setup) write(t *testing.T, dir string) {
	t.Helper()
	connections := "connections:\n  kafka: " + cmp.Or(s.kafka, embeddedBroker) + "\n"
	if s.catalog != "" {
		connections += "  catalog: " + s.catalog + "\n"
	}
	if s.warehouse != "" {
		connections += "  warehouse: " + s.warehouse + "\n"
	}
	model := "name: events\nkind: staging\nfrom: source.shop.events\n"
	if s.plugin != "" {
		model += "plugin: " + s.plugin + "\n"
	}
	model += s.model + "columns:\n  - {name: id, data_type: long, nullable: false}\n" + cmp.Or(s.columns, "  - {name: text, data_type: string}\n")
	for name, text := range map[string]string{
		"calve.yaml":                 "name: shop\nconfig_version: 1\ncommit: {interval: " + cmp.Or(s.interval, "10s") + ", max_interval: 1h}\nmodels:\n  staging: {namespace: staging}\n" + connections,
		"models/sources.yaml":        "sources:\n  - name: shop\n    format: json\n" + s.source + "    tables:\n      - {name: events, topic: events}\n",
		"models/staging/events.yaml": model,
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// load makes or changes the project in a folder and reads it.
func (s setup) load(t *testing.T, dir string) *project.Project {
	t.Helper()
	s.write(t, dir)
	p, err := project.Load(dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// produce writes records to the project's embedded broker.
func produce(t *testing.T, p *project.Project, topic string, values ...string) {
	t.Helper()
	broker, err := daemon.OpenBroker(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	send(t, broker.Client, topic, values...)
	if err := broker.Close(); err != nil {
		t.Fatal(err)
	}
}

func send(t *testing.T, client *kafka.Client, topic string, values ...string) {
	t.Helper()
	n, err := client.Produce(t.Context(), kafka.ProduceConfig{Topic: topic, CreateTopic: true}, kafka.Lines(strings.NewReader(strings.Join(values, "\n")), ""))
	if err != nil || n != int64(len(values)) {
		t.Fatalf("produced %d records, error %v; want %d", n, err, len(values))
	}
}

func once(ctx context.Context, p *project.Project) (pipeline.Stats, error) {
	return daemon.Run(ctx, p, daemon.RunOptions{Once: true, Logger: quiet})
}

// mustRun runs a project once.
func mustRun(t *testing.T, p *project.Project) pipeline.Stats {
	t.Helper()
	stats, err := once(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

// counts is what became of a topic's records.
type counts struct{ rows, letters, filtered int64 }

// wantAccounted checks that a project's tables account for every record of
// the topic events up to an offset: audited without gap or overlap, each with
// a fate, and the rows and letters that the audit promises are there.
func wantAccounted(t *testing.T, p *project.Project, records int64, want counts) {
	t.Helper()
	lake, err := daemon.OpenLakehouse(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer lake.Close() //nolint:errcheck // only read from
	audit := readTable(t, lake, lakehouse.AuditDefinition(p.Name).ID)
	slices.SortFunc(audit, func(a, b tableRow) int { return cmp.Compare(a.number(t, "from_offset"), b.number(t, "from_offset")) })
	var next int64
	var got counts
	for _, a := range audit {
		if from := a.number(t, "from_offset"); from != next {
			t.Errorf("an epoch begins at offset %d, want %d", from, next)
		}
		next = a.number(t, "to_offset")
		if fates := a.number(t, "with_rows") + a.number(t, "dead") + a.number(t, "filtered"); fates != a.number(t, "delivered") || fates != next-a.number(t, "from_offset") {
			t.Errorf("epoch %d: %d records have a fate, %d were delivered", a.number(t, "epoch"), fates, a.number(t, "delivered"))
		}
		got.rows += a.number(t, "rows")
		got.letters += a.number(t, "dead_letters")
		got.filtered += a.number(t, "filtered")
	}
	if next != records {
		t.Errorf("the audit ends at offset %d, want %d", next, records)
	}
	if got != want {
		t.Errorf("the audit shows %+v, want %+v", got, want)
	}
	seen := map[string]bool{}
	for _, r := range readTable(t, lake, catalog.Identifier{Namespace: "staging", Name: "events"}) {
		position := fmt.Sprintf("%s %s %s", r["kafka_partition"], r["kafka_offset"], r["kafka_row"])
		if seen[position] {
			t.Errorf("row %s is there twice", position)
		}
		seen[position] = true
	}
	if n := int64(len(seen)); n != want.rows {
		t.Errorf("the table has %d rows, want %d", n, want.rows)
	}
	if n := int64(len(readTable(t, lake, lakehouse.DeadLettersDefinition(p.Name).ID))); n != want.letters {
		t.Errorf("there are %d dead letters, want %d", n, want.letters)
	}
}

type tableRow map[string]json.RawMessage

func (r tableRow) number(t *testing.T, column string) int64 {
	t.Helper()
	var n int64
	if err := json.Unmarshal(r[column], &n); err != nil {
		t.Fatalf("column %s: %v", column, err)
	}
	return n
}

func (r tableRow) text(column string) string {
	var s string
	_ = json.Unmarshal(r[column], &s) // null is empty
	return s
}

func readTable(t *testing.T, lake *daemon.Lakehouse, id catalog.Identifier) []tableRow {
	t.Helper()
	sample, err := lake.SampleTable(t.Context(), id, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var rows []tableRow
	for _, cells := range sample.Rows {
		r := tableRow{}
		for i, name := range sample.Columns {
			r[name] = cells[i]
		}
		rows = append(rows, r)
	}
	return rows
}

// reasons lists the reason codes of a project's dead letters, by offset.
func reasons(t *testing.T, p *project.Project) string {
	t.Helper()
	lake, err := daemon.OpenLakehouse(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer lake.Close() //nolint:errcheck // only read from
	rows := readTable(t, lake, lakehouse.DeadLettersDefinition(p.Name).ID)
	slices.SortFunc(rows, func(a, b tableRow) int { return cmp.Compare(a.number(t, "kafka_offset"), b.number(t, "kafka_offset")) })
	var codes []string
	for _, r := range rows {
		codes = append(codes, fmt.Sprintf("%d:%s", r.number(t, "kafka_offset"), r.text("reason_code")))
	}
	return strings.Join(codes, " ")
}

func wantError(t *testing.T, err, want error, parts ...string) {
	t.Helper()
	if err == nil || want != nil && !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got error %q, want it to say %q", err, part)
		}
	}
}

// modules are the plugins of the tests, built once for the test binary.
var modules = struct {
	sync.Mutex
	dir string
}{}

func TestMain(m *testing.M) {
	code := m.Run()
	if modules.dir != "" {
		_ = os.RemoveAll(modules.dir)
	}
	os.Exit(code)
}

// install builds a Go plugin from its source and puts it into a project.
func install(t *testing.T, source, dir, name string) {
	t.Helper()
	module := build(t, source)
	text, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	installBytes(t, text, dir, name)
}

func installBytes(t *testing.T, module []byte, dir, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "plugins"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "plugins", name+".wasm"), module, 0o644); err != nil {
		t.Fatal(err)
	}
	shareCompiled(t, dir)
}

// shareCompiled lets projects share compiled modules: a Go module takes a
// second or two to compile.
func shareCompiled(t *testing.T, dir string) {
	t.Helper()
	shared := filepath.Join(moduleDir(t), "compiled")
	link := filepath.Join(dir, ".calve", "cache", "wasm")
	for _, folder := range []string{shared, filepath.Dir(link)} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(shared, link); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
}

func moduleDir(t *testing.T) string {
	t.Helper()
	modules.Lock()
	defer modules.Unlock()
	if modules.dir == "" {
		dir, err := os.MkdirTemp("", "calve-plugins-")
		if err != nil {
			t.Fatal(err)
		}
		modules.dir = dir
	}
	return modules.dir
}

func build(t *testing.T, source string) string {
	t.Helper()
	module := filepath.Join(moduleDir(t), filepath.Base(source)+".wasm")
	if _, err := os.Stat(module); err == nil {
		return module
	}
	if err := daemon.BuildGoPlugin(context.Background(), source, module); err != nil {
		t.Fatal(err)
	}
	return module
}
