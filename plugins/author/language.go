package author

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Language is what a plugin is written in.
type Language string

// The languages that have an SDK.
const (
	Go             Language = "go"
	Rust           Language = "rust"
	AssemblyScript Language = "assemblyscript"
	C              Language = "c"
)

// Languages is all of them.
func Languages() []Language { return []Language{Go, Rust, AssemblyScript, C} }

// ParseLanguage reads a language's name.
func ParseLanguage(name string) (Language, error) {
	if l := Language(name); slices.Contains(Languages(), l) {
		return l, nil
	}
	return "", fmt.Errorf("language %q: expected %s", name, listed(Languages()))
}

func listed[T ~string](all []T) string {
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = string(one)
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// marks is the file that tells the language of a plugin's folder, in the order
// in which they are looked for: a C file may be anywhere.
var marks = []struct {
	language Language
	pattern  string
}{
	{Go, "go.mod"},
	{Rust, "Cargo.toml"},
	{AssemblyScript, filepath.Join("assembly", "index.ts")},
	{C, "*.c"},
}

// Detect tells the language of a plugin's folder by the files in it.
func Detect(dir string) (Language, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return "", fmt.Errorf("open plugin's folder: %w", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("open plugin's folder: %w", &fs.PathError{Op: "open", Path: dir, Err: fs.ErrInvalid})
	}
	var looked []string
	for _, m := range marks {
		found, err := filepath.Glob(filepath.Join(dir, m.pattern))
		if err != nil {
			return "", fmt.Errorf("look for %s in %s: %w", m.pattern, dir, err)
		}
		if len(found) > 0 {
			return m.language, nil
		}
		looked = append(looked, m.pattern)
	}
	return "", fmt.Errorf("%s is not a plugin's folder: it has none of %s; calve plugin new makes one", dir, strings.Join(looked, ", "))
}

// ModulePath is where Build puts a folder's module by default: the folder's
// name with .wasm, in the folder itself.
func ModulePath(dir string) (string, error) {
	full, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find plugin's folder: %w", err)
	}
	return filepath.Join(dir, filepath.Base(full)+".wasm"), nil
}
