package project

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestProjectFileProblems(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"empty", "# nothing\n", "calve.yaml: the file is empty, expected a project; begin with name and config_version: 1"},
		{"two documents", smallProject + "---\nname: b\n", "calve.yaml:4:1: expected one document; models and sources belong below models/"},
		{"version of another language", "name: a\nconfig_version: 2\n", `calve.yaml:2:17: "2" is out of range, expected an integer from 1 to 1`},
		{"variable that is not set", smallProject + "timezone: ${NOPE}\n", "calve.yaml:3:11: environment variable NOPE is not set; set it, or give a default: ${NOPE:-value}"},
		{"variable without an end", smallProject + "timezone: ${NOPE\n", "calve.yaml:3:11: ${ has no closing }; write $${ for a literal ${"},
		{"variable of a bad name", smallProject + "timezone: ${1A}\n", "calve.yaml:3:11: ${1A} is no environment variable, expected ${NAME} or ${NAME:-default}; write $${ for a literal ${"},
		{"required and empty", smallProject + "connections: {catalog: {type: rest, uri: \"${EMPTY}\"}}\n",
			`calve.yaml:3:42: "${EMPTY}" is empty, but key "uri" is required in rest catalog`},
		{"unknown time zone", smallProject + "timezone: Europe/Berlyn\n", `calve.yaml:3:11: unknown time zone "Europe/Berlyn"; use a name of the IANA time zone database, as Europe/Berlin`},
		{"folder that is not there", smallProject + "models: {mart: {namespace: m}}\n", `calve.yaml:3:10: there is no folder "mart" below models/, expected one of marts, staging; did you mean "marts"?`},
		{"interval beyond its maximum", smallProject + "commit: {interval: 10m}\n", "calve.yaml:3:9: max_interval is shorter than interval; the interval stretches up to max_interval"},
		{"embedded and brokers", smallProject + "connections: {kafka: {brokers: \"a:1\", embedded: {}}}\n", "calve.yaml:3:49: embedded and brokers exclude each other; remove one of them"},
		{"broker without a port", smallProject + "connections: {kafka: {brokers: a}}\n", `calve.yaml:3:32: "a" is no address, expected host:port`},
		{"Hadoop's scheme", smallProject + "connections: {warehouse: \"s3a://b/c\"}\n", "calve.yaml:3:26: s3a:// is read by Hadoop alone; write s3://"},
		{"half of the credentials", smallProject + "connections:\n  warehouse: {location: \"s3://b\", access_key_id: x}\n", "calve.yaml:4:14: access_key_id and secret_access_key go together; give both or neither"},
		{"key of another catalog", smallProject + "connections: {catalog: {type: glue, uri: x}}\n", `calve.yaml:3:37: unknown key "uri" in glue catalog, expected one of type, region, warehouse, timeout; "uri" belongs to type rest, type sql`},
		{"size without a unit", smallProject + "commit: {max_bytes: 512}\n", "calve.yaml:3:21: expected a size such as 64KB, 512MB or 10MiB, more than 0, found an integer; a string that looks like another type needs quotes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := problemsOf(t, "calve.yaml", c.body); got != c.want {
				t.Errorf("%s\ngot:  %s\nwant: %s", c.body, got, c.want)
			}
		})
	}
}

func TestAllProblemsAreReported(t *testing.T) {
	files := folderOf(
		"calve.yaml", "name: A\nconfig_version: 1\nprofil: strict\n",
		"models/sources.yml", "sources: []\n",
		"models/.hidden.yaml", "broken: [",
		"models/a.yaml", "name: a\nkind: date\nrange: [2020-01-01, 2020-02-30]\n---\nname: b\nkind: date\nrange: [x, y]\n",
		"models/b.yaml", "name: c\nkind: dimension\nfrom: ref.nope\nnatural_key: [x]\nsurrogate_key: 1\n",
	)
	_, err := load(files, "dir", nil)
	got := strings.Split(err.Error(), "\n")
	want := []string{
		`calve.yaml:1:7: "A" is no name, expected lower-case letters, digits and _, a letter first; use "a"`,
		`calve.yaml:3:1: unknown key "profil" in project, expected one of name, config_version, profile, connections, commit, limits, timezone, models; did you mean "profile"?`,
		`models/a.yaml:3:21: "2020-02-30" is no date, expected YYYY-MM-DD`,
		`models/a.yaml:7:9: "x" is no date, expected YYYY-MM-DD`,
		`models/a.yaml:7:12: "y" is no date, expected YYYY-MM-DD`,
		`models/b.yaml:3:7: there is no model "nope", expected one of a, b, c`,
		`models/b.yaml:5:16: expected a column name in lower case, found an integer; a string that looks like another type needs quotes`,
		`models/sources.yml: the file would be ignored: models are read from .yaml files; rename it`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAFileThatCannotBeReadHidesNoReference(t *testing.T) {
	files := folderOf("calve.yaml", smallProject,
		"models/a.yaml", "name: [\n",
		"models/b.yaml", "name: b\nkind: dimension\nfrom: ref.a\nnatural_key: [x]\nsurrogate_key: k\n")
	_, err := load(files, "dir", nil)
	if got, want := err.Error(), "models/a.yaml:2:1: no valid YAML: did not find expected node content while parsing a flow node"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCyclesAreNamed(t *testing.T) {
	dimension := func(name, from string) string {
		return "name: " + name + "\nkind: dimension\nfrom: ref." + from + "\nnatural_key: [id]\nsurrogate_key: " + name + "_key\n"
	}
	f := func(want string, pairs ...string) {
		t.Helper()
		files := fstest.MapFS{"calve.yaml": &fstest.MapFile{Data: []byte(smallProject)}}
		for i := 0; i < len(pairs); i += 2 {
			files["models/"+pairs[i]+".yaml"] = &fstest.MapFile{Data: []byte(dimension(pairs[i], pairs[i+1]))}
		}
		_, err := load(files, "dir", nil)
		if err == nil || err.Error() != want {
			t.Errorf("got:\n%v\nwant:\n%s", err, want)
		}
	}
	f("models/a.yaml:3:7: cycle among models: a → a; a model cannot read, directly or not, what it makes", "a", "a")
	f("models/a.yaml:3:7: cycle among models: a → c → b → a; a model cannot read, directly or not, what it makes", "a", "c", "b", "a", "c", "b", "d", "a")
	f("models/a.yaml:3:7: cycle among models: a → b → a; a model cannot read, directly or not, what it makes\n"+
		"models/c.yaml:3:7: cycle among models: c → d → c; a model cannot read, directly or not, what it makes", "a", "b", "b", "a", "c", "d", "d", "c")
}
