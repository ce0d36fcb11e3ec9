package project

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzLoad: no input panics; an error is of type Errors, in order, and each
// names its file.
func FuzzLoad(f *testing.F) {
	for _, name := range []string{"valid.yaml", "invalid.yaml", "parser.yaml"} {
		body, err := os.ReadFile(filepath.Join("testdata", "corpus", name))
		if err != nil {
			f.Fatal(err)
		}
		for _, text := range strings.Split(string(body), "\n---\n") {
			f.Add([]byte(smallProject), []byte(text))
			f.Add([]byte(text), []byte(smallSources))
		}
	}
	f.Add([]byte(smallProject), []byte(smallSources+"---\n"+smallStaging+"---\n"+smallCustomers))
	f.Add([]byte("name: &a [*a]\n"), []byte("{a: {b: [}"))
	f.Add([]byte(smallProject), []byte("name: x\nkind: fact\nfrom: ref.x\ngrain: [a]\nleft_join: [{to: ref.x, on: {a: a}, copy: {b: a}}]\n"))
	env := environment("A", "x", "EMPTY", "")
	f.Fuzz(func(t *testing.T, calve, models []byte) {
		files := folderOf("calve.yaml", string(calve), "models/staging/m.yaml", string(models), "plugins/parse.wasm", "")
		p, err := load(files, "dir", env)
		if err == nil {
			if len(p.Hash()) != 64 || Unbuilt(p, Features()) != nil {
				t.Fatal("a project that loads has no hash, or uses what is no feature")
			}
			return
		}
		var all Errors
		if !errors.As(err, &all) || len(all) == 0 {
			t.Fatalf("got %T, want Errors", err)
		}
		for i, one := range all {
			if one.File == "" || one.Message == "" {
				t.Fatalf("an error without a place or message: %#v", one)
			}
			if i > 0 && all[i-1].File > one.File {
				t.Fatalf("%v comes before %v", all[i-1], one)
			}
		}
	})
}
