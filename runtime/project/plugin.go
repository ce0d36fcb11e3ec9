package project

import (
	"encoding/json"
	"math"
	"regexp"
	"strings"
)

// OnError is what a plugin's failure on a row does.
type OnError string

const (
	OnErrorDeadLetter OnError = "dead_letter" // the row's record becomes a dead letter
	OnErrorStop       OnError = "stop"        // the pipeline stops
)

// Plugin is a WASM module that a model calls.
type Plugin struct {
	Ref     string // as written: name for plugins/name.wasm, name@channel for the registry
	Name    string
	Channel string          `json:",omitempty"` // channel, version or digest in the registry; "" for a local module
	Module  string          `json:"-"`          // the local module, relative to the project's folder; "" for a registry reference
	Config  json.RawMessage `json:",omitempty"` // for the plugin's init; nil for none
	Input   []Column        `json:",omitempty"` // staging: the columns that the plugin takes, if its output is the whole table
	Adds    []string        `json:",omitempty"` // the columns that the plugin adds to those it takes
	Added   []Column        `json:",omitempty"` // those of Adds with their types, in kinds whose columns have none
	OnError OnError
	Limits  PluginLimits
	// MaxErrorRatio is how much larger a share of the records that come to it a
	// new version may refuse in its first epoch than the former did. What rows
	// mean does not depend on it.
	MaxErrorRatio float64 `json:"-"`
}

// PluginLimits bound one plugin. Zero is the host's default.
type PluginLimits struct {
	Memory      int64 `json:",omitempty"` // bytes an instance may use
	CPUBudget   int64 `json:",omitempty"` // loop and call checks of one call
	OutputBytes int64 `json:",omitempty"` // bytes that one call may return
	BatchRows   int64 `json:",omitempty"` // rows handed over in one call
}

// pluginShape builds a model's plugin key: which of input and adds apply
// depends on the kind.
func pluginShape(name string, more ...field[Plugin]) shape[*Plugin] {
	fields := []field[Plugin]{
		key("ref", pluginRef, func(p *Plugin) *string { return &p.Ref }, "name for plugins/name.wasm, or name@channel for the registry.").must(),
		key("config", shape[json.RawMessage](freeform{}), func(p *Plugin) *json.RawMessage { return &p.Config }, "Handed to the plugin as JSON when it starts."),
		key("on_error", oneOf(OnErrorDeadLetter, OnErrorStop), func(p *Plugin) *OnError { return &p.OnError }, "What a failure on a row does.").or(string(OnErrorDeadLetter)),
		key("limits", limitsShape, func(p *Plugin) *PluginLimits { return &p.Limits }, "Bounds of memory, time and output; the host's by default."),
		key("max_error_ratio", ratio, func(p *Plugin) *float64 { return &p.MaxErrorRatio }, "The share of its records that a new version may refuse in its first epoch, beyond the former one's, before the former is used again; 1 for any.").or("0.01"),
	}
	return optional[Plugin](object[Plugin]{
		name: name, doc: "A WASM plugin.", fields: append(fields, more...),
		check: func(_ reader, p *Plugin) {
			p.Name, p.Channel, _ = strings.Cut(p.Ref, "@")
			for _, c := range p.Added {
				p.Adds = append(p.Adds, c.Name)
			}
		},
	})
}

var (
	pluginInput = key("input", columnList(shape[Column](columnShape), nameOf), func(p *Plugin) *[]Column { return &p.Input }, "What the plugin takes; the model's columns are then what it returns.")
	// pluginAddsTyped is for kinds whose columns follow from what they read: the
	// table is made before a plugin runs, and stays when its version changes.
	pluginAddsTyped = key("adds", columnList(shape[Column](addedShape), nameOf), func(p *Plugin) *[]Column { return &p.Added }, "The columns that the plugin adds, with their types, as in {name: is_bot, data_type: boolean}.")
	pluginAdds      = key("adds", list[string]{of: newColumn, least: 1, simple: true, unique: func(s string) string { return s }}, func(p *Plugin) *[]string { return &p.Adds }, "The columns that the plugin adds.")
)

var limitsShape = object[PluginLimits]{
	name: "plugin limits",
	fields: []field[PluginLimits]{
		key("memory", positiveSize, func(l *PluginLimits) *int64 { return &l.Memory }, "Memory of an instance."),
		key("cpu_budget", integer(1, math.MaxInt64), func(l *PluginLimits) *int64 { return &l.CPUBudget }, "Loop iterations and function calls of one call."),
		key("output_bytes", positiveSize, func(l *PluginLimits) *int64 { return &l.OutputBytes }, "What one call may return."),
		key("batch_rows", integer(1, 1<<24), func(l *PluginLimits) *int64 { return &l.BatchRows }, "Rows handed over in one call."),
	},
}

const pluginRefPattern = `^[a-z][a-z0-9_-]*(@[a-z0-9][a-z0-9._:-]*)?$`

var pluginRefText = regexp.MustCompile(pluginRefPattern)

var pluginRef = patterned("a plugin, name or name@channel", pluginRefPattern, func(text string) (string, error) {
	if pluginRefText.MatchString(text) {
		return text, nil
	}
	if base, ok := strings.CutSuffix(strings.TrimPrefix(text, "plugins/"), ".wasm"); ok && pluginRefText.MatchString(base) {
		return "", hintedError{"a plugin is named without its folder and ending", "write " + base}
	}
	return "", hintedError{"\"" + excerpt(text) + "\" is no plugin, expected name for plugins/name.wasm or name@channel for the registry", ""}
})
