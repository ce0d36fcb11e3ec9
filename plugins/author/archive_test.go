package author

import (
	"archive/zip"
	"bytes"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the archives of the SDKs anew")

// sdkFolder is where a language's SDK is in the tree.
func sdkFolder(l Language) string { return filepath.Join("..", "..", "sdk", string(l)) }

// ofTheSDK tells whether a file of its folder belongs to what an author needs:
// not the SDK's own tests, nor what building left.
func ofTheSDK(name string, entry fs.DirEntry) bool {
	if entry.IsDir() {
		return !slices.Contains([]string{"conformance", "node_modules", "target", "build", "tests"}, entry.Name())
	}
	base := entry.Name()
	return !strings.HasPrefix(base, ".") && !strings.HasSuffix(base, "_test.go") && !strings.HasSuffix(base, ".wasm") &&
		!slices.Contains([]string{"build", "Cargo.lock", "rustfmt.toml", "package-lock.json"}, base)
}

func sdkFiles(t *testing.T, l Language) map[string]string {
	t.Helper()
	files := map[string]string{}
	tree := os.DirFS(sdkFolder(l))
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if !ofTheSDK(name, entry) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if entry.IsDir() {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		files[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// pack is the same for the same files: in the order of names, without times.
func pack(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What is compared is the files, not the archive's bytes: these depend on the
// version of Go that compressed them.
func TestTheArchivesAreTheSDKsOfTheTree(t *testing.T) {
	for _, l := range Languages() {
		want := sdkFiles(t, l)
		if *update {
			if err := os.WriteFile(filepath.Join("archives", string(l)+".zip"), pack(t, want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got := map[string]string{}
		sdk, err := SDK(l)
		if err != nil {
			t.Fatal(err)
		}
		err = fs.WalkDir(sdk, ".", func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := fs.ReadFile(sdk, name)
			got[name] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(want) < 2 {
			t.Errorf("the SDK for %s has %d files: it is not where it should be", l, len(want))
		}
		for name, text := range want {
			if got[name] != text {
				t.Errorf("%s: %s differs from the tree: run go test ./plugins/author -update", l, name)
			}
		}
		for name := range got {
			if _, ok := want[name]; !ok {
				t.Errorf("%s: %s is not in the tree any more: run go test ./plugins/author -update", l, name)
			}
		}
	}
}
