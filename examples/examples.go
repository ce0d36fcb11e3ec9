// Package examples carries the example projects inside the binary, so that
// calve demo works wherever the binary is.
package examples

import (
	"embed"
	"io/fs"
	"maps"
	"slices"
)

//go:embed weblog/calve.yaml weblog/models weblog/data weblog/plugins
var files embed.FS

// Example is a project with the data to run it on.
type Example struct {
	Name    string
	Summary string
	Topics  []Topic
	Table   string // namespace.table to show
	CountBy string // a timestamp column of the table: rows by day
	// Plugins are the modules that the project needs below plugins/, and the
	// folders of their source below the example.
	Plugins map[string]string
}

// Topic is data to produce.
type Topic struct {
	Name       string
	File       string // below the example, one record a line
	Partitions int
}

var all = map[string]Example{
	"weblog": {
		Name:    "weblog",
		Summary: "a web server's access log, parsed by a WASM plugin",
		Topics:  []Topic{{Name: "access_log", File: "data/access.log", Partitions: 3}},
		Table:   "staging.web_requests",
		CountBy: "requested_at",
		Plugins: map[string]string{"plugins/parse_access_log.wasm": "plugin/parse_access_log"},
	},
}

// Names lists the examples.
func Names() []string { return slices.Sorted(maps.Keys(all)) }

// Find returns an example and its files.
func Find(name string) (Example, fs.FS, bool) {
	e, ok := all[name]
	if !ok {
		return Example{}, nil, false
	}
	below, err := fs.Sub(files, name)
	return e, below, err == nil
}
