package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/record"
)

// scripted answers each batch with given rows: "record.ordinal json", and
// rejects: "record code".
type scripted struct {
	rows, rejects []string
	err           error
	panics        bool
}

func (scripted) Digest() string { return "scripted" }

func (s scripted) Transform(_ context.Context, batch record.Batch) (record.Batch, []record.Reject, error) {
	if s.panics {
		panic("out of bounds")
	}
	if s.err != nil {
		return record.Batch{}, nil, s.err
	}
	out := record.Batch{Source: batch.Source, Records: []int32{}, Ordinals: []int32{}}
	var lines []string
	for _, text := range s.rows {
		place, line, _ := strings.Cut(text, " ")
		var r, ordinal int32
		if _, err := fmt.Sscanf(place, "%d.%d", &r, &ordinal); err != nil {
			return record.Batch{}, nil, err
		}
		out.Records, out.Ordinals, lines = append(out.Records, r), append(out.Ordinals, ordinal), append(lines, line)
	}
	rows, _, err := array.RecordFromJSON(memory.DefaultAllocator, shadowSchema, strings.NewReader("["+strings.Join(lines, ",")+"]"))
	if err != nil {
		return record.Batch{}, nil, err
	}
	out.Rows = rows
	var rejects []record.Reject
	for _, text := range s.rejects {
		var r int32
		var code string
		if _, err := fmt.Sscanf(text, "%d %s", &r, &code); err != nil {
			return record.Batch{}, nil, err
		}
		rejects = append(rejects, record.Reject{Record: r, Code: code, Message: "why"})
	}
	return out, rejects, nil
}

var shadowSchema = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "kind", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "share", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
}, nil)

// shadowed runs a model over four records with a shadow, for one epoch, and
// returns what was found and what the table holds.
func shadowed(t *testing.T, current, candidate pipeline.Transformer) (pipeline.Stats, []string) {
	t.Helper()
	w := &rederiver{world: newQuickWorld(t)}
	defer w.close()
	w.broker.create("events", 1)
	w.models = []modelSpec{{name: "events", topic: "events", plugin: true, declared: shadowSchema.Fields()[2:]}}
	w.produce("events", 0, `{"id":0}`, `{"id":1}`, `{"id":2}`, `{"id":3}`)
	stats := w.runOnceWith(func(c *pipeline.Config, parts *pipeline.Parts) {
		c.PollRecords = 4 // one batch
		parts.Models[0].Plugin = current
		parts.Models[0].Shadow = &pipeline.Shadow{Plugin: candidate, Ref: "by_kind@next"}
	})
	lines, err := w.showTable("events")
	if err != nil {
		t.Fatal(err)
	}
	return stats, lines
}

func TestShadowTellsWhatDiffers(t *testing.T) {
	const row = `{"id":%d,"kind":"a","share":0.5,"tags":["x"]}`
	rows := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("%d.0 "+row, i, i))
		}
		return all
	}
	for name, c := range map[string]struct {
		current, candidate scripted
		want               string
	}{
		"alike": {scripted{rows: rows(4)}, scripted{rows: rows(4)}, "equal=4"},
		"null, not a number and lists": {
			scripted{rows: []string{`0.0 {"id":0,"kind":null,"share":"NaN","tags":null}`, `1.0 {"id":1,"tags":["x",null]}`, `2.0 {"id":2,"tags":[]}`}},
			scripted{rows: []string{`0.0 {"id":0,"kind":null,"share":"NaN","tags":null}`, `1.0 {"id":1,"tags":["x",null]}`, `2.0 {"id":2,"tags":null}`}},
			`equal=2 different=1 columns=[tags:1] 2.0 tags: "[]" "(null)"`,
		},
		"columns": {
			scripted{rows: rows(2)},
			scripted{rows: []string{`0.0 {"id":0,"kind":"b","share":0.25,"tags":["x"]}`, `1.0 {"id":1,"kind":null,"share":0.5,"tags":["x"]}`}},
			`different=2 columns=[kind:2 share:1] 0.0 kind: "a" "b" 0.0 share: "0.5" "0.25" 1.0 kind: "a" "(null)"`,
		},
		"rows of one alone": {
			scripted{rows: []string{`0.0 {"id":0}`, `0.1 {"id":0}`, `2.0 {"id":2}`, `3.0 {"id":3}`}},
			scripted{rows: []string{`0.0 {"id":0}`, `1.0 {"id":1}`, `1.1 {"id":1}`, `3.0 {"id":3}`}},
			`equal=2 only_current=2 only_candidate=2 0.1 : "id=0, kind=(null), share=(null), tags=(null)" "no row" ` +
				`1.0 : "no row" "id=1, kind=(null), share=(null), tags=(null)" 1.1 : "no row" "id=1, kind=(null), share=(null), tags=(null)" ` +
				`2.0 : "id=2, kind=(null), share=(null), tags=(null)" "no row"`,
		},
		"row errors": {
			scripted{rows: []string{`0.0 {"id":0}`, `2.0 {"id":2}`}, rejects: []string{"1 bad", "3 bad"}},
			scripted{rows: []string{`0.0 {"id":0}`, `1.0 {"id":1}`, `2.0 {"id":2}`}, rejects: []string{"2 plugin_trap", "3 other"}},
			`equal=1 only_current=1 only_candidate=1 errors=2/2 1.0 : "row error bad: why" "id=1, kind=(null), share=(null), tags=(null)" ` +
				`2.0 : "id=2, kind=(null), share=(null), tags=(null)" "row error plugin_trap: why"`,
		},
		"nothing of either": {scripted{rejects: []string{"0 a", "1 a", "2 a", "3 a"}}, scripted{}, "errors=4/0"},
		"a failure":         {scripted{rows: rows(4)}, scripted{err: errors.New("instance refused to start")}, `uncompared=4 (instance refused to start)`},
		"a panic":           {scripted{rows: rows(4)}, scripted{panics: true}, `uncompared=4 (BUG: the candidate's call panicked: out of bounds)`},
	} {
		t.Run(name, func(t *testing.T) {
			stats, lines := shadowed(t, c.current, c.candidate)
			if len(stats.Shadows) != 1 || stats.Shadows[0].Model != "events" || stats.Shadows[0].Ref != "by_kind@next" || stats.Shadows[0].Digest != "scripted" {
				t.Fatalf("got %+v, want one shadow", stats.Shadows)
			}
			if got := describeDifferences(stats.Shadows[0].Differences); got != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
			}
			if len(lines) != len(c.current.rows) {
				t.Errorf("the table has %d rows, the model's own plugin made %d", len(lines), len(c.current.rows))
			}
		})
	}
}

func describeDifferences(d pipeline.Differences) string {
	var parts []string
	for _, n := range []struct {
		name  string
		count int64
	}{{"equal", d.Equal}, {"different", d.Different}, {"only_current", d.OnlyCurrent}, {"only_candidate", d.OnlyCandidate}, {"uncompared", d.Uncompared}} {
		if n.count > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", n.name, n.count))
		}
	}
	if d.Failure != "" {
		parts = append(parts, "("+d.Failure+")")
	}
	if d.CurrentErrors+d.CandidateErrors > 0 {
		parts = append(parts, fmt.Sprintf("errors=%d/%d", d.CurrentErrors, d.CandidateErrors))
	}
	if len(d.Columns) > 0 {
		var columns []string
		for _, name := range slices.Sorted(maps.Keys(d.Columns)) {
			columns = append(columns, fmt.Sprintf("%s:%d", name, d.Columns[name]))
		}
		parts = append(parts, "columns=["+strings.Join(columns, " ")+"]")
	}
	for _, e := range d.Examples {
		if e.At.String() != "events/0" {
			parts = append(parts, e.At.String())
		}
		parts = append(parts, fmt.Sprintf("%d.%d %s: %q %q", e.Offset, e.Row, e.Column, e.Current, e.Candidate))
	}
	return strings.Join(parts, " ")
}

// TestShadowCountsWhatIsCommitted lets a module on probation fail behind slices
// that its shadow has seen: what is read again is counted once.
func TestShadowCountsWhatIsCommitted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := &rederiver{world: newQuickWorld(t)}
		defer w.close()
		w.broker.create("events", 1)
		w.models = []modelSpec{{name: "events", topic: "events", plugin: true}}
		for i := range 7 {
			w.produce("events", 0, fmt.Sprintf(`{"id":%d}`, i))
		}
		former, next, shadow := &module{digest: "v1"}, &module{digest: "v2", does: "stops:5"}, &module{digest: "v3", does: "marks"}
		stats := w.runOnceWith(func(_ *pipeline.Config, parts *pipeline.Parts) {
			m := &parts.Models[0]
			m.Plugin, m.Shadow = next.plugin(false), &pipeline.Shadow{Plugin: shadow.plugin(false), Ref: "by_kind@next"}
			parts.Probations = []pipeline.Probation{{
				Candidate:    pipeline.Candidate{Ref: pluginRef, Digest: "v2", Plugins: map[string]pipeline.Plugin{"events": m.Plugin}},
				FormerDigest: "v1", Former: map[string]pipeline.Plugin{"events": former.plugin(false)},
			}}
		})
		if got := describeDifferences(stats.Shadows[0].Differences); !strings.HasPrefix(got, `different=7 columns=[kind:7] 0.0 kind: "(null)" "v3" 1.0 `) {
			t.Errorf("got %s, want 7 rows that differ", got)
		}
		if stats.Records != 7 || stats.Rows != 7 {
			t.Errorf("the run counts %d records and %d rows, want 7 of each", stats.Records, stats.Rows)
		}
		if len(stats.Swaps) != 1 || stats.Swaps[0].Outcome != pipeline.SwapRefused || stats.Swaps[0].From != "v1" || stats.Swaps[0].To != "v2" || stats.Swaps[0].Epoch != 1 {
			t.Errorf("the run tells of %+v, want that v2 was refused in epoch 1", stats.Swaps)
		}
	})
}

// bounded counts the epochs that it is told of.
type bounded struct {
	scripted
	epochs *int
}

func (b bounded) NextEpoch() { *b.epochs++ }

func TestPluginsAndShadowsAreToldOfEpochs(t *testing.T) {
	w := &rederiver{world: newQuickWorld(t)}
	defer w.close()
	w.broker.create("events", 1)
	w.models = []modelSpec{{name: "events", topic: "events", plugin: true}}
	w.produce("events", 0, `{"id":0}`, `{"id":1}`, `{"id":2}`)
	plugin, shadow := 0, 0
	stats := w.runOnceWith(func(c *pipeline.Config, parts *pipeline.Parts) {
		c.PollRecords, c.MaxBytes = 1, 1 // an epoch for each record
		parts.Models[0].Plugin = bounded{epochs: &plugin}
		parts.Models[0].Shadow = &pipeline.Shadow{Plugin: bounded{epochs: &shadow}, Ref: "by_kind@next"}
	})
	if stats.Epochs != 3 || plugin != 3 || shadow != 3 {
		t.Errorf("%d epochs, the plugin was told of %d and the shadow of %d; want 3 of each", stats.Epochs, plugin, shadow)
	}
}
