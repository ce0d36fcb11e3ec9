package daemon

import "github.com/calvelake/calve/runtime/project"

// built is the part of the project language that this version runs. The rest
// is checked by the parser and refused here, by name and place, rather than
// ignored.
func built() []project.Feature {
	var features []project.Feature
	for key, values := range map[string][]string{
		"kind":             {"staging"},
		"format":           {"json", "text", "bytes"},
		"encoding":         {"epoch_s", "epoch_ms", "epoch_us", "epoch_ns"},
		"partition_by":     {"identity", "year", "month", "day", "hour", "bucket", "truncate"},
		"profile":          {"strict"},
		"catalog":          {"embedded", "rest"},
		"materialized":     {"table"},
		"on_schema_change": {"ignore"},
		"plugin":           {"local"},
		"plugin.input":     {""},
		"plugin.adds":      {""},
	} {
		for _, value := range values {
			features = append(features, project.Feature{Key: key, Value: value})
		}
	}
	return features
}

func checkBuilt(p *project.Project) error { return project.Unbuilt(p, built()) }
