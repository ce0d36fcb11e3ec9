package project

import (
	"math"
	"path/filepath"
	"time"
	_ "time/tzdata" // the project's time zone must load in an image without zoneinfo
)

// Profile is the set of rules that tables obey.
type Profile string

const (
	ProfileStrict Profile = "strict" // every warehouse reads the tables (invariant 7)
	ProfileV3DV   Profile = "v3-dv"  // Iceberg v3 with deletion vectors
)

// Project is a project as its files say it, checked, with defaults filled in.
type Project struct {
	Dir           string `json:"-"` // as given to Load
	Name          string
	ConfigVersion int
	Profile       Profile
	Connections   Connections
	Commit        Commit
	Limits        Limits
	Timezone      string              // IANA name; of date keys alone, every timestamp is UTC
	Defaults      map[string]Defaults // by folder below models/, with slashes
	Sources       []Source            // in order of name
	Models        []Model             // each after those it reads, else in order of name

	doc *document
}

// Commit says when an epoch ends: whatever comes first.
type Commit struct {
	Interval    time.Duration // since the last
	MaxInterval time.Duration // to which the interval may stretch while rewriting takes long
	MaxBytes    int64         // of records in the epoch, uncompressed
}

// Limits bound what a pipeline may take or lose. Zero is the runtime's default.
type Limits struct {
	MaxDeadRatio float64 // dead letters to records, over which the pipeline stops; 1 for never
	Memory       int64   // bytes of the process, a soft limit
	OpenFiles    int64   // data files being written at once
}

// Defaults are what the models of a folder leave to it. Empty fields are not
// given.
type Defaults struct {
	Namespace      string          `json:",omitempty"`
	Materialized   Materialization `json:",omitempty"`
	OnSchemaChange OnSchemaChange  `json:",omitempty"`
	Contract       *Contract       `json:",omitempty"`
}

// Path resolves a path of the project: relative ones begin at its folder.
func (p *Project) Path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(p.Dir, filepath.FromSlash(path))
}

// Model finds a model by name.
func (p *Project) Model(name string) (*Model, bool) {
	for i := range p.Models {
		if p.Models[i].Name == name {
			return &p.Models[i], true
		}
	}
	return nil, false
}

// SourceTable finds the topic that a staging model reads.
func (p *Project) SourceTable(ref Ref) (SourceTable, bool) { return p.table(ref) }

func (p *Project) table(ref Ref) (SourceTable, bool) {
	for _, s := range p.Sources {
		if s.Name != ref.Source {
			continue
		}
		for _, t := range s.Tables {
			if t.Name == ref.Table {
				return t, t.Format != ""
			}
		}
	}
	return SourceTable{}, false
}

// projectShape is calve.yaml.
var projectShape = object[Project]{
	name: "project",
	doc:  "calve.yaml: a project's name, connections, commit pace and defaults.",
	start: func(p *Project) {
		p.Connections, p.Commit, p.Limits = embeddedConnections(), defaultCommit, Limits{MaxDeadRatio: 1}
	},
	fields: []field[Project]{
		key("name", name, func(p *Project) *string { return &p.Name }, "The project's name; it names the pipeline's log and audit tables, and must stay.").must(),
		key("config_version", convert(shape[int64](integer(1, 1)), func(n int64) int { return int(n) }), func(p *Project) *int { return &p.ConfigVersion }, "The version of the project language: 1.").must(),
		key("profile", oneOf(ProfileStrict, ProfileV3DV), func(p *Project) *Profile { return &p.Profile }, "strict: tables that every warehouse reads; v3-dv: Iceberg v3 with deletion vectors.").or(string(ProfileStrict)),
		key("connections", shape[Connections](connectionsShape), func(p *Project) *Connections { return &p.Connections }, "The systems that the project runs with; what is absent is embedded."),
		key("commit", shape[Commit](commitShape), func(p *Project) *Commit { return &p.Commit }, "When an epoch ends."),
		key("limits", shape[Limits](projectLimitsShape), func(p *Project) *Limits { return &p.Limits }, "What a pipeline may take or lose."),
		key("timezone", timezone, func(p *Project) *string { return &p.Timezone }, "Of date keys, as Europe/Berlin; every timestamp is UTC.").or("UTC"),
		key("models", mapOf(folder, shape[Defaults](defaultsShape)), func(p *Project) *map[string]Defaults { return &p.Defaults }, "Defaults of models by folder below models/, the deepest folder first."),
	},
}

var defaultCommit = Commit{MaxInterval: 5 * time.Minute, MaxBytes: 512_000_000}

var commitShape = object[Commit]{
	name: "commit",
	fields: []field[Commit]{
		key("interval", positiveDuration, func(c *Commit) *time.Duration { return &c.Interval }, "Time since the last epoch; 10s where all tables append, else 60s."),
		key("max_interval", positiveDuration, func(c *Commit) *time.Duration { return &c.MaxInterval }, "To which the interval may stretch while rewriting takes long.").or("5m"),
		key("max_bytes", positiveSize, func(c *Commit) *int64 { return &c.MaxBytes }, "Bytes of records in an epoch, uncompressed.").or("512MB"),
	},
	check: func(r reader, c *Commit) {
		if c.Interval > c.MaxInterval {
			r.failAt("max_interval", "max_interval is shorter than interval", "the interval stretches up to max_interval")
		}
	},
}

var projectLimitsShape = object[Limits]{
	name: "limits",
	fields: []field[Limits]{
		key("max_dead_ratio", ratio, func(l *Limits) *float64 { return &l.MaxDeadRatio }, "Dead letters to records, over which the pipeline stops; 1 for never.").or("1"),
		key("memory", positiveSize, func(l *Limits) *int64 { return &l.Memory }, "Memory of the process: near it, garbage is collected more often. By default a share of what the machine or the container grants."),
		key("open_files", integer(1, math.MaxInt32), func(l *Limits) *int64 { return &l.OpenFiles }, "Data files being written at once."),
	},
}

var defaultsShape = object[Defaults]{
	name: "folder defaults",
	fields: []field[Defaults]{
		key("namespace", namespace, func(d *Defaults) *string { return &d.Namespace }, "The namespace of the folder's tables; the folder's name by default."),
		key("materialized", materialized, func(d *Defaults) *Materialization { return &d.Materialized }, "table or ephemeral."),
		key("on_schema_change", schemaChange, func(d *Defaults) *OnSchemaChange { return &d.OnSchemaChange }, "What happens on fields that a model does not declare."),
		key("contract", optional(contractShape), func(d *Defaults) **Contract { return &d.Contract }, "Whether declared columns are enforced."),
	},
}
