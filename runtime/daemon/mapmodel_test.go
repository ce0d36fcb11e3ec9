package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/project"
)

// mapped is a project of visits, whose pages a map of another topic puts into
// sections; files are further ones.
func mapped(t *testing.T, dir, format, sections string, files map[string]string) *project.Project {
	t.Helper()
	visits(t, dir, "")
	all := map[string]string{
		"models/sources.yaml":          "sources:\n  - name: shop\n    format: json\n    tables:\n      - {name: events, topic: events}\n      - {name: sections, topic: sections, format: " + format + "}\n",
		"models/staging/sections.yaml": "name: stg_sections\nkind: staging\nfrom: source.shop.sections\ncolumns:\n  - {name: page, data_type: string}\n  - {name: section, data_type: string}\n  - {name: depth, data_type: int}\n",
		"models/sections.yaml":         "name: sections\nkind: map\nnamespace: marts\nfrom: ref.stg_sections\nnatural_key: [page]\n" + sections,
	}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, err := project.Load(dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func section(page, section string, depth int) string {
	return fmt.Sprintf(`{"page":%q,"section":%q,"depth":%d}`, page, section, depth)
}

func wantRows(t *testing.T, p *project.Project, table, columns string, want ...string) {
	t.Helper()
	if got := rowsOf(t, p, table, strings.Fields(columns)...); got != strings.Join(want, "\n") {
		t.Errorf("got %s\n%s\nwant\n%s", table, got, strings.Join(want, "\n"))
	}
	wantProven(t, p)
}

func TestMapHasTheNewestRowOfAnId(t *testing.T) {
	dir := t.TempDir()
	p := mapped(t, dir, "json", "derive: {deep: depth > 1}\nwhere: depth > 0\n", nil)
	produce(t, p, "events", visit(1, "ada", 0, "/"))
	produce(t, p, "sections", section("/", "home", 1), section("/a", "news", 1), section("/a", "sport", 2), section("/b", "none", 0), `{"section":"lost","depth":1}`)
	mustRun(t, p)
	wantRows(t, p, "marts.sections", "page section depth deep", "[/ home 1 false]", "[/a sport 2 true]")
	if got, want := reasons(t, p), "4:null_key"; got != want {
		t.Errorf("reasons: got %s, want %s", got, want)
	}
	produce(t, p, "sections", section("/", "start", 1), section("/b", "shop", 3))
	mustRun(t, p)
	wantRows(t, p, "marts.sections", "page section depth deep", "[/ start 1 false]", "[/a sport 2 true]", "[/b shop 3 true]")
}

func TestMapFollowsADatabase(t *testing.T) {
	dir := t.TempDir()
	p := mapped(t, dir, "debezium-json", "columns: [section]\n", nil)
	change := func(op string, lsn int, before, after string) string {
		if before == "" {
			before = "null"
		}
		if after == "" {
			after = "null"
		}
		return changeEvent(op, lsn, before, after)
	}
	produce(t, p, "events", visit(1, "ada", 0, "/"))
	produce(t, p, "sections",
		change("c", 1, "", section("/", "home", 1)), change("c", 2, "", section("/a", "news", 1)), change("c", 3, "", section("/b", "shop", 1)),
		change("u", 6, section("/a", "news", 1), section("/a", "sport", 1)), change("u", 5, section("/a", "news", 1), section("/a", "old", 1)), // out of order
		change("d", 7, section("/b", "shop", 1), ""))
	mustRun(t, p)
	wantRows(t, p, "marts.sections", "page section", "[/ home]", "[/a sport]")
}

func TestFactsWithWhatAMapSays(t *testing.T) {
	dir := t.TempDir()
	fact := map[string]string{"models/fct_visits.yaml": "name: fct_visits\nkind: fact\nnamespace: marts\nfrom: ref.events\ngrain: [id]\nleft_join:\n  - {to: ref.sections, on: {page: page}, copy: {section: section, depth: depth}}\nderive: {labelled: \"coalesce(section, '-')\"}\ncolumns: [page, section, depth, labelled]\n"}
	p := mapped(t, dir, "json", "unknown_member: {section: Unknown}\n", fact)
	produce(t, p, "events", visit(1, "ada", 0, "/"), visit(2, "ada", 1, "/a"), visit(3, "bob", 2, "/b"))
	produce(t, p, "sections", section("/", "home", 1), `{"page":"/b","depth":2}`)
	mustRun(t, p)
	columns := "id page section depth labelled"
	wantRows(t, p, "marts.fct_visits", columns, "[1 / home 1 home]", "[2 /a Unknown <nil> Unknown]", "[3 /b <nil> 2 -]")
	produce(t, p, "sections", section("/a", "news", 5))
	mustRun(t, p)
	wantRows(t, p, "marts.fct_visits", columns, "[1 / home 1 home]", "[2 /a news 5 news]", "[3 /b <nil> 2 -]")
}

func TestMapsThatCannotBeAreRefused(t *testing.T) {
	for _, test := range []struct{ model, want string }{
		{"unknown_member: {depth: deep}\n", `models/sections.yaml:1: model sections: unknown_member: column depth: "deep" is no int`},
		{"derive: {deep: depth + section}\n", "models/sections.yaml:6"},
		{"plugin: {ref: kit, adds: [{name: x, data_type: int}]}\n", "plugin (kit) of a map"},
	} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "plugins"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "plugins", "kit.wasm"), []byte("a module that is not opened"), 0o644); err != nil {
			t.Fatal(err)
		}
		p := mapped(t, dir, "json", test.model, nil)
		if _, err := daemon.MakePlan(t.Context(), p, quiet); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got error %v, want one with %q", test.model, err, test.want)
		}
	}
}
