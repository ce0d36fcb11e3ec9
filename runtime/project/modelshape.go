package project

import (
	"fmt"
	"slices"
	"time"
)

// modelShape is a document below models/ that is a model.
var modelShape = variant[Model]{
	name: "model", on: "kind", fixed: true,
	cases: []variantCase[Model]{
		{string(KindStaging), stagingShape},
		{string(KindSession), sessionShape},
		{string(KindDimension), dimensionShape},
		{string(KindFact), factShape},
		{string(KindBridge), bridgeShape},
		{string(KindMap), mapShape},
		{string(KindDate), dateShape},
	},
}

// modelFields joins the keys of every model with those of a kind.
func modelFields(groups ...[]field[Model]) []field[Model] {
	return slices.Concat(append([][]field[Model]{everyModel}, groups...)...)
}

var everyModel = []field[Model]{
	key("name", name, func(m *Model) *string { return &m.Name }, "The model's name, and its table's; unique in the project.").must(),
	key("kind", oneOf(kinds...).literal(), func(m *Model) *Kind { return &m.Kind }, "What the model makes of what it reads.").must(),
	key("description", text, func(m *Model) *string { return &m.Description }, "For people, and the table's properties."),
	key("namespace", namespace, func(m *Model) *string { return &m.given.namespace }, "The namespace of the table; that of the folder by default."),
}

// tableFields are the keys of models that read others.
var tableFields = []field[Model]{
	key("where", expressionText, func(m *Model) *string { return &m.Where }, "Rows for which it is not true are left out."),
	key("derive", expressionsShape, func(m *Model) *Expressions { return &m.Derive }, "Columns computed from others."),
	key("partition_by", shape[[]PartitionField](partitionList{}), func(m *Model) *[]PartitionField { return &m.PartitionBy }, "How the table is partitioned, as in [day(ordered_at), region, bucket(16, id)]."),
	key("sort_by", list[SortField]{of: sortField, least: 1, unique: func(f SortField) string { return f.Column }}, func(m *Model) *[]SortField { return &m.SortBy }, "How rows are sorted within files."),
	key("on_schema_change", schemaChange, func(m *Model) *OnSchemaChange { return &m.given.onSchemaChange }, "What happens on fields that the model does not declare; the folder's by default, else ignore."),
	key("contract", optional(contractShape), func(m *Model) **Contract { return &m.given.contract }, "Whether declared columns are enforced; the folder's by default, else not."),
	key("data_tests", list[Test]{of: modelTest}, func(m *Model) *[]Test { return &m.Tests }, "Tests of the table."),
}

var materializedField = key("materialized", materialized, func(m *Model) *Materialization { return &m.given.materialized }, "table, or ephemeral: only input of other models; the folder's by default, else table.")

var (
	schemaChange  = oneOf(SchemaChangeIgnore, SchemaChangeAppendNewColumns, SchemaChangeFail)
	materialized  = oneOf(MaterializedTable, MaterializedEphemeral)
	contractShape = object[Contract]{name: "contract", fields: []field[Contract]{
		key("enforced", boolean, func(c *Contract) *bool { return &c.Enforced }, "Whether declared columns are enforced.").must(),
	}}
	// namespace may depend on where a project runs, as a dbt schema does.
	namespace = named("a namespace in lower case", parseName)
)

func fromSource() field[Model] {
	return key("from", sourceRef, func(m *Model) *Ref { return &m.From }, "The topic, as source.<source>.<table>.").must()
}

func fromModel() field[Model] {
	return key("from", modelRef, func(m *Model) *Ref { return &m.From }, "The model to read, as ref.<model>.").must()
}

func selectedColumns(doc string) field[Model] {
	return key("columns", columnList(shape[Column](selectedShape), nameOf), func(m *Model) *[]Column { return &m.Columns }, doc)
}

func surrogateKey() field[Model] {
	return key("surrogate_key", newColumn, func(m *Model) *string { return &m.SurrogateKey }, "The column of the surrogate key, a hash of the key.")
}

func eventTime(doc string) field[Model] {
	return key("event_time", columnName, func(m *Model) *string { return &m.EventTime }, doc)
}

func lateness(fallback string) field[Model] {
	return key("allowed_lateness", duration, func(m *Model) *time.Duration { return &m.AllowedLateness }, "How late an event may be and still amend rows; later ones are dead letters.").or(fallback)
}

func plugin(s shape[*Plugin]) field[Model] {
	return key("plugin", s, func(m *Model) **Plugin { return &m.Plugin }, "A WASM plugin.")
}

func indexed(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }

func contains(names []string, name string) bool { return slices.Contains(names, name) }
