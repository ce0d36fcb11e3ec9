package project

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/calvelake/calve/runtime/record"
)

var stagingShape = object[Model]{
	name: "staging model",
	doc:  "One row per event of a topic, in an append-only table.",
	fields: modelFields([]field[Model]{
		fromSource(),
		materializedField,
		key("columns", columnList(shape[Column](columnShape), nameOf), func(m *Model) *[]Column { return &m.Columns }, "The table's columns. The position columns (kafka_topic, kafka_offset, …) follow by themselves.").must(),
		key("natural_key", names(1), func(m *Model) *[]string { return &m.NaturalKey }, "Over change events of Debezium: the columns that tell the rows of the database apart. An update that changes one becomes a delete and a create."),
		key("on_truncate", oneOf(TruncateStop, TruncateIgnore), func(m *Model) *OnTruncate { return &m.OnTruncate }, "Over change events of Debezium: stop the pipeline when the source's table was truncated, or keep the rows that are gone there.").or(string(TruncateStop)),
		plugin(pluginShape("staging plugin", pluginInput, pluginAdds)),
		eventTime("The column by which time passes; the record's own timestamp by default."),
		key("max_out_of_orderness", duration, func(m *Model) *time.Duration { return &m.MaxOutOfOrderness }, "How far the watermark stays behind the newest event.").or("30s"),
		key("idle_timeout", positiveDuration, func(m *Model) *time.Duration { return &m.IdleTimeout }, "A partition silent for so long no longer holds the watermark.").or("1m"),
		key("max_future", positiveDuration, func(m *Model) *time.Duration { return &m.MaxFuture }, "An event time farther ahead of the clock does not move the watermark.").or("1h"),
	}, tableFields),
}

// checkStaging checks a staging model against its topic. It also completes the
// plugin's input.
func (c *checker) checkStaging(m *Model) {
	var table *SourceTable // nil for unknown
	if t, ok := c.project.table(m.From); ok {
		table = &t
	}
	m.Changes = table != nil && table.Format.IsDebezium()
	c.checkPluginInput(m, table)
	c.checkNaturalKey(m, table)
	if _, given := m.doc.marks["on_truncate"]; given && table != nil && !m.Changes {
		c.failChanges("on_truncate", table, "nothing tells of a truncation")
	}
	made := map[string]string{} // column → who makes it, if not the decoder
	if m.Plugin != nil && len(m.Plugin.Input) > 0 {
		for _, col := range m.Columns {
			made[col.Name] = "is returned by the plugin"
		}
		for i := range m.Plugin.Input {
			c.checkFrom(indexed("plugin.input", i), m.Plugin.Input[i], table)
		}
	}
	if m.Plugin != nil {
		for _, col := range m.Plugin.Adds {
			made[col] = "is added by the plugin"
		}
	}
	for i, col := range m.Columns {
		path := indexed("columns", i)
		if by, ok := made[col.Name]; ok {
			c.checkMade(path, col, by)
			m.Columns[i].From = ""
			continue
		}
		c.checkFrom(path, col, table)
	}
}

func (c *checker) checkMade(path string, col Column, by string) {
	for _, key := range []struct {
		name  string
		given bool
	}{{"from", col.fromGiven}, {"default", col.Default != nil}, {"encoding", col.Encoding != ""}} {
		if key.given {
			c.fail(path+"."+key.name, fmt.Sprintf("column %q %s and takes no %s", col.Name, by, key.name), "remove it, or give it to a column that the plugin takes")
		}
	}
}

// checkFrom checks that a column can come from a value of the topic's format.
func (c *checker) checkFrom(path string, col Column, table *SourceTable) {
	if table == nil {
		return
	}
	if table.Format.HasFields() {
		if col.From == restPath && !isText(col.Type) {
			c.fail(path+".from", fmt.Sprintf("column %q holds the fields that no column reads, as JSON text, and is %s", col.Name, col.TypeText), "make it a string")
		}
		return
	}
	if isKafkaPath(col.From) && !strings.HasPrefix(col.From, keyPath) {
		return
	}
	c.fail(path+".from", fmt.Sprintf("column %q is read from a value of format %s, which has no fields", col.Name, table.Format),
		"give from: kafka.value, kafka.key or kafka.header.<name>")
}

// checkNaturalKey checks that the natural key is of columns that are decoded
// from change events.
func (c *checker) checkNaturalKey(m *Model, table *SourceTable) {
	if len(m.NaturalKey) == 0 || table == nil {
		return
	}
	if !m.Changes {
		c.failChanges("natural_key", table, "nothing is done by a key")
		return
	}
	for i, name := range m.NaturalKey {
		path := indexed("natural_key", i)
		at := slices.IndexFunc(m.Input(), func(col Column) bool { return col.Name == name })
		if at < 0 {
			c.fail(path, fmt.Sprintf("there is no column %q that is decoded", name), or(didYouMean(name, columnNames(m.Input())), "declare it in columns"))
			continue
		}
		col := m.Input()[at]
		if isKafkaPath(col.From) || col.From == restPath || strings.HasPrefix(col.From, envelopePath) {
			c.fail(path, fmt.Sprintf("column %q is read from %s, which is not part of the row", name, col.From), "name columns of the row")
		}
	}
}

func (c *checker) failChanges(key string, table *SourceTable, so string) {
	c.fail(key, fmt.Sprintf("format %s is no change event of a database, so %s", table.Format, so), "remove "+key+", or change the source's format to debezium-json or debezium-avro")
}

func (c *checker) checkPluginInput(m *Model, table *SourceTable) {
	p := m.Plugin
	if p == nil {
		return
	}
	if len(p.Input) > 0 && len(p.Adds) > 0 {
		c.fail("plugin.adds", "input and adds exclude each other", "with input the plugin returns the whole table, with adds it adds columns to those decoded")
		return
	}
	for i, name := range p.Adds {
		if !hasColumn(m.Columns, name) {
			c.fail(indexed("plugin.adds", i), fmt.Sprintf("the plugin adds column %q, which is not among columns", name), or(didYouMean(name, columnNames(m.Columns)), "declare it there with its data_type"))
		}
	}
	if len(p.Input) > 0 || len(p.Adds) > 0 || table == nil {
		return
	}
	if table.Format.HasFields() {
		c.fail("plugin", fmt.Sprintf("a plugin over format %s needs input or adds", table.Format), "input: the columns it takes; adds: the columns it adds to those decoded")
		return
	}
	p.Input = []Column{wholeValue(table.Format)}
}

// wholeValue is what a plugin takes of a topic without fields if nothing else
// is said: the record's value in one column.
func wholeValue(f Format) Column {
	text := "string"
	if f == FormatBytes {
		text = "binary"
	}
	t, err := record.ParseType(text)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return Column{Name: "value", From: "kafka.value", fromGiven: true, Type: t, TypeText: text, Nullable: true}
}

func hasColumn(columns []Column, name string) bool { return contains(columnNames(columns), name) }

func columnNames(columns []Column) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = c.Name
	}
	return out
}

func or(hint, otherwise string) string {
	if hint == "" {
		return otherwise
	}
	return hint
}
