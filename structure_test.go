// Package calve_test holds the rules on the tree as a whole: who may import
// whom, who owns which third party, that packages say what they are.
package calve_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/calvelake/calve"

// mayImport is the map of ARCHITECTURE.md: what a package may import of ours,
// beside packages below itself and its own internal ones. Tests may import
// more, but only what is listed in testsMayImport.
var mayImport = map[string][]string{
	"cmd/calve":                        {"runtime/daemon", "runtime/pipeline", "runtime/project", "runtime/kafka", "runtime/record", "runtime/warehousesql", "lakehouse", "catalog", "plugins", "plugins/author", "examples"},
	"runtime/daemon":                   {"runtime/project", "runtime/pipeline", "runtime/calendar", "runtime/kafka", "runtime/decode", "runtime/decode/registry", "runtime/contract", "runtime/bridge", "runtime/dimension", "runtime/expression", "runtime/fact", "runtime/integrity", "runtime/projection", "runtime/record", "runtime/record/keyvalue", "runtime/session", "runtime/state", "runtime/upstream", "runtime/warehousesql", "runtime/watermark", "lakehouse", "lakehouse/storage", "catalog", "catalog/principal", "plugins", "plugins/wasm"},
	"runtime/project":                  {"runtime/calendar", "runtime/expression", "runtime/record"},
	"runtime/pipeline":                 {"runtime/decode", "runtime/contract", "runtime/expression", "runtime/integrity", "runtime/record", "runtime/record/keyvalue", "runtime/record/rowcodec", "runtime/watermark", "lakehouse"},
	"runtime/contract":                 {"runtime/expression", "runtime/record"},
	"runtime/session":                  {"runtime/aggregate", "runtime/expression", "runtime/projection", "runtime/record", "runtime/record/changelog", "runtime/record/eventtime", "runtime/record/keyvalue", "runtime/record/rowcodec", "runtime/upstream"},
	"runtime/dimension":                {"runtime/expression", "runtime/projection", "runtime/record", "runtime/record/changelog", "runtime/record/eventtime", "runtime/record/keyvalue", "runtime/record/keyvalue/keyspace", "runtime/record/rowcodec", "runtime/upstream"},
	"runtime/fact":                     {"runtime/aggregate", "runtime/dimension", "runtime/expression", "runtime/projection", "runtime/record", "runtime/record/changelog", "runtime/record/eventtime", "runtime/record/keyvalue", "runtime/record/keyvalue/keyspace", "runtime/record/rowcodec", "runtime/upstream"},
	"runtime/calendar":                 {"runtime/record", "runtime/record/keyvalue"},
	"runtime/integrity":                {"runtime/record", "runtime/record/keyvalue", "runtime/record/keyvalue/keyspace", "runtime/record/rowcodec"},
	"runtime/bridge":                   {"runtime/dimension", "runtime/expression", "runtime/projection", "runtime/record", "runtime/record/changelog", "runtime/record/eventtime", "runtime/record/keyvalue", "runtime/record/keyvalue/keyspace", "runtime/record/rowcodec", "runtime/upstream"},
	"runtime/projection":               {"runtime/aggregate", "runtime/expression"},
	"runtime/upstream":                 {"runtime/record", "runtime/record/keyvalue", "runtime/record/rowcodec"},
	"runtime/warehousesql":             {"runtime/record"},
	"runtime/aggregate":                {"runtime/record"},
	"runtime/expression":               {"runtime/record"},
	"runtime/kafka":                    {"runtime/record"},
	"runtime/decode":                   {"runtime/record"},
	"runtime/decode/registry":          {},
	"runtime/state":                    {"lakehouse/storage", "runtime/record/keyvalue"},
	"runtime/watermark":                {"runtime/record"},
	"runtime/record":                   {},
	"runtime/record/changelog":         {"runtime/record"},
	"runtime/record/eventtime":         {"runtime/record"},
	"runtime/record/rowcodec":          {},
	"runtime/record/keyvalue":          {},
	"runtime/record/keyvalue/keyspace": {"runtime/record/keyvalue"},
	"lakehouse":                        {"lakehouse/storage", "catalog", "runtime/record"},
	"lakehouse/storage":                {},
	"catalog":                          {"catalog/server", "catalog/sqlite", "lakehouse/storage"},
	"catalog/server":                   {"lakehouse/storage"},
	"catalog/sqlite":                   {"catalog/server"},
	"catalog/principal":                {},
	"plugins":                          {"plugins/trial", "plugins/wasm", "sdk/abi", "lakehouse/storage", "catalog/principal"},
	"plugins/author":                   {"plugins/trial", "plugins/wasm", "sdk/abi", "runtime/record"},
	"plugins/trial":                    {"plugins/wasm", "sdk/abi", "runtime/record"},
	"plugins/wasm":                     {"sdk/abi", "lakehouse/storage"},
	"sdk/abi":                          {},
	"examples":                         {"examples/athlete", "examples/marketplace"},
	"examples/athlete":                 {},
	"examples/marketplace":             {},
}

// owners lists the only packages that may import a third party, tests included
// unless the kit itself is a test double of it. Of several that fit an import
// the longest decides.
var owners = map[string][]string{
	"github.com/tetratelabs/wazero":      {"plugins/wasm"},
	"github.com/twmb/franz-go":           {"runtime/kafka"},
	"github.com/twmb/franz-go/pkg/sr":    {"runtime/decode/registry"},
	"github.com/aws/":                    {"lakehouse/storage", "catalog", "interop"},
	"github.com/cockroachdb/pebble":      {"runtime/state"},
	"github.com/klauspost/compress":      {"lakehouse"},
	"github.com/prometheus/":             {"runtime/daemon"},
	"modernc.org/sqlite":                 {"catalog/sqlite"},
	"go.yaml.in/yaml":                    {"runtime/project"},
	"github.com/spf13/cobra":             {"cmd/calve"},
	"github.com/apache/iceberg-go/table": {"lakehouse", "catalog", "compaction", "runtime/daemon"},
}

type source struct {
	file    string // relative to the root
	pkg     string // folder relative to the root
	test    bool
	imports []string
	doc     bool
}

// sources parses the imports of every Go file of this module; modules inside
// it (sdk/go, plugins of examples) have rules of their own. It reads the files
// itself: the result of `go list` in a test is cached and passes stale.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || exists(filepath.Join(name, "go.mod"))) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		s := source{file: filepath.ToSlash(name), pkg: path.Dir(filepath.ToSlash(name)), test: strings.HasSuffix(name, "_test.go"), doc: parsed.Doc != nil}
		for _, i := range parsed.Imports {
			text, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, text)
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("found %d Go files: the walk does not see the tree", len(all))
	}
	return all
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func TestPackagesImportOnlyWhatTheMapAllows(t *testing.T) {
	for _, s := range sources(t) {
		owner, ruled := ruleFor(s.pkg)
		if !ruled {
			if s.pkg != "." && !strings.HasPrefix(s.pkg, "interop") {
				t.Errorf("%s: package %s is not in the import map", s.file, s.pkg)
			}
			continue
		}
		for _, imported := range s.imports {
			ours, ok := strings.CutPrefix(imported, module+"/")
			if !ok || within(ours, owner) || s.test || isTestKit(s.pkg) {
				continue
			}
			if !slices.ContainsFunc(mayImport[owner], func(allowed string) bool { return ours == allowed }) {
				t.Errorf("%s imports %s: %s may import %v", s.file, ours, owner, mayImport[owner])
			}
		}
	}
}

// ruleFor finds the entry of the map that a package falls under: its own, or
// that of the package it is internal to or a test kit of.
func ruleFor(pkg string) (string, bool) {
	for p := pkg; p != "."; p = path.Dir(p) {
		if _, ok := mayImport[p]; ok && (p == pkg || strings.Contains(pkg, p+"/internal") || isTestKit(pkg)) {
			return p, true
		}
	}
	return "", false
}

// isTestKit: fakes and conformance suites that tests of several packages use.
func isTestKit(pkg string) bool { return strings.HasSuffix(path.Base(pkg), "test") }

func within(pkg, owner string) bool { return pkg == owner || strings.HasPrefix(pkg, owner+"/") }

func TestEachThirdPartyHasItsOwner(t *testing.T) {
	for _, s := range sources(t) {
		for _, imported := range s.imports {
			party, allowed := ownersOf(imported)
			if party == "" || s.test && party == "github.com/apache/iceberg-go/table" {
				continue
			}
			if !slices.ContainsFunc(allowed, func(owner string) bool { return within(s.pkg, owner) }) {
				t.Errorf("%s imports %s, which only %v may", s.file, imported, allowed)
			}
		}
	}
}

// ownersOf finds the longest third party that an import is of; "" if nobody
// owns it.
func ownersOf(imported string) (party string, allowed []string) {
	for p, owned := range owners {
		if strings.HasPrefix(imported, p) && len(p) > len(party) {
			party, allowed = p, owned
		}
	}
	return party, allowed
}

func TestCloudLibrariesOfIcebergStayOut(t *testing.T) {
	for _, s := range sources(t) {
		for _, imported := range s.imports {
			if strings.HasPrefix(imported, "gocloud.dev") || strings.HasPrefix(imported, "github.com/apache/iceberg-go/io/gocloud") {
				t.Errorf("%s imports %s: all file IO goes through lakehouse/storage", s.file, imported)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if !s.test {
			documented[s.pkg] = documented[s.pkg] || s.doc
		}
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("package %s has no package comment", pkg)
		}
	}
}

func TestTopLevelFoldersAreTheAgreedOnes(t *testing.T) {
	agreed := []string{"cmd", "lakehouse", "catalog", "plugins", "runtime", "compaction", "sdk", "examples", "interop", "docs", "deploy"}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && e.Name() != "bin" && !slices.Contains(agreed, e.Name()) {
			t.Errorf("top-level folder %s: agreed are %v", e.Name(), agreed)
		}
	}
}

func TestInvariantsAreCitedWhereTheyAreEnforced(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		body, err := os.ReadFile(s.file)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(body)
	}
	for n := 1; n <= 12; n++ {
		number := strconv.Itoa(n)
		if !strings.Contains(string(text), "\n"+number+". **") {
			t.Errorf("ARCHITECTURE.md does not state invariant %s", number)
		}
	}
	for _, enforced := range []string{"1", "2", "3", "4", "5", "6", "7", "10", "12"} {
		if !strings.Contains(code.String(), "(invariant "+enforced) && !strings.Contains(code.String(), "(invariants "+enforced) &&
			!strings.Contains(code.String(), "and "+enforced+")") && !strings.Contains(code.String(), ", "+enforced+")") {
			t.Errorf("no code cites invariant %s", enforced)
		}
	}
}
