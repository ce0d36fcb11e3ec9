// Package warehousesql writes the SQL by which warehouses use the tables of a
// project: the statements that attach them, views for people, and each engine's
// expression for the keys, by which others can compute them.
//
// It knows the project alone, not what is in its catalog. What only the user knows,
// such as the name of a connection, stands in angle brackets.
package warehousesql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

// Target is an engine.
type Target string

// The engines that statements are written for.
const (
	Snowflake  Target = "snowflake"
	BigQuery   Target = "bigquery"
	Databricks Target = "databricks"
	DuckDB     Target = "duckdb"
)

// Targets lists them.
func Targets() []Target { return []Target{Snowflake, BigQuery, Databricks, DuckDB} }

// Project is what statements are written of.
type Project struct {
	Name      string
	Catalog   Catalog
	Warehouse string // where the tables' files are
	Vectors   bool   // tables whose rows change have deletion vectors
	Tables    []Table
}

// Catalog is how engines find tables.
type Catalog struct {
	URI       string // of its REST interface
	Warehouse string // its name for the warehouse; "" for the default
	Embedded  bool   // it is served by calve catalog serve
}

// Table is a model's table.
type Table struct {
	Model     string
	Namespace string
	Name      string
	Columns   *arrow.Schema
	Keys      []Key
	Dimension *Dimension // nil for others
	Fact      *Fact      // nil for others
}

// Key is a column that is a hash of others.
type Key struct {
	Column string
	Parts  []string
	// Unknown is the value of a row that stands for what is unknown, which is no
	// hash; "" for none.
	Unknown string
}

// Dimension is the part of a table that facts refer to.
type Dimension struct {
	Key        string   // the column that a foreign key holds
	Durable    string   // or this; "" for none
	Versions   bool     // it has the columns valid_from, valid_to, is_current and is_deleted
	Attributes []string // the columns that a star shows
	Unknown    string   // the key of the unknown member; "" if it is a number
}

// Fact is a table that refers to dimensions.
type Fact struct {
	EventTime   string
	ForeignKeys []ForeignKey
}

// ForeignKey is a column with a key of a dimension.
type ForeignKey struct {
	Name    string
	To      string // its model
	Durable bool   // the durable key, of the version that is in force at
	At      string // this time
}

// Purpose is what a statement is for.
type Purpose string

// The purposes of statements, in the order in which they are to be run.
const (
	Attach Purpose = "attach" // makes the tables known to the engine
	View   Purpose = "view"   // makes a view over them
	Check  Purpose = "check"  // counts the rows whose key is not what the expression gives: 0
)

// Statement is one of a script.
type Statement struct {
	Purpose    Purpose `json:"purpose"`
	Model      string  `json:"model,omitempty"`      // that it is of; "" for all
	Column     string  `json:"column,omitempty"`     // check: the key
	Expression string  `json:"expression,omitempty"` // check: the key as the engine computes it of a row
	Note       string  `json:"note,omitempty"`       // what to know before it is run
	SQL        string  `json:"sql"`
}

// Render writes the statements for an engine, of one model or of all with "".
func Render(p Project, target Target, model string) ([]Statement, error) {
	d, ok := dialects[target]
	if !ok {
		return nil, fmt.Errorf("there is no target %q, expected one of %s", target, listed(Targets()))
	}
	if model != "" && !slices.ContainsFunc(p.Tables, func(t Table) bool { return t.Model == model }) {
		return nil, fmt.Errorf("project %s has no model %q with a table", p.Name, model)
	}
	r := renderer{dialect: d, project: p}
	shown := slices.DeleteFunc(slices.Clone(p.Tables), func(t Table) bool { return model != "" && t.Model != model })
	all := d.attach(r, shown)
	if p.Vectors {
		all[0].Note = strings.TrimSpace(vectorsNote[target] + " " + all[0].Note)
	}
	for _, t := range shown {
		all = append(all, r.views(t)...)
	}
	for _, t := range shown {
		for _, k := range t.Keys {
			check, err := r.check(t, k)
			if err != nil {
				return nil, err
			}
			all = append(all, check)
		}
	}
	return all, nil
}

// vectorsNote is from which version on an engine reads tables with deletion vectors.
var vectorsNote = map[Target]string{
	Snowflake:  "The project's profile is v3-dv: its tables have deletion vectors of Iceberg format version 3, which Snowflake reads.",
	BigQuery:   "The project's profile is v3-dv: its tables have deletion vectors of Iceberg format version 3, which BigQuery reads as a preview.",
	Databricks: "The project's profile is v3-dv: its tables have deletion vectors of Iceberg format version 3, which Databricks Runtime 18 and newer read.",
	DuckDB:     "The project's profile is v3-dv: its tables have deletion vectors of Iceberg format version 3, which DuckDB 1.5.3 and newer read.",
}

func listed[T ~string](names []T) string {
	texts := make([]string, len(names))
	for i, n := range names {
		texts[i] = string(n)
	}
	return strings.Join(texts, ", ")
}

// dialect is what engines differ in.
type dialect struct {
	quote  func(name string) string // of a column
	table  func(p Project, t Table) string
	view   func(p Project, namespace, name string) string
	text   string // the type of texts
	micros string // the function that gives a timestamptz as µs since 1970, whatever the session's time zone
	day    func(column string) string
	md5    func(text string) string // in lower-case hexadecimal digits
	attach func(r renderer, tables []Table) []Statement
}

// renderer writes the statements of a project in a dialect.
type renderer struct {
	dialect
	project Project
}

func (r renderer) tableOf(model string) (Table, bool) {
	i := slices.IndexFunc(r.project.Tables, func(t Table) bool { return t.Model == model })
	if i < 0 {
		return Table{}, false
	}
	return r.project.Tables[i], true
}

// namespaces are those of tables, in order, each once.
func namespaces(tables []Table) []string {
	var names []string
	for _, t := range tables {
		names = append(names, t.Namespace)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// literal is a text in SQL.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

func quoted(by string) func(string) string {
	return func(name string) string { return by + name + by }
}
