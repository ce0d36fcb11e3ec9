package project

import (
	"slices"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/record"
)

func without(drop ...Feature) []Feature {
	return slices.DeleteFunc(Features(), func(f Feature) bool { return slices.Contains(drop, f) })
}

func TestUnbuiltFeaturesAreRefusedByNameAndPlace(t *testing.T) {
	shop, err := Load("testdata/shop", shopEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	web, err := Load("testdata/web", nil)
	if err != nil {
		t.Fatal(err)
	}
	const suffix = " is part of the language but this version of calve does not run it yet"
	for _, c := range []struct {
		project *Project
		missing Feature
		want    []string
	}{
		{shop, Feature{"kind", "dimension"}, []string{`models/marts/dim_customers.yaml:2:7: kind "dimension"`, `models/marts/dim_products.yaml:2:7: kind "dimension"`}},
		{shop, Feature{"kind", "date"}, []string{`models/marts/dim_date.yaml:2:7: kind "date"`}},
		{shop, Feature{"format", "debezium-json"}, []string{`models/sources.yaml:4:13: format "debezium-json"`}},
		{shop, Feature{"encoding", "connect.decimal"}, []string{`models/staging/stg_orders.yaml:9:64: encoding "connect.decimal"`}},
		{shop, Feature{"catalog", "rest"}, []string{`calve.yaml:6:19: catalog "rest"`}},
		{shop, Feature{"freshness", ""}, []string{`models/sources.yaml:5:16: "freshness"`}},
		{shop, Feature{"on_schema_change", "append_new_columns"}, []string{
			`models/staging/members.yaml:2:1: on_schema_change "append_new_columns"`, `models/staging/members.yaml:12:1: on_schema_change "append_new_columns"`, `models/staging/stg_orders.yaml:1:1: on_schema_change "append_new_columns"`}},
		{web, Feature{"plugin", "registry"}, []string{`models/intermediate/int_sessions.yaml:15:15: plugin "registry"`}},
		{web, Feature{"plugin.adds", ""}, []string{`models/intermediate/int_sessions.yaml:15:38: "plugin.adds"`}},
		{web, Feature{"partition_by", "bucket"}, []string{`models/staging/stg.yaml:12:31: partition_by "bucket"`}},
		{shop, Feature{"data_tests", "not_null"}, []string{`models/staging/stg_orders.yaml:5:52: data_tests "not_null"`}},
		{shop, Feature{"data_tests", "unique"}, []string{`models/marts/fct_orders.yaml:17:5: data_tests "unique"`}},
		{web, Feature{"where", ""}, []string{`models/marts/fct_sessions.yaml:4:8: "where"`}},
		{web, Feature{"catalog", "embedded"}, []string{`calve.yaml:1:1: catalog "embedded"`}},
	} {
		err := Unbuilt(c.project, without(c.missing))
		if err == nil {
			t.Errorf("%v: got no error", c.missing)
			continue
		}
		for i := range c.want {
			c.want[i] += suffix
		}
		if got, want := err.Error(), strings.Join(c.want, "\n"); got != want {
			t.Errorf("%v: got:\n%s\nwant:\n%s", c.missing, got, want)
		}
	}
	for _, p := range []*Project{shop, web} {
		if err := Unbuilt(p, Features()); err != nil {
			t.Errorf("all is built: got %v", err)
		}
	}
}

// A project that uses the whole language uses every feature: one that no
// document can use would be refused for nothing, or never.
func TestEveryFeatureIsFound(t *testing.T) {
	found := map[Feature]bool{}
	use := func(files ...string) {
		t.Helper()
		p := mustLoad(t, folderOf(files...), nil)
		for _, f := range Features() {
			if Unbuilt(p, without(f)) != nil {
				found[f] = true
			}
		}
	}
	for _, catalog := range []string{"{type: embedded}", "{type: rest, uri: \"http://c\"}", "{type: glue}", "{type: sql, uri: \"postgres://h/d\"}"} {
		use("calve.yaml", smallProject+"connections: {catalog: "+catalog+", kafka: {schema_registry: \"http://r\"}}\nlimits: {open_files: 3}\n")
	}
	use("calve.yaml", smallProject+"profile: v3-dv\n")
	var sources, columns strings.Builder
	sources.WriteString("sources:\n  - name: s\n    freshness: {warn_after: 1m}\n    tables:\n")
	for _, f := range Features() {
		switch f.Key {
		case "format":
			sources.WriteString("      - {name: " + strings.ReplaceAll(f.Value, "-", "_") + ", topic: t, format: " + f.Value + "}\n")
		case "encoding":
			columns.WriteString("  - {name: c_" + strings.ReplaceAll(f.Value, ".", "_") + ", data_type: " + typeFor(f.Value) + ", encoding: \"" + strings.Replace(f.Value, "strptime", "strptime:%d", 1) + "\"}\n")
		}
	}
	staging := "kind: staging\nfrom: source.s.json\n"
	use("calve.yaml", smallProject, "models/s.yaml", sources.String(),
		"plugins/p.wasm", "",
		"models/e.yaml", "name: e\n"+staging+"columns:\n"+columns.String()+"  - {name: b, data_type: int, data_tests: [unique, not_null, {accepted_values: {values: [1]}}, {accepted_range: {min_value: 1}}, {relationships: {to: ref.n, field: a}}]}\ndata_tests: [{expression_is_true: {expression: b > 0}}]\n",
		"models/m.yaml", "name: m\n"+staging+"materialized: ephemeral\non_schema_change: append_new_columns\ncolumns: [{name: a, data_type: int}]\nplugin: {ref: p, adds: [a]}\n---\n"+
			"name: n\n"+staging+"contract: {enforced: true}\non_schema_change: fail\nwhere: v is not null\nderive: {z: a}\nsort_by: [a]\nevent_time: b\nmax_out_of_orderness: 1s\nidle_timeout: 1m\nmax_future: 1h\n"+
			"partition_by: [a, year(b), month(c), day(d), hour(e), bucket(2, f), truncate(2, g)]\n"+
			"columns: [{name: a, data_type: int}, {name: b, data_type: timestamptz}, {name: c, data_type: timestamptz}, {name: d, data_type: timestamptz}, {name: e, data_type: timestamptz}, {name: f, data_type: int}, {name: g, data_type: int}]\n"+
			"plugin: {ref: p@stable, input: [{name: v, data_type: string}]}\n---\n"+
			"name: k1\nkind: session\nfrom: ref.n\nkey: [a]\ngap: 1m\n---\n"+
			"name: k2\nkind: dimension\nfrom: ref.n\nnatural_key: [a]\nsurrogate_key: k\n---\n"+
			"name: k3\nkind: fact\nfrom: ref.n\ngrain: [a]\n---\n"+
			"name: k4\nkind: map\nfrom: ref.n\nnatural_key: [a]\n---\n"+
			"name: k5\nkind: bridge\nfrom: ref.n\nforeign_keys: [{name: x, to: ref.k2, on: [a]}, {name: y, to: ref.k2, on: [f]}]\n---\n"+
			"name: k6\nkind: date\nrange: [2020-01-01, 2020-12-31]\n")
	for _, f := range Features() {
		if !found[f] {
			t.Errorf("no document uses %v", f)
		}
	}
}

// typeFor is a data_type that an encoding holds.
func typeFor(encoding string) string {
	for _, text := range []string{"timestamptz", "string", "int", "date", "binary", "decimal(10,2)"} {
		if t, err := record.ParseType(text); err == nil && encodingTypes(encoding)(t) {
			return `"` + text + `"`
		}
	}
	return ""
}
