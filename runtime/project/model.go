package project

import (
	"time"
)

// Kind is what a model makes of what it reads.
type Kind string

const (
	KindStaging   Kind = "staging"   // one row per event, append-only
	KindSession   Kind = "session"   // one row per session
	KindDimension Kind = "dimension" // members, versioned or not
	KindFact      Kind = "fact"      // events or transactions with keys of dimensions
	KindBridge    Kind = "bridge"    // many-to-many between dimensions
	KindMap       Kind = "map"       // an id and what it stands for
	KindDate      Kind = "date"      // the calendar
)

// Kinds lists the kinds of models.
var kinds = []Kind{KindStaging, KindSession, KindDimension, KindFact, KindBridge, KindMap, KindDate}

// Materialization is what a model leaves behind.
type Materialization string

const (
	MaterializedTable     Materialization = "table"
	MaterializedEphemeral Materialization = "ephemeral" // no table, only input of other models
)

// OnSchemaChange is what happens when a source has fields that a model does
// not declare, or no longer fits it.
type OnSchemaChange string

const (
	SchemaChangeIgnore           OnSchemaChange = "ignore"
	SchemaChangeAppendNewColumns OnSchemaChange = "append_new_columns"
	SchemaChangeFail             OnSchemaChange = "fail"
)

// OnTruncate is what happens when a source says that its table was truncated.
type OnTruncate string

const (
	TruncateStop   OnTruncate = "stop"   // the pipeline
	TruncateIgnore OnTruncate = "ignore" // the rows stay
)

// Contract says whether declared columns are enforced.
type Contract struct {
	Enforced bool
}

// Model is one model. The fields of its kind are in the struct of that name,
// which is nil for other kinds.
type Model struct {
	Name           string
	Kind           Kind
	Namespace      string // of the catalog
	File           string // relative to the project's folder, with slashes
	Line           int    // where the model begins
	Description    string
	Materialized   Materialization
	From           Ref // zero for kind date
	Where          string
	Derive         Expressions
	Derived        []Column `json:"-"` // staging: what Derive makes, with types; they follow the columns in the table
	Columns        []Column // staging: all, typed; else those that are chosen or described, in order
	Plugin         *Plugin  // nil for none
	PartitionBy    []PartitionField
	SortBy         []SortField
	OnSchemaChange OnSchemaChange
	Contract       Contract
	Tests          []Test // of the model; those of columns are with them
	SurrogateKey   string // the column of the surrogate key; "" for none

	// Of staging models over change events of a database: the columns that tell
	// the database's rows apart, and that the table has the change columns
	// (record.ChangeFields) after its own. Without change events there are
	// neither.
	NaturalKey []string `json:",omitempty"`
	Changes    bool     `json:",omitempty"`
	// OnTruncate is of staging models; it means something over change events.
	OnTruncate OnTruncate `json:",omitempty"`

	// EventTime is the column by which time passes. For staging "" stands for
	// the record's own timestamp; session and fact take that of the model they
	// read, or kafka_timestamp.
	EventTime         string
	MaxOutOfOrderness time.Duration // staging: how far the watermark stays behind
	IdleTimeout       time.Duration // staging: after which a silent partition no longer holds the watermark
	MaxFuture         time.Duration // staging: how far ahead of the clock an event time may be
	AllowedLateness   time.Duration // session, fact: behind the watermark, how late an event may amend rows

	Session   *Session
	Dimension *Dimension
	Fact      *Fact
	Bridge    *Bridge
	Map       *Map
	Date      *Date

	doc       *document
	given     given
	dateRange []string // of kind date, as written
	broken    bool     // it has errors of its own, so that others about it would mislead
}

// given tells what a model says itself, before defaults of its folder.
type given struct {
	namespace      string
	materialized   Materialization
	onSchemaChange OnSchemaChange
	contract       *Contract
}

// Gives tells whether the model's file itself has a key, whose value is its default
// otherwise.
func (m *Model) Gives(key string) bool {
	if m.doc == nil {
		return false
	}
	_, given := m.doc.marks[key]
	return given
}

// Input returns the columns that are decoded from the records of a staging
// model: those that its plugin takes, or its own.
func (m *Model) Input() []Column {
	if m.Plugin == nil {
		return m.Columns
	}
	if len(m.Plugin.Input) > 0 {
		return m.Plugin.Input
	}
	var out []Column
	for _, c := range m.Columns {
		if !contains(m.Plugin.Adds, c.Name) {
			out = append(out, c)
		}
	}
	return out
}

// references lists the models that must be built before m, by path.
func (m *Model) references() []reference {
	var out []reference
	if m.From.Model != "" {
		out = append(out, reference{"from", m.From.Model})
	}
	for _, fk := range m.foreignKeys() {
		out = append(out, reference{fk.path + ".to", fk.To.Model})
	}
	if m.Fact != nil {
		for i, j := range m.Fact.LeftJoin {
			out = append(out, reference{indexed("left_join", i) + ".to", j.To.Model})
		}
	}
	return out
}

type reference struct{ path, model string }

type foreignKeyAt struct {
	*ForeignKey
	path string
}

func (m *Model) foreignKeys() []foreignKeyAt {
	var keys []ForeignKey
	switch {
	case m.Fact != nil:
		keys = m.Fact.ForeignKeys
	case m.Bridge != nil:
		keys = m.Bridge.ForeignKeys
	}
	out := make([]foreignKeyAt, len(keys))
	for i := range keys {
		out[i] = foreignKeyAt{&keys[i], indexed("foreign_keys", i)}
	}
	return out
}

// keyColumns are the columns that tell the model's rows apart, nil if rows of
// the model have no key.
func (m *Model) keyColumns() []string {
	switch m.Kind {
	case KindSession:
		return m.Session.Key
	case KindDimension:
		return m.Dimension.NaturalKey
	case KindFact:
		return m.Fact.Grain
	case KindMap:
		return m.Map.NaturalKey
	}
	return nil
}
