package project

import (
	"errors"
	"io/fs"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/calvelake/calve/runtime/record"
)

// environment is a lookup for Load.
func environment(pairs ...string) func(string) (string, bool) {
	values := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	return func(name string) (string, bool) {
		v, ok := values[name]
		return v, ok
	}
}

var shopEnvironment = environment("KAFKA_BROKERS", "a:9092, b:9092", "CATALOG_URI", "http://catalog:8181")

// folderOf is a project folder in memory: pairs of path and content.
func folderOf(pairs ...string) fstest.MapFS {
	out := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return out
}

func mustLoad(t *testing.T, files fs.FS, env func(string) (string, bool)) *Project {
	t.Helper()
	p, err := load(files, "dir", env)
	if err != nil {
		t.Fatalf("load:\n%v", err)
	}
	return p
}

func mustModel(t *testing.T, p *Project, name string) *Model {
	t.Helper()
	m, ok := p.Model(name)
	if !ok {
		t.Fatalf("there is no model %s", name)
	}
	return m
}

func modelNames(p *Project) []string {
	var out []string
	for _, m := range p.Models {
		out = append(out, m.Name)
	}
	return out
}

func TestShopLoads(t *testing.T) {
	p, err := Load("testdata/shop", shopEnvironment)
	if err != nil {
		t.Fatalf("load:\n%v", err)
	}
	want := []string{"dim_date", "stg_customers", "dim_customers", "stg_orders", "stg_products", "dim_products", "fct_orders"}
	if got := modelNames(p); !slices.Equal(got, want) {
		t.Errorf("models in order: got %v, want %v", got, want)
	}
	if got, want := p.Connections.Kafka.Brokers, []string{"a:9092", "b:9092"}; !slices.Equal(got, want) {
		t.Errorf("brokers: got %v, want %v", got, want)
	}
	if p.Connections.Kafka.Embedded != nil || p.Connections.Kafka.SchemaRegistry != nil {
		t.Errorf("embedded %v, registry %v: want neither", p.Connections.Kafka.Embedded, p.Connections.Kafka.SchemaRegistry)
	}
	if got, want := p.Commit, (Commit{time.Minute, 5 * time.Minute, 512e6}); got != want {
		t.Errorf("commit: got %v, want %v", got, want)
	}
	if got, want := p.Connections.Warehouse.Location, "s3://lake/shop"; got != want || !p.Connections.Warehouse.IsS3() {
		t.Errorf("warehouse: got %q, want %q", got, want)
	}
	if table, ok := p.SourceTable(Ref{Source: "shop", Table: "orders"}); !ok || table.Topic != "shop.public.orders" || table.Format != FormatDebeziumJSON || table.Freshness.WarnAfter != 2*time.Minute || table.MaxRecordBytes != 10<<20 {
		t.Errorf("source table: got %+v, %v", table, ok)
	}
}

func TestShopModels(t *testing.T) {
	p, err := Load("testdata/shop", shopEnvironment)
	if err != nil {
		t.Fatalf("load:\n%v", err)
	}
	orders := mustModel(t, p, "stg_orders")
	if orders.OnSchemaChange != SchemaChangeAppendNewColumns || orders.Namespace != "staging" || orders.Contract.Enforced || orders.Materialized != MaterializedTable {
		t.Errorf("folder defaults of stg_orders: got %+v", orders)
	}
	at := orders.Columns[5]
	if at.Name != "ordered_at" || at.From != "order_date" || at.Type.ID() != record.Timestamptz.ID() || !at.Nullable || at.Encoding != "debezium.micro_timestamp" {
		t.Errorf("ordered_at: got %+v", at)
	}
	if got := orders.Columns[0]; got.From != "order_id" || len(got.Tests) != 1 || got.Tests[0].Kind != TestNotNull || got.Tests[0].Severity != SeverityError || got.Tests[0].Columns[0] != "order_id" {
		t.Errorf("order_id: got %+v", got)
	}
	dim := mustModel(t, p, "dim_customers").Dimension
	for column, want := range map[string]int{"email": 1, "signup_date": 0, "city": 2} {
		if got := dim.SCD.TypeOf(column); got != want {
			t.Errorf("scd type of %s: got %d, want %d", column, got, want)
		}
	}
	if dim.LateChanges != 30*24*time.Hour || dim.UnknownMember["city"] != "Unknown" || dim.FirstValidFrom != FirstValidFromBeginning || dim.ValidToCurrent != ValidToMaximum {
		t.Errorf("dim_customers: got %+v", dim)
	}
	fact := mustModel(t, p, "fct_orders")
	if fk := fact.Fact.ForeignKeys[0]; fk.To.Model != "dim_customers" || !fk.Durable || fk.Copy["customer_city"] != "city" {
		t.Errorf("foreign key: got %+v", fk)
	}
	if got := fact.Tests[0]; got.Kind != TestExpressionIsTrue || got.Severity != SeverityQuarantine || got.Expression != "total_amount >= 0" {
		t.Errorf("test: got %+v", got)
	}
	if fact.Fact.OnDelete != OnDeleteSoft || fact.Namespace != "marts" || !fact.Contract.Enforced || fact.AllowedLateness != 24*time.Hour {
		t.Errorf("fct_orders: got %+v", fact)
	}
	if got, want := *mustModel(t, p, "dim_date").Date, (Date{"2020-01-01", "2035-12-31"}); got != want {
		t.Errorf("dim_date: got %v, want %v", got, want)
	}
}

func TestWebLoads(t *testing.T) {
	p, err := Load("testdata/web", nil)
	if err != nil {
		t.Fatalf("load:\n%v", err)
	}
	sessions := mustModel(t, p, "int_sessions")
	if s := sessions.Session; s.Timeout != 30*time.Minute || s.Gap != 0 || s.Emit != EmitEarly || len(s.Aggregates) != 3 || s.Aggregates[2] != (Expression{"purchased", "count_if(event_type = 'purchase') > 0"}) {
		t.Errorf("session: got %+v", s)
	}
	if got := sessions.Plugin; got.Name != "botcheck" || got.Channel != "stable" || got.Module != "" || !slices.Equal(got.Adds, []string{"is_bot"}) || got.OnError != OnErrorDeadLetter {
		t.Errorf("plugin: got %+v", got)
	}
	if got, want := sessions.Namespace, "intermediate"; got != want {
		t.Errorf("namespace from the folder: got %q, want %q", got, want)
	}
	fact := mustModel(t, p, "fct_sessions")
	if j := fact.Fact.LeftJoin[0]; j.On["user_id"] != "user_id" || *j.Within != (Within{"read_at", "session_start", "session_end"}) || len(j.Aggregates) != 2 {
		t.Errorf("left join: got %+v", j)
	}
	if got := mustModel(t, p, "session_history").Dimension.SCD; got.Default != 2 || got.Type1Scope != Type1All {
		t.Errorf("scd by default: got %+v", got)
	}
	staging := mustModel(t, p, "stg_session_events")
	want := []PartitionField{{"event_ts", TransformDay, 0}, {"user_id", TransformBucket, 16}}
	if !slices.Equal(staging.PartitionBy, want) {
		t.Errorf("partition_by: got %v, want %v", staging.PartitionBy, want)
	}
	if staging.MaxOutOfOrderness != time.Minute || staging.IdleTimeout != time.Minute || staging.MaxFuture != time.Hour {
		t.Errorf("watermark: got %v %v %v", staging.MaxOutOfOrderness, staging.IdleTimeout, staging.MaxFuture)
	}
}

func TestAbsentConnectionsAreEmbedded(t *testing.T) {
	for _, calve := range []string{
		"name: a\nconfig_version: 1\n",
		"name: a\nconfig_version: 1\nconnections: {kafka: {embedded: {}}, catalog: {type: embedded}}\n",
		"name: a\nconfig_version: 1\nconnections: {kafka: {brokers: \"${NONE:-}\"}, catalog: {type: \"${NONE:-}\"}, warehouse: \"${NONE:-}\"}\n",
	} {
		p := mustLoad(t, folderOf("calve.yaml", calve), nil)
		k, c := p.Connections.Kafka, p.Connections.Catalog
		if k.Embedded == nil || *k.Embedded != (EmbeddedBroker{".calve/broker", "127.0.0.1:9092"}) || k.Timeout != 30*time.Second || k.ClientID != "calve" {
			t.Errorf("%s: kafka: got %+v", calve, k)
		}
		if c.Type != CatalogEmbedded || c.Path != ".calve/catalog.db" || c.Listen != "127.0.0.1:8181" || c.Timeout != 30*time.Second {
			t.Errorf("%s: catalog: got %+v", calve, c)
		}
		if got, want := p.Connections.Warehouse.Location, ".calve/warehouse"; got != want {
			t.Errorf("%s: warehouse: got %q, want %q", calve, got, want)
		}
		if got, want := p.Commit.Interval, 10*time.Second; got != want {
			t.Errorf("%s: interval: got %v, want %v", calve, got, want)
		}
		if p.Timezone != "UTC" || p.Profile != ProfileStrict || p.Limits.MaxDeadRatio != 1 {
			t.Errorf("%s: got %+v", calve, p)
		}
	}
}

const weblogSources = `sources:
  - name: web
    tables:
      - {name: lines, topic: access, format: text}
      - {name: blobs, topic: blobs, format: bytes}
      - {name: docs, topic: docs, max_record_bytes: 1KB}
`

func TestPluginInput(t *testing.T) {
	files := folderOf("calve.yaml", "name: a\nconfig_version: 1\n", "plugins/parse.wasm", "x",
		"models/sources.yaml", weblogSources,
		"models/staging/requests.yaml", `
name: requests
kind: staging
from: source.web.lines
plugin: {ref: parse, config: {zone: "${ZONE:-UTC}", limit: 10, deep: [1.50, true, null]}, limits: {memory: 64MiB, cpu_budget: 1000}}
columns:
  - {name: status, data_type: int, nullable: false}
---
name: blobs
kind: staging
from: source.web.blobs
plugin: {ref: parse}
columns:
  - {name: status, data_type: int}
---
name: docs
kind: staging
from: source.web.docs
plugin: {ref: parse@2.1.0, adds: [country], on_error: stop}
columns:
  - {name: address, from: client.address, data_type: string}
  - {name: country, data_type: string}
---
name: whole
kind: staging
from: source.web.docs
plugin: {ref: parse, input: [{name: body, from: kafka.value, data_type: string}]}
columns:
  - {name: country, data_type: string}
`)
	p := mustLoad(t, files, nil)
	requests := mustModel(t, p, "requests")
	if got := requests.Plugin; got.Module != "plugins/parse.wasm" || got.Limits != (PluginLimits{Memory: 64 << 20, CPUBudget: 1000}) || got.OnError != OnErrorDeadLetter {
		t.Errorf("plugin: got %+v", got)
	}
	if got, want := string(requests.Plugin.Config), `{"deep":[1.50,true,null],"limit":10,"zone":"UTC"}`; got != want {
		t.Errorf("config: got %s, want %s", got, want)
	}
	f := func(model, name, from, typeText string) {
		t.Helper()
		in := mustModel(t, p, model).Input()
		if len(in) != 1 || in[0].Name != name || in[0].From != from || in[0].TypeText != typeText || in[0].Type == nil {
			t.Errorf("input of %s: got %+v", model, in)
		}
	}
	f("requests", "value", "kafka.value", "string")
	f("blobs", "value", "kafka.value", "binary")
	f("docs", "address", "client.address", "string")
	f("whole", "body", "kafka.value", "string")
	if got := mustModel(t, p, "docs").Plugin; got.Module != "" || got.Channel != "2.1.0" || got.OnError != OnErrorStop {
		t.Errorf("registry plugin: got %+v", got)
	}
	if got := requests.Columns[0].From + mustModel(t, p, "docs").Columns[1].From; got != "" {
		t.Errorf("columns of the plugin have a path: %q", got)
	}
	if requests.Columns[0].Nullable {
		t.Error("nullable: false is lost")
	}
	if got, want := p.Path(requests.Plugin.Module), "dir/plugins/parse.wasm"; got != want {
		t.Errorf("path: got %q, want %q", got, want)
	}
}

func TestMissingProjectIsNotExist(t *testing.T) {
	_, err := Load(t.TempDir(), nil)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
	var all Errors
	if !errors.As(err, &all) || len(all) != 1 || all[0].File != "calve.yaml" {
		t.Errorf("got %#v", err)
	}
}

func TestAProjectMayHaveNoModels(t *testing.T) {
	p := mustLoad(t, folderOf("calve.yaml", "name: a\nconfig_version: 1\n"), nil)
	if len(p.Models) != 0 || len(p.Sources) != 0 {
		t.Errorf("got %v, %v", p.Models, p.Sources)
	}
}

func TestModelsAreInTopologicalOrder(t *testing.T) {
	staging := func(name string) string {
		return "name: " + name + "\nkind: staging\nfrom: source.s.t\ncolumns: [{name: id, data_type: long}]\n---\n"
	}
	dimension := func(name, from string) string {
		return "name: " + name + "\nkind: dimension\nfrom: ref." + from + "\nnatural_key: [id]\nsurrogate_key: " + name + "_key\n---\n"
	}
	files := folderOf("calve.yaml", "name: a\nconfig_version: 1\n",
		"models/s.yaml", "sources: [{name: s, tables: [{name: t, topic: t}]}]",
		"models/m.yaml", dimension("a", "z")+staging("z")+dimension("c", "b")+staging("y")+dimension("b", "y"))
	got, want := modelNames(mustLoad(t, files, nil)), []string{"y", "b", "c", "z", "a"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
