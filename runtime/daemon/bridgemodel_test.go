package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/project"
)

// market is a project of livestreams with tags, whose members are mapped by a
// bridge.
func market(t *testing.T, dir, format, bridge string) *project.Project {
	t.Helper()
	visits(t, dir, "")
	for name, text := range map[string]string{
		"models/sources.yaml":         "sources:\n  - name: shop\n    format: json\n    tables:\n      - {name: events, topic: events}\n      - {name: tags, topic: tags}\n      - {name: streams, topic: streams, format: " + format + "}\n",
		"models/staging/streams.yaml": "name: stg_streams\nkind: staging\nfrom: source.shop.streams\ncolumns:\n  - {name: stream, data_type: string}\n  - {name: title, data_type: string}\n  - {name: tags, data_type: \"list<string>\"}\n  - {name: share, data_type: double}\n  - {name: at, data_type: timestamptz}\nevent_time: at\nmax_out_of_orderness: 0s\n",
		"models/staging/tags.yaml":    "name: stg_tags\nkind: staging\nfrom: source.shop.tags\ncolumns:\n  - {name: tag, data_type: string}\n  - {name: label, data_type: string}\n",
		"models/dim_streams.yaml":     "name: dim_streams\nkind: dimension\nnamespace: marts\nfrom: ref.stg_streams\nnatural_key: [stream]\nsurrogate_key: stream_key\nscd: {default: 1}\ncolumns: [title]\n",
		"models/dim_tags.yaml":        "name: dim_tags\nkind: dimension\nnamespace: marts\nfrom: ref.stg_tags\nnatural_key: [tag]\nsurrogate_key: tag_version\ndurable_key: tag_key\n",
		"models/stream_tags.yaml":     "name: stream_tags\nkind: bridge\nnamespace: marts\nfrom: ref.stg_streams\n" + bridge,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return loaded(t, dir)
}

const tagsOfStreams = `surrogate_key: stream_tag_key
unnest: {column: tags, as: tag}
foreign_keys:
  - {name: stream_key, to: ref.dim_streams, on: [stream]}
  - {name: tag_key, to: ref.dim_tags, on: [tag], durable: true}
weight: share
`

func loaded(t *testing.T, dir string) *project.Project {
	t.Helper()
	p, err := project.Load(dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// live is a livestream with its tags, minutes after noon.
func live(stream string, minute int, share float64, tags ...string) string {
	return fmt.Sprintf(`{"stream":%q,"title":"about %s","share":%v,"at":"2026-05-01T12:%02d:00Z","tags":["%s"]}`, stream, stream, share, minute, strings.Join(tags, `","`))
}

// names are the members of a dimension by a key.
func names(t *testing.T, p *project.Project, table, key, name string) []string {
	t.Helper()
	var pairs []string
	for _, row := range strings.Split(rowsOf(t, p, table, key, name), "\n") {
		k, v, _ := strings.Cut(strings.Trim(row, "[]"), " ")
		pairs = append(pairs, k, v)
	}
	return pairs
}

// wantMapped reads a bridge with the names of its members.
func wantMapped(t *testing.T, p *project.Project, want ...string) {
	t.Helper()
	named := strings.NewReplacer(append(names(t, p, "marts.dim_streams", "stream_key", "stream"), names(t, p, "marts.dim_tags", "tag_key", "tag")...)...)
	got := strings.Split(named.Replace(rowsOf(t, p, "marts.stream_tags", "stream_key", "tag_key", "weight", "valid_from", "valid_to", "is_current")), "\n")
	for i := range got {
		got[i] = strings.NewReplacer("2026-05-01T12:", "", ":00Z", "", "9999-12-31T00:00", "forever").Replace(got[i])
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got mappings\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	wantProven(t, p)
}

func TestBridgeMapsTheElementsOfAList(t *testing.T) {
	dir := t.TempDir()
	p := market(t, dir, "json", tagsOfStreams)
	produce(t, p, "events", visit(1, "ada", 0, "/"))
	produce(t, p, "tags", `{"tag":"chess","label":"Chess"}`, `{"tag":"go","label":"Go"}`)
	produce(t, p, "streams", live("s1", 10, 0.5, "chess", "go"), live("s2", 10, 1, "chess"), `{"at":"2026-05-01T12:10:00Z","tags":["go"]}`)
	mustRun(t, p)
	wantMapped(t, p, "[s1 chess 0.5 10 forever true]", "[s1 go 0.5 10 forever true]", "[s2 chess 1 10 forever true]")
	// The bridge and the dimension each set the row without a stream aside.
	if got, want := reasons(t, p), "2:null_key 2:null_key"; got != want {
		t.Errorf("reasons: got %s, want %s", got, want)
	}

	// A tag that no dimension has is inferred; a late change splits what is there.
	produce(t, p, "streams", live("s1", 30, 0.5, "chess", "poker"), live("s1", 20, 1, "go"))
	mustRun(t, p)
	wantMapped(t, p,
		"[s1 chess 0.5 10 20 false]", "[s1 chess 0.5 30 forever true]", "[s1 go 0.5 10 20 false]", "[s1 go 1 20 30 false]",
		"[s1 poker 0.5 30 forever true]", "[s2 chess 1 10 forever true]")
	if got, want := rowsOf(t, p, "marts.dim_tags", "tag", "label", "is_inferred"), "[<nil> <nil> false]\n[chess Chess false]\n[go Go false]\n[poker <nil> true]"; got != want {
		t.Errorf("got tags\n%s\nwant\n%s", got, want)
	}

	// The local copy of the state is a cache.
	if err := os.RemoveAll(filepath.Join(dir, ".calve", "state")); err != nil {
		t.Fatal(err)
	}
	produce(t, p, "streams", live("s2", 40, 1, "go"))
	mustRun(t, p)
	wantMapped(t, p,
		"[s1 chess 0.5 10 20 false]", "[s1 chess 0.5 30 forever true]", "[s1 go 0.5 10 20 false]", "[s1 go 1 20 30 false]",
		"[s1 poker 0.5 30 forever true]", "[s2 chess 1 10 40 false]", "[s2 go 1 40 forever true]")
}

func TestBridgeFollowsADatabase(t *testing.T) {
	p := market(t, t.TempDir(), "debezium-json", tagsOfStreams+"effective_at: at\nwhere: title <> 'about hidden'\n")
	produce(t, p, "events", visit(1, "ada", 0, "/"))
	produce(t, p, "tags", `{"tag":"chess","label":"Chess"}`)
	gone := live("s2", 10, 1, "chess")
	produce(t, p, "streams",
		changeEvent("c", 1, "null", live("s1", 10, 1, "chess")), changeEvent("c", 2, "null", gone), changeEvent("c", 3, "null", live("hidden", 10, 1, "chess")),
		changeEvent("u", 4, "null", strings.Replace(live("s1", 20, 1), `[""]`, `"__debezium_unavailable_value"`, 1)),
		changeEvent("d", 5, gone, "null"))
	mustRun(t, p)
	// The database deleted s2 before it says that s2 took effect: it never did.
	wantMapped(t, p, "[s1 chess 1 10 forever true]")
}

func TestBridgeThatIsAddedTakesInWhatTheTablesHold(t *testing.T) {
	dir := t.TempDir()
	market(t, dir, "json", tagsOfStreams)
	file := filepath.Join(dir, "models", "stream_tags.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	p := loaded(t, dir)
	produce(t, p, "events", visit(1, "ada", 0, "/"))
	produce(t, p, "tags", `{"tag":"chess","label":"Chess"}`)
	produce(t, p, "streams", live("s1", 10, 1, "chess", "go"))
	mustRun(t, p)
	produce(t, p, "streams", live("s1", 20, 1, "chess"))
	mustRun(t, p)
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	p = loaded(t, dir)
	mustRun(t, p)
	mustRun(t, p)
	wantMapped(t, p, "[s1 chess 1 10 forever true]", "[s1 go 1 10 20 false]")
}

func TestPlanFindsWhatIsWrongWithBridges(t *testing.T) {
	keys := func(second string) string {
		return "unnest: {column: tags, as: tag}\nforeign_keys:\n  - {name: stream_key, to: ref.dim_streams, on: [stream]}\n  - " + second + "\n"
	}
	for bridge, want := range map[string]string{
		keys("{name: tag_key, to: ref.dim_tags, on: [tag], copy: {label: label}}"):                                       "foreign_keys[1].copy (label): a bridge has the keys of members",
		keys("{name: tag_key, to: ref.dim_tags, on: [tag], at: at}"):                                                     "foreign_keys[1].at: the keys of a bridge are durable",
		keys("{name: tag_key, to: ref.dim_tags, on: [title]}"):                                                           "unnest.as: no foreign key is found by the element tag",
		keys("{name: tag_key, to: ref.dim_tags, on: [tag]}") + "weight: share / title\n":                                 "stream_tags.yaml:9:17",
		keys("{name: tag_key, to: ref.dim_tags, on: [tag]}") + "effective_at: source.ts_ms\n":                            "effective_at: source.ts_ms is part of Debezium events, which stg_streams does not read",
		keys("{name: title_key, to: ref.dim_titles, on: [tag]}"):                                                         "foreign_keys[1].to: the members of dim_titles have versions, each with its own key",
		keys("{name: day_key, to: ref.dim_date, on: [at]}"):                                                              "foreign_keys[1].to: dim_date is a date dimension",
		keys("{name: tag_key, to: ref.dim_tags, on: [tag]}") + "plugin: {ref: kit, adds: [{name: x, data_type: int}]}\n": "plugin (kit) of a bridge",
	} {
		dir := t.TempDir()
		market(t, dir, "json", tagsOfStreams)
		for name, text := range map[string]string{
			"plugins/kit.wasm":        "a module that is not opened",
			"models/dim_titles.yaml":  "name: dim_titles\nkind: dimension\nnamespace: marts\nfrom: ref.stg_streams\nnatural_key: [title]\nsurrogate_key: title_key\ncolumns: [share]\n",
			"models/dim_date.yaml":    "name: dim_date\nkind: date\nnamespace: marts\nrange: [2026-01-01, 2026-12-31]\n",
			"models/stream_tags.yaml": "name: stream_tags\nkind: bridge\nnamespace: marts\nfrom: ref.stg_streams\n" + bridge,
		} {
			if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := daemon.MakePlan(t.Context(), loaded(t, dir), quiet); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "stream_tags.yaml:") {
			t.Errorf("%s\ngot  %v\nwant %s", bridge, err, want)
		}
	}
}
