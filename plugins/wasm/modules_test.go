package wasm

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The modules of the SDKs are committed, so that the tests need Go alone;
// interop/sdk/check builds them again from source.
func TestCommittedModulesHaveTheirDigests(t *testing.T) {
	got := map[string]string{}
	for _, name := range committedModules(t) {
		sum := sha256.Sum256(readFile(t, filepath.Join("testdata", name)))
		got[filepath.ToSlash(name)] = hex.EncodeToString(sum[:])
	}
	if want := readSums(t); !maps.Equal(got, want) {
		t.Errorf("got %v, in SHA256SUMS it is %v: run interop/sdk/check --update", got, want)
	}
}

// committedModules is the names of the modules below testdata.
func committedModules(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, pattern := range []string{"*/*.wasm", "*/*/*.wasm"} {
		found, err := fs.Glob(os.DirFS("testdata"), pattern)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	if least := 4*len(sdkLanguages) + 2; len(names) < least {
		t.Errorf("found %d modules, want %d", len(names), least)
	}
	return names
}

func readSums(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "SHA256SUMS"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatal("testdata/SHA256SUMS is not there: run interop/sdk/check --update")
	}
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for line := range strings.Lines(string(text)) {
		var sum, name string
		if _, err := fmt.Sscan(line, &sum, &name); err != nil {
			t.Fatalf("SHA256SUMS: %q: %v", line, err)
		}
		sums[name] = sum
	}
	return sums
}
