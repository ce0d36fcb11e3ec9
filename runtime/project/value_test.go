package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/calvelake/calve/runtime/record"
)

func TestDefaultsFitTheirType(t *testing.T) {
	for _, c := range []struct {
		typeText  string
		good, bad []string
	}{
		{"boolean", []string{"true", "false"}, []string{"yes", "1", ""}},
		{"int", []string{"0", "-2147483648"}, []string{"2147483648", "1.0", "x"}},
		{"long", []string{"9223372036854775807"}, []string{"9223372036854775808", ""}},
		{"float", []string{"1.5", "-1e3"}, []string{"x"}},
		{"double", []string{"1.5"}, []string{"1,5"}},
		{"decimal(4,2)", []string{"12.34", "-99.99", "5"}, []string{"123.4", "1.234", "x", "1e2", "100"}},
		{"decimal(2,2)", []string{"0.12"}, []string{"1.00"}},
		{"string", []string{"", "anything"}, nil},
		{"binary", []string{"aGk="}, []string{"a"}},
		{"date", []string{"2024-02-29"}, []string{"2023-02-29", "today"}},
		{"timestamptz", []string{"2024-01-01T00:00:00Z", "2024-01-01T00:00:00.5+02:00"}, []string{"2024-01-01"}},
		{"list<int>", nil, []string{"[]"}},
	} {
		ty, err := record.ParseType(c.typeText)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range c.good {
			if err := checkDefault(ty, text); err != nil {
				t.Errorf("%s: default %q: %v", c.typeText, text, err)
			}
		}
		for _, text := range c.bad {
			if err := checkDefault(ty, text); err == nil {
				t.Errorf("%s: default %q: got no error", c.typeText, text)
			}
		}
	}
}

func TestPartitionFields(t *testing.T) {
	for text, want := range map[string]PartitionField{
		"region":            {"region", TransformIdentity, 0},
		"identity(region)":  {"region", TransformIdentity, 0},
		"day(at)":           {"at", TransformDay, 0},
		"bucket(16, id)":    {"id", TransformBucket, 16},
		"truncate(10,name)": {"name", TransformTruncate, 10},
	} {
		got, err := partitionField.parse(text)
		if err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
		if again, err := partitionField.parse(got.String()); err != nil || again != got {
			t.Errorf("%q: written as %q, which is read as %v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "day()", "day(1, a)", "bucket(id)", "bucket(0, id)", "bucket(99999999999, id)", "void(a)", "day(a", "Day(a)", "day(a.b)"} {
		if got, err := partitionField.parse(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func TestPartitionTypes(t *testing.T) {
	f := func(text, typeText string, want bool) {
		t.Helper()
		ty, err := record.ParseType(typeText)
		if err != nil {
			t.Fatal(err)
		}
		field, err := partitionField.parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := field.checkType(ty); (err == nil) != want {
			t.Errorf("%s of %s: got %v, want ok %v", text, typeText, err, want)
		}
	}
	f("a", "string", true)
	f("a", "binary", false)
	f("a", "list<int>", false)
	f("day(a)", "date", true)
	f("hour(a)", "date", false)
	f("hour(a)", "timestamp", true)
	f("year(a)", "string", false)
	f("bucket(2, a)", "decimal(10,2)", true)
	f("bucket(2, a)", "double", false)
	f("truncate(2, a)", "string", true)
	f("truncate(2, a)", "timestamptz", false)
}

func TestReferencesAreWrittenAsTheyAreRead(t *testing.T) {
	for _, r := range []Ref{{Source: "s", Table: "t"}, {Model: "m"}} {
		read := sourceRef.parse
		if r.Model != "" {
			read = modelRef.parse
		}
		if got, err := read(r.String()); err != nil || got != r {
			t.Errorf("%v: got %v, %v", r, got, err)
		}
	}
	if got := (Ref{}).String(); got != "" || !(Ref{}).IsZero() {
		t.Errorf("no reference: got %q", got)
	}
}

func TestPathsBeginAtTheProject(t *testing.T) {
	p := &Project{Dir: "/srv/shop"}
	for path, want := range map[string]string{".calve/broker": "/srv/shop/.calve/broker", "/var/ca.pem": "/var/ca.pem", "a/../b": "/srv/shop/b"} {
		if got := p.Path(path); got != filepath.FromSlash(want) {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
}

// unreadable fails to open one file.
type unreadable struct {
	fstest.MapFS
	name string
}

func (u unreadable) Open(name string) (fs.File, error) {
	if name == u.name {
		return nil, &fs.PathError{Op: "open", Path: "/secret/place/" + name, Err: fs.ErrPermission}
	}
	return u.MapFS.Open(name)
}

func (u unreadable) ReadFile(name string) ([]byte, error) {
	if name == u.name {
		return nil, &fs.PathError{Op: "open", Path: "/secret/place/" + name, Err: fs.ErrPermission}
	}
	return u.MapFS.ReadFile(name)
}

func (u unreadable) ReadDir(name string) ([]fs.DirEntry, error) {
	if name == u.name {
		return nil, &fs.PathError{Op: "open", Path: "/secret/place/" + name, Err: fs.ErrPermission}
	}
	return u.MapFS.ReadDir(name)
}

func TestFilesThatCannotBeReadAreNamed(t *testing.T) {
	files := folderOf("calve.yaml", smallProject, "models/staging/s.yaml", smallSources, "models/staging/m.yaml", smallStaging, "plugins/p.wasm", "")
	for _, name := range []string{"calve.yaml", "models/staging/s.yaml", "models/staging", "plugins"} {
		_, err := load(unreadable{files, name}, "dir", nil)
		if !errors.Is(err, fs.ErrPermission) {
			t.Fatalf("%s: got %v, want fs.ErrPermission", name, err)
		}
		if got, want := err.Error(), name+": cannot be read: permission denied"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestLoadReadsTheDisk(t *testing.T) {
	dir := t.TempDir()
	for name, body := range map[string]string{"calve.yaml": smallProject, "models/staging/s.yaml": smallSources, "models/staging/m.yaml": smallStaging} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Load(dir, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	m := mustModel(t, p, "stg_orders")
	if m.File != "models/staging/m.yaml" || m.Line != 1 || m.Namespace != "staging" || p.Dir != dir {
		t.Errorf("got %s:%d in %q, namespace %q", m.File, m.Line, p.Dir, m.Namespace)
	}
	if _, ok := p.Model("nope"); ok {
		t.Error("a model that is not there was found")
	}
	if _, ok := p.SourceTable(Ref{Source: "shop", Table: "nope"}); ok {
		t.Error("a source table that is not there was found")
	}
}

func TestFolderDefaultsTakeTheDeepest(t *testing.T) {
	staging := func(name, rest string) string {
		return "name: " + name + "\nkind: staging\nfrom: source.shop.orders\ncolumns: [{name: a, data_type: int}]\n" + rest
	}
	p := mustLoad(t, folderOf("calve.yaml", smallProject+`
models:
  raw: {namespace: raw_all, on_schema_change: fail, contract: {enforced: true}, materialized: ephemeral}
  raw/eu: {namespace: raw_eu}
`,
		"models/sources.yaml", smallSources, "models/raw/eu/m.yaml", staging("deep", ""), "models/raw/us/m.yaml", staging("shallow", ""),
		"models/top.yaml", staging("top", ""), "models/raw/own.yaml", staging("own", "namespace: mine\non_schema_change: ignore\ncontract: {enforced: false}\nmaterialized: table\n"),
		"models/raw/date.yaml", "name: cal\nkind: date\nrange: [2020-01-01, 2020-12-31]\n"), nil)
	for name, want := range map[string]string{
		"deep":    "raw_eu fail true ephemeral",
		"shallow": "raw_all fail true ephemeral",
		"top":     "a ignore false table",
		"own":     "mine ignore false table",
		"cal":     "raw_all fail true table",
	} {
		m := mustModel(t, p, name)
		if got := fmt.Sprintln(m.Namespace, m.OnSchemaChange, m.Contract.Enforced, m.Materialized); strings.TrimSpace(got) != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}
