package project

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/calvelake/calve/runtime/record"
)

// Column is a column of a model. In models other than staging only Name,
// Description and Tests are set: the type follows from what the model reads.
type Column struct {
	Name        string
	From        string         // path into the value, kafka.key, kafka.key.<path>, kafka.value, kafka.header.<name>, debezium.<path> or *; "" for what a plugin makes
	Type        arrow.DataType `json:"-"`
	TypeText    string         `json:",omitempty"` // of Type, as record.FormatType writes it
	Description string         `json:",omitempty"`
	Nullable    bool
	Default     *string `json:",omitempty"` // for a missing or null value, as text
	Encoding    string  `json:",omitempty"` // how the value holds the type; "" for the format's own way
	Tests       []Test  `json:",omitempty"`

	// fromGiven tells from: x from the default.
	fromGiven bool
}

// Expression is a named expression of the project language, as text.
type Expression struct {
	Name string
	Text string
}

// Expressions keep the order of the file for the columns they make; the order
// has no other meaning.
type Expressions []Expression

// MarshalJSON gives an object, so that the order does not show.
func (e Expressions) MarshalJSON() ([]byte, error) {
	out := make(map[string]string, len(e))
	for _, one := range e {
		out[one.Name] = one.Text
	}
	return json.Marshal(out)
}

var expressionsShape = convert(shape[[]entry[string]](mapping[string]{newColumn, expressionText}), func(entries []entry[string]) Expressions {
	out := make(Expressions, len(entries))
	for i, e := range entries {
		out[i] = Expression{Name: e.key, Text: e.value}
	}
	return out
})

// columnShape is a column that is decoded: it has a type.
var columnShape = object[Column]{
	name: "column",
	doc:  "A column with its type, and where in the record it comes from.",
	fields: []field[Column]{
		key("name", newColumn, func(c *Column) *string { return &c.Name }, "The column's name.").must(),
		key("from", columnPath, func(c *Column) *string { return &c.From }, "Path into the value, as user.address.city; or kafka.key, kafka.key.<path>, kafka.value, kafka.header.<name>; debezium.<path> of a change event; * for all fields that no column reads. The column's name by default."),
		key("data_type", dataType, func(c *Column) *string { return &c.TypeText }, "The type of the column in the table.").must(),
		key("description", text, func(c *Column) *string { return &c.Description }, "For people, and the table's schema."),
		key("nullable", boolean, func(c *Column) *bool { return &c.Nullable }, "false: a record without a value becomes a dead letter.").or("true"),
		key("default", optional(anyScalar), func(c *Column) **string { return &c.Default }, "The value when it is missing or null."),
		key("encoding", encoding, func(c *Column) *string { return &c.Encoding }, "How the value holds the type, as epoch_ms or debezium.micro_timestamp; strptime:<layout> for custom times."),
		key("data_tests", list[Test]{of: columnTest}, func(c *Column) *[]Test { return &c.Tests }, "Tests of the column."),
	},
	check: checkColumn,
}

func checkColumn(r reader, c *Column) {
	t, err := record.ParseType(c.TypeText)
	if err != nil {
		panic("BUG: a canonical type does not parse: " + err.Error())
	}
	c.Type = t
	c.fromGiven = c.From != ""
	if !c.fromGiven {
		c.From = c.Name
	}
	for i := range c.Tests {
		c.Tests[i].Columns = []string{c.Name}
	}
	if allowed := encodingTypes(c.Encoding); c.Encoding != "" && !allowed(t) {
		r.failAt("encoding", fmt.Sprintf("encoding %s does not hold a %s", r.doc.quote(r.key("encoding").path, c.Encoding), c.TypeText), "change one of them")
	}
	if c.Default == nil {
		return
	}
	if err := checkDefault(t, *c.Default); err != nil {
		r.failAt("default", fmt.Sprintf("default %s is no %s", r.doc.quote(r.key("default").path, *c.Default), c.TypeText), err.Error())
	}
}

// selectedShape is a column that the model's input or operator makes: named
// alone, or with a description and tests.
var selectedShape = either[Column]{
	short: convert(shape[string](columnName), func(s string) Column { return Column{Name: s, Nullable: true} }),
	long: object[Column]{
		name:  "selected column",
		doc:   "A column of the table, with a description and tests.",
		start: func(c *Column) { c.Nullable = true },
		fields: []field[Column]{
			key("name", columnName, func(c *Column) *string { return &c.Name }, "The column's name.").must(),
			key("description", text, func(c *Column) *string { return &c.Description }, "For people, and the table's schema."),
			key("data_tests", list[Test]{of: columnTest}, func(c *Column) *[]Test { return &c.Tests }, "Tests of the column."),
		},
		check: func(_ reader, c *Column) {
			for i := range c.Tests {
				c.Tests[i].Columns = []string{c.Name}
			}
		},
	},
}

// addedShape is a column that a plugin adds to what the host computes.
var addedShape = object[Column]{
	name:  "added column",
	doc:   "A column that the plugin adds.",
	start: func(c *Column) { c.Nullable = true },
	fields: []field[Column]{
		key("name", newColumn, func(c *Column) *string { return &c.Name }, "The column's name.").must(),
		key("data_type", dataType, func(c *Column) *string { return &c.TypeText }, "The type of the column in the table.").must(),
		key("description", text, func(c *Column) *string { return &c.Description }, "For people, and the table's schema."),
	},
	check: func(_ reader, c *Column) {
		t, err := record.ParseType(c.TypeText)
		if err != nil {
			panic("BUG: a canonical type does not parse: " + err.Error())
		}
		c.Type = t
	},
}

func columnList[T any](of shape[T], name func(T) string) list[T] {
	return list[T]{of: of, least: 1, unique: name}
}

func nameOf(c Column) string { return c.Name }

// The sources of a column that are not paths into the value.
const (
	restPath     = "*"
	keyPath      = "kafka.key."
	envelopePath = "debezium."
)

// columnPath is a dotted path, or a part of the Kafka record.
var columnPath = patterned("a path such as user.city, or kafka.key, kafka.key.<path>, kafka.value, kafka.header.<name>, *", `^[^.]+(\.[^.]+)*$`, func(text string) (string, error) {
	if slices.Contains(strings.Split(text, "."), "") {
		return "", fmt.Errorf("%q is no path: a part of it is empty", excerpt(text))
	}
	if strings.HasPrefix(text, "kafka.") && !isKafkaPath(text) {
		return "", hintedError{fmt.Sprintf("%q is no part of a Kafka record, expected kafka.key, kafka.key.<path>, kafka.value or kafka.header.<name>", excerpt(text)),
			didYouMean(text, []string{"kafka.key", "kafka.value", "kafka.header"})}
	}
	return text, nil
})

func isKafkaPath(text string) bool {
	header, ok := strings.CutPrefix(text, "kafka.header.")
	return text == "kafka.key" || text == "kafka.value" || ok && header != "" || strings.HasPrefix(text, keyPath)
}
