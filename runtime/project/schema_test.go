package project

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

var update = flag.Bool("update", false, "rewrite schema.json")

func TestSchemaIsThatOfTheParser(t *testing.T) {
	want, err := generateSchema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(SchemaJSON(), want) {
		t.Error("schema.json is not what the tables give; run go test ./runtime/project -run TestSchemaIsThatOfTheParser -update")
	}
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(SchemaJSON()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("project.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("project.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The corpus has one YAML document a case. The name of its file says what must
// be found: valid.yaml is accepted by schema and parser, invalid.yaml refused
// by both, and parser.yaml only by the parser, since it breaks a rule that a
// schema cannot say.
func TestSchemaAndParserAgree(t *testing.T) {
	schema := compileSchema(t)
	for _, c := range []struct {
		file           string
		schema, parser bool
	}{
		{"valid.yaml", true, true},
		{"invalid.yaml", false, false},
		{"parser.yaml", true, false},
	} {
		for i, text := range corpus(t, c.file) {
			schemaErr := schema.Validate(asJSON(t, text))
			if got := schemaErr == nil; got != c.schema {
				t.Errorf("%s, document %d: schema accepts: got %v, want %v (%v)\n%s", c.file, i+1, got, c.schema, schemaErr, text)
			}
			parserErr := readAlone(text)
			if got := parserErr == nil; got != c.parser {
				t.Errorf("%s, document %d: parser accepts: got %v, want %v (%v)\n%s", c.file, i+1, got, c.parser, parserErr, text)
			}
		}
	}
}

func TestSchemaAcceptsTheExamples(t *testing.T) {
	schema := compileSchema(t)
	seen := 0
	err := filepath.WalkDir("testdata", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" || strings.Contains(path, "corpus") {
			return err
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, text := range strings.Split(string(body), "\n---\n") {
			seen++
			if err := schema.Validate(asJSON(t, text)); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		return nil
	})
	if err != nil || seen < 10 {
		t.Errorf("walk testdata: %d documents, %v", seen, err)
	}
}

func corpus(t *testing.T, file string) []string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "corpus", file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(body)), "\n---\n")
}

// readAlone reads one document without what it refers to.
func readAlone(text string) error {
	l := &loading{errs: &problems{}, env: environment("SET", "x"), project: &Project{}}
	documents, _ := l.parse("x.yaml", []byte(text))
	for _, d := range documents {
		switch {
		case hasKey(d.root, "config_version"):
			read(l.reader(d), shape[Project](projectShape), d.root)
		case hasKey(d.root, "sources"):
			read(l.reader(d), shape[sourcesFile](sourcesShape), d.root)
		default:
			read(l.reader(d), shape[Model](modelShape), d.root)
		}
	}
	return l.errs.err()
}

// asJSON is a YAML document as an editor shows it to a schema: YAML 1.2, where
// a date is a string.
func asJSON(t *testing.T, text string) any {
	t.Helper()
	var n yaml.Node
	if err := yaml.Load([]byte(text), &n); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	d := &document{marks: map[string]mark{}}
	r := reader{doc: d, errs: &problems{}, env: func(name string) (string, bool) { return "${" + name + "}", true }}
	body, err := json.Marshal(r.freeform(n.Content[0]))
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
