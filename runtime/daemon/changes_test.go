package daemon_test

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/decode/registry"
	"github.com/calvelake/calve/runtime/decode/registry/registrytest"
	"github.com/calvelake/calve/runtime/project"
)

// loadFormat loads a setup whose source has another format.
func loadFormat(t *testing.T, s setup, dir, format string) *project.Project {
	t.Helper()
	s.write(t, dir)
	sources := "sources:\n  - name: shop\n    format: " + format + "\n    tables:\n      - {name: events, topic: events}\n"
	if err := os.WriteFile(filepath.Join(dir, "models/sources.yaml"), []byte(sources), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := project.Load(dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func changeEvent(op string, lsn int, before, after string) string {
	return fmt.Sprintf(`{"op":%q,"ts_ms":9,"source":{"connector":"postgresql","db":"shop","schema":"public","table":"events","ts_ms":1700000000123,"lsn":%d},"before":%s,"after":%s}`, op, lsn, before, after)
}

// A table over change events has the change columns between the model's own and
// those of the position.
func TestTableOfChanges(t *testing.T) {
	dir := t.TempDir()
	p := loadFormat(t, setup{model: "natural_key: [text]\npartition_by: [day(source_ts)]\n"}, dir, "debezium-json")
	produce(t, p, "events",
		changeEvent("c", 1, "null", `{"id":1,"text":"a"}`),
		changeEvent("u", 2, `{"id":1,"text":"a"}`, `{"id":1,"text":"b"}`),
		changeEvent("u", 3, "null", `{"id":1,"text":"__debezium_unavailable_value"}`),
		changeEvent("m", 4, "null", "null"),
		changeEvent("d", 5, `{"id":1,"text":"b"}`, "null"),
		changeEvent("c", 6, "null", "null"),
	)
	mustRun(t, p)
	wantColumns(t, p, "id long", "text string", "change_op string", "source_ts timestamptz", "source_sequence string", "unavailable_columns list<string>")
	got := events(t, p, "source_sequence", "kafka_row", "change_op", "id", "text", "unavailable_columns")
	want := `[00000000000000000001 0 c 1 a []]
[00000000000000000002 0 d 1 a []]
[00000000000000000002 1 c 1 b []]
[00000000000000000003 0 u 1 <nil> [text]]
[00000000000000000005 0 d 1 b []]`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	wantAccounted(t, p, 6, counts{rows: 5, letters: 1, filtered: 1})
	if _, err := daemon.Verify(t.Context(), p, quiet); err != nil {
		t.Errorf("verify: %v", err)
	}
	produce(t, p, "events", changeEvent("t", 7, "null", "null"))
	if _, err := once(t.Context(), p); err == nil || !strings.Contains(err.Error(), "shop.public.events was truncated") || !strings.Contains(err.Error(), "offset 6") {
		t.Errorf("a truncated table: got error %v, want one that names the table and the offset", err)
	}
}

// A truncation is left out where the model says so, and told once an epoch. One
// that comes up among dead letters stops no replay.
func TestTruncations(t *testing.T) {
	dir := t.TempDir()
	load := func(model string, maxBytes int) *project.Project {
		return loadFormat(t, setup{model: model}, dir, fmt.Sprintf("debezium-json\n    max_record_bytes: %dB", maxBytes))
	}
	p := load("", 10)
	produce(t, p, "events", changeEvent("c", 1, "null", `{"id":1}`), changeEvent("t", 2, "null", "null"), changeEvent("c", 3, "null", `{"id":2}`))
	mustRun(t, p)
	wantAccounted(t, p, 3, counts{letters: 3})

	p = load("", 1000)
	r := wantReplayed(t, p, lakehouse.RequestResult{Replayed: 2, Refused: 1})
	if got := refusals(t, p, r.request); len(got) != 1 || got[1] != "truncate" {
		t.Errorf("refused by offset: %v, want truncate at 1", got)
	}

	p = load("on_truncate: ignore\n", 1000)
	wantReplayed(t, p, lakehouse.RequestResult{Filtered: 1})
	produce(t, p, "events", changeEvent("t", 4, "null", "null"), changeEvent("c", 5, "null", `{"id":3}`), changeEvent("t", 6, "null", "null"))
	var log strings.Builder
	if _, err := daemon.Run(t.Context(), p, daemon.RunOptions{Once: true, Logger: slog.New(slog.NewTextHandler(&log, nil))}); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); strings.Count(text, "on_truncate") != 1 || !strings.Contains(text, "truncations=2") || !strings.Contains(text, "shop.public.events at events/0 offset 3") {
		t.Errorf("got log\n%s\nwant one line of 2 truncations, the first of shop.public.events at offset 3", text)
	}
	if got, want := events(t, p, "id"), "[1]\n[2]\n[3]"; got != want {
		t.Errorf("got rows\n%s\nwant\n%s", got, want)
	}
	if v, err := daemon.Verify(t.Context(), p, quiet); err != nil || !v.Proven {
		t.Errorf("not proven: %+v (%v)", v, err)
	}
}

// A plugin's rows keep the change columns of the rows that they come from.
func TestPluginOverChanges(t *testing.T) {
	dir := t.TempDir()
	install(t, kit, dir, "kit")
	p := loadFormat(t, setup{plugin: kitPlugin("{mode: pass}", "dead_letter"), model: "natural_key: [text]\n"}, dir, "debezium-json")
	produce(t, p, "events",
		changeEvent("c", 1, "null", `{"id":1,"text":"a"}`), changeEvent("u", 2, `{"id":1,"text":"a"}`, `{"id":1,"text":"b"}`),
		changeEvent("r", 3, "null", `{"id":2,"text":"c"}`), changeEvent("c", 4, "null", `{"id":3}`), changeEvent("d", 5, `{"id":3}`, "null"))
	mustRun(t, p)
	got := events(t, p, "source_sequence", "kafka_row", "change_op", "id", "text")
	want := `[00000000000000000001 0 c 1 a]
[00000000000000000002 0 d 1 a]
[00000000000000000002 1 c 1 b]
[00000000000000000003 0 r 2 c]
[00000000000000000004 0 c 3 <nil>]
[00000000000000000005 0 d 3 <nil>]`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Records that name their schemas are read by what the registry has, and a new
// version of a schema adds its columns.
func TestTableOfAvro(t *testing.T) {
	server := registrytest.New(t, registrytest.Options{})
	first := server.Add(t, "events-value", registry.Schema{Type: registry.Avro,
		Text: `{"type":"record","name":"E","fields":[{"name":"id","type":"long"},{"name":"text","type":"string"}]}`})
	second := server.Add(t, "events-value", registry.Schema{Type: registry.Avro,
		Text: `{"type":"record","name":"E","fields":[{"name":"id","type":"long"},{"name":"text","type":"string"},{"name":"orderId","type":"long"}]}`})
	kafka := `{embedded: {listen: "127.0.0.1:0"}, timeout: 20s, schema_registry: "` + server.URL() + `"}`
	p := loadFormat(t, setup{kafka: kafka, model: appending}, t.TempDir(), "avro")
	record := func(schema int, values ...any) string {
		b := binary.BigEndian.AppendUint32([]byte{0}, uint32(schema))
		for _, v := range values {
			switch v := v.(type) {
			case int:
				b = binary.AppendVarint(b, int64(v))
			case string:
				b = append(binary.AppendVarint(b, int64(len(v))), v...)
			}
		}
		return string(b)
	}
	produce(t, p, "events", record(first, 1, "a"), record(second, 2, "b", 7), record(999, 3, "c"), "no header")
	mustRun(t, p)
	wantColumns(t, p, "id long", "text string", "order_id long")
	if got, want := events(t, p, "id", "text", "order_id"), "[1 a <nil>]\n[2 b 7]"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	wantAccounted(t, p, 4, counts{rows: 2, letters: 2})
}

func TestFormatsWithSchemasNeedARegistry(t *testing.T) {
	for _, format := range []string{"avro", "protobuf", "debezium-avro"} {
		p := loadFormat(t, setup{}, t.TempDir(), format)
		if _, err := once(t.Context(), p); err == nil || !strings.Contains(err.Error(), "connections.kafka.schema_registry") {
			t.Errorf("%s: got error %v, want one that says what to set", format, err)
		}
	}
}
