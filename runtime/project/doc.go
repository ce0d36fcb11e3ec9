// Package project reads a project: a folder with calve.yaml, models/**/*.yaml
// and plugins/*.wasm, written in Calve's project language.
//
// # Language
//
// calve.yaml holds the name, the connections, the commit pace and defaults by
// folder. A file below models/ holds one or more YAML documents, each either a
// model (it has a kind) or a list of sources. Words follow dbt where dbt has
// one.
//
// Every YAML object of the language is described once, as a table of its keys
// (see key and object). The tables read documents, name unknown keys and give
// the JSON Schema for editors (SchemaJSON). What one value says of another is
// checked in Go and is beyond the schema: references to sources, models and
// columns, names used twice, cycles, keys that exclude each other, sizes and
// durations too large, plugin files, and whether an environment variable is
// set.
//
// Reading is strict, and reports every problem it finds with file, line,
// column, what was expected and the nearest valid name. YAML anchors, aliases,
// merge keys and tags are refused: a file should say what it means where it
// says it.
//
// # Environment
//
// ${VAR} and ${VAR:-default} are replaced in values, $${ stands for a literal
// ${. A value that is empty after replacement counts as not given. Names of
// models, sources and columns, kinds and references take no variables: they
// name tables and state, which must not depend on where a project runs. What
// came from a variable is never quoted in an error; ${VAR} is printed instead.
package project
