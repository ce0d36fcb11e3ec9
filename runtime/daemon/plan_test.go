package daemon_test

import (
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/daemon"
)

// TestPlanRefusesWhatARunWouldRefuse: a plan compiles the decoders, with no
// broker and no schema registry, and says what a start would.
func TestPlanRefusesWhatARunWouldRefuse(t *testing.T) {
	for name, c := range map[string]struct{ format, column, want string }{
		"directive":           {"json", `{name: at, data_type: timestamptz, encoding: "strptime:%Q"}`, `column "at": encoding "strptime:%Q": directive %Q is not known; expected one of %Y`},
		"layout without year": {"json", `{name: at, data_type: timestamp, encoding: "strptime:%H:%M"}`, `column "at": encoding "strptime:%H:%M": the layout has no year`},
		"layout without day":  {"json", `{name: at, data_type: date, encoding: "strptime:%Y-%m"}`, `column "at": encoding "strptime:%Y-%m": the layout has no day of the year`},
		"layout of 12 hours":  {"json", `{name: at, data_type: timestamp, encoding: "strptime:%F %I"}`, `column "at": encoding "strptime:%F %I": %I (hours to 12) and %p (AM or PM) go together`},
		"layout's end":        {"avro", `{name: at, data_type: timestamp, encoding: "strptime:%F %"}`, `column "at": encoding "strptime:%F %": the layout ends in a single %`},
		"signed default":      {"json", `{name: n, data_type: int, default: "+5"}`, `column "n": default "+5": expected int`},
		"hexadecimal default": {"debezium-json", `{name: n, data_type: double, default: "0x1p4"}`, `column "n": default "0x1p4": expected double`},
		"infinite default":    {"debezium-avro", `{name: n, data_type: double, default: "inf"}`, `column "n": default "inf": expected double`},
		"default beyond":      {"json", `{name: n, data_type: float, default: "1e39"}`, `column "n": default "1e39": found 1e39, expected float, a number in its range`},
		"number of the value": {"json", `{name: n, data_type: int, from: kafka.value}`, `column "n": data_type int cannot be read from kafka.value of format json`},
		"encoding of the key": {"json", `{name: k, data_type: binary, from: kafka.key, encoding: hex}`, `column "k": encoding "hex": a column of kafka.key with data_type binary takes no encoding`},
		"rest twice":          {"json", "{name: n, data_type: string, from: '*'}\n  - {name: m, data_type: string, from: '*'}", `column "m": from "*" is column "n"'s already`},
	} {
		kafka := `{brokers: ["127.0.0.1:1"], schema_registry: "http://127.0.0.1:1"}`
		p := loadFormat(t, setup{kafka: kafka, columns: "  - " + c.column + "\n"}, t.TempDir(), c.format)
		_, err := daemon.MakePlan(t.Context(), p, quiet)
		if err == nil || !strings.Contains(err.Error(), "models/staging/events.yaml:1: model events: "+c.want) {
			t.Errorf("%s: got error %v, want one that says %s", name, err, c.want)
		}
	}
}
