package project

import (
	"fmt"
	"slices"
	"strings"
)

// Feature is a part of the language that a binary builds or not: a key, or one
// value of it.
type Feature struct {
	Key   string // as in a project file: kind, format, where
	Value string // "" for the key as such
}

func (f Feature) String() string {
	if f.Value == "" {
		return fmt.Sprintf("%q", f.Key)
	}
	return fmt.Sprintf("%s %q", f.Key, f.Value)
}

// Features lists every part of the language that a binary may be without, in
// the order of this table. What is not here every binary must run.
func Features() []Feature {
	var out []Feature
	add := func(key string, values ...string) {
		for _, v := range values {
			out = append(out, Feature{key, v})
		}
	}
	for _, k := range kinds {
		add("kind", string(k))
	}
	for _, v := range formats.schema["enum"].([]any) {
		add("format", v.(string))
	}
	for _, e := range encodings {
		add("encoding", e.name)
	}
	add("encoding", "strptime")
	add("partition_by", transforms...)
	add("profile", string(ProfileStrict), string(ProfileV3DV))
	add("catalog", string(CatalogEmbedded), string(CatalogREST), string(CatalogGlue), string(CatalogSQL))
	add("materialized", string(MaterializedTable), string(MaterializedEphemeral))
	add("on_schema_change", string(SchemaChangeIgnore), string(SchemaChangeAppendNewColumns), string(SchemaChangeFail))
	add("plugin", "local", "registry")
	for _, k := range testKinds {
		add("data_tests", string(k))
	}
	for _, key := range []string{"schema_registry", "limits", "freshness", "where", "derive", "sort_by", "contract", "event_time", "max_out_of_orderness", "idle_timeout", "max_future", "plugin.input", "plugin.adds"} {
		add(key, "")
	}
	return out
}

// Unbuilt reports, as Errors with their places, the parts of the language that
// a project uses and that are not among those built.
func Unbuilt(p *Project, built []Feature) error {
	u := unbuilt{built: built, errs: &problems{}}
	u.project(p)
	for i := range p.Sources {
		u.source(&p.Sources[i])
	}
	for i := range p.Models {
		u.model(&p.Models[i])
	}
	return u.errs.err()
}

type unbuilt struct {
	built []Feature
	errs  *problems
}

// use reports a feature that is used and not built.
func (u *unbuilt) use(d *document, path string, f Feature) {
	if slices.Contains(u.built, f) {
		return
	}
	u.errs.add(d.problem(path, f.String()+" is part of the language but this version of calve does not run it yet", ""))
}

func (u *unbuilt) project(p *Project) {
	u.use(p.doc, "profile", Feature{"profile", string(p.Profile)})
	u.use(p.doc, "connections.catalog.type", Feature{"catalog", string(p.Connections.Catalog.Type)})
	if p.Connections.Kafka.SchemaRegistry != nil {
		u.use(p.doc, "connections.kafka.schema_registry", Feature{Key: "schema_registry"})
	}
	for _, limit := range []struct {
		key  string
		used bool
	}{{"max_dead_ratio", p.Limits.MaxDeadRatio != 1}, {"memory", p.Limits.Memory != 0}, {"open_files", p.Limits.OpenFiles != 0}} {
		if limit.used {
			u.use(p.doc, "limits."+limit.key, Feature{"limits", limit.key})
		}
	}
}

func (u *unbuilt) source(s *Source) {
	for i, t := range s.Tables {
		path := s.path + "." + indexed("tables", i)
		u.use(s.doc, ownOr(s.doc, path+".format", s.path+".format"), Feature{"format", string(t.Format)})
		if t.Freshness != nil {
			u.use(s.doc, ownOr(s.doc, path+".freshness", s.path+".freshness"), Feature{Key: "freshness"})
		}
	}
}

// ownOr is the path of a value that may be inherited.
func ownOr(d *document, own, inherited string) string {
	if _, ok := d.marks[own]; ok {
		return own
	}
	return inherited
}

func (u *unbuilt) model(m *Model) {
	u.use(m.doc, "kind", Feature{"kind", string(m.Kind)})
	u.use(m.doc, "materialized", Feature{"materialized", string(m.Materialized)})
	u.use(m.doc, "on_schema_change", Feature{"on_schema_change", string(m.OnSchemaChange)})
	if m.Contract.Enforced {
		u.use(m.doc, "contract", Feature{Key: "contract"})
	}
	for _, key := range []string{"where", "derive", "sort_by", "event_time", "max_out_of_orderness", "idle_timeout", "max_future"} {
		if _, given := m.doc.marks[key]; given {
			u.use(m.doc, key, Feature{Key: key})
		}
	}
	for i, f := range m.PartitionBy {
		u.use(m.doc, indexed("partition_by", i), Feature{"partition_by", string(f.Transform)})
	}
	u.tests(m, "data_tests", m.Tests)
	u.columns(m, "columns", m.Columns)
	if m.Plugin != nil {
		u.plugin(m)
	}
}

func (u *unbuilt) columns(m *Model, path string, columns []Column) {
	for i, c := range columns {
		at := indexed(path, i)
		if c.Encoding != "" {
			name, _, _ := strings.Cut(c.Encoding, ":")
			u.use(m.doc, at+".encoding", Feature{"encoding", name})
		}
		u.tests(m, at+".data_tests", c.Tests)
	}
}

func (u *unbuilt) tests(m *Model, path string, tests []Test) {
	for i, t := range tests {
		u.use(m.doc, indexed(path, i), Feature{"data_tests", string(t.Kind)})
	}
}

func (u *unbuilt) plugin(m *Model) {
	where := "local"
	if m.Plugin.Channel != "" {
		where = "registry"
	}
	u.use(m.doc, "plugin.ref", Feature{"plugin", where})
	if _, given := m.doc.marks["plugin.input"]; given {
		u.use(m.doc, "plugin.input", Feature{Key: "plugin.input"})
		u.columns(m, "plugin.input", m.Plugin.Input)
	}
	if len(m.Plugin.Adds) > 0 {
		u.use(m.doc, "plugin.adds", Feature{Key: "plugin.adds"})
	}
}
