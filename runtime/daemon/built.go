package daemon

import (
	"errors"

	"github.com/calvelake/calve/runtime/project"
)

// built is the part of the project language that this version runs. The rest
// is checked by the parser and refused here, by name and place, rather than
// ignored.
func built() []project.Feature {
	var features []project.Feature
	for key, values := range map[string][]string{
		"kind":             {"staging", "session", "date", "dimension", "fact", "bridge", "map"},
		"format":           {"json", "confluent-json", "text", "bytes", "avro", "protobuf", "debezium-json", "debezium-avro"},
		"encoding":         encodings,
		"schema_registry":  {""},
		"partition_by":     {"identity", "year", "month", "day", "hour", "bucket", "truncate"},
		"profile":          {"strict", "v3-dv"},
		"limits":           {"max_dead_ratio", "memory"},
		"catalog":          {"embedded", "rest"},
		"materialized":     {"table"},
		"on_schema_change": {"ignore", "append_new_columns", "fail"},
		"where":            {""},
		"derive":           {""},
		"data_tests":       {"not_null", "accepted_values", "accepted_range", "expression_is_true", "unique", "relationships"},
		"contract":         {""},
		"freshness":        {""},
		"plugin":           {"local", "registry"},
		"plugin.input":     {""},
		"plugin.adds":      {""},

		"event_time": {""}, "max_out_of_orderness": {""}, "idle_timeout": {""}, "max_future": {""},
	} {
		for _, value := range values {
			features = append(features, project.Feature{Key: key, Value: value})
		}
	}
	return features
}

// encodings are all of the language.
var encodings = []string{
	"epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "base64", "hex", "strptime",
	"connect.decimal", "connect.date", "connect.time", "connect.timestamp",
	"debezium.date", "debezium.time", "debezium.micro_time", "debezium.nano_time",
	"debezium.timestamp", "debezium.micro_timestamp", "debezium.nano_timestamp",
	"debezium.zoned_timestamp", "debezium.zoned_time", "debezium.variable_scale_decimal",
}

func checkBuilt(p *project.Project) error {
	if err := project.Unbuilt(p, built()); err != nil {
		return err
	}
	return errors.Join(checkEvolves(p), checkRegistry(p))
}
