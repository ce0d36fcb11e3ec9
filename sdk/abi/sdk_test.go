package abi

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// constants type-checks files that import nothing and returns their constants.
func constants(t *testing.T, files ...string) map[string]constant.Value {
	t.Helper()
	set := token.NewFileSet()
	var parsed []*ast.File
	for _, name := range files {
		f, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
	}
	config := types.Config{}
	pkg, err := config.Check("constants", set, parsed, nil)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]constant.Value{}
	for _, name := range pkg.Scope().Names() {
		if c, ok := pkg.Scope().Lookup(name).(*types.Const); ok {
			values[name] = c.Val()
		}
	}
	return values
}

func TestGoSDKHasTheConstantsOfThisPackage(t *testing.T) {
	ours := constants(t, "names.go", "layout.go", "limits.go")
	theirs := constants(t, filepath.Join("..", "go", "abi.go"))
	for name, got := range theirs {
		want, ok := ours[strings.ToUpper(name[:1])+name[1:]]
		if !ok {
			t.Errorf("sdk/go has %s, which is not in sdk/abi", name)
		} else if !constant.Compare(got, token.EQL, want) {
			t.Errorf("sdk/go: %s is %s, in sdk/abi it is %s", name, got, want)
		}
	}
	for name := range constants(t, "layout.go") {
		if _, ok := theirs[strings.ToLower(name[:1])+name[1:]]; !ok && name != "BufferSlack" && name != "FlagDictionaryOrdered" && name != "FlagMapKeysSorted" {
			t.Errorf("sdk/go lacks %s", name)
		}
	}
}

// directive is //go:wasmexport name, or //go:wasmimport module name.
var directive = regexp.MustCompile(`^//go:wasm(export|import) (\S+)(?: (\S+))?$`)

func TestGoSDKExportsAndImportsTheNamesOfThisPackage(t *testing.T) {
	missing := map[string]bool{
		ExportMarker: true, ExportAlloc: true, ExportDescribe: true, ExportInit: true, ExportProcess: true, ExportClose: true,
		ExportAccumulate: true, ExportMerge: true, ExportFinish: true,
		ImportLog: true, ImportLogLevel: true, ImportCounter: true, ImportHistogram: true,
	}
	files, err := filepath.Glob(filepath.Join("..", "go", "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range f.Comments {
			for _, c := range group.List {
				m := directive.FindStringSubmatch(c.Text)
				if m == nil {
					continue
				}
				used := m[2]
				if m[1] == "import" {
					used = m[3]
					if m[2] != ImportModule {
						t.Errorf("%s: imports from module %q", name, m[2])
					}
				}
				if !missing[used] {
					t.Errorf("%s: %s is not a name of the ABI, or occurs twice", name, used)
				}
				delete(missing, used)
			}
		}
	}
	for name := range missing {
		t.Errorf("sdk/go lacks %s", name)
	}
}
