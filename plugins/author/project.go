package author

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/sdk/abi"
)

// templates is what a new project is made of: common files, those of a kind, of
// a language, and of a kind in a language. NAME in a name or in a text is the
// plugin's name; a name that ends in .tmpl loses that.
//
//go:embed templates
var templates embed.FS

// Options say what New makes.
type Options struct {
	Name     string // of the plugin and of its folder
	Language Language
	Kind     string // "" is abi.KindTransform
	Parent   string // the folder that the plugin's folder is made in
}

// Kinds is what New makes plugins of.
func Kinds() []string { return []string{abi.KindTransform, abi.KindSession, abi.KindSCD} }

// New makes a folder Parent/Name with a plugin that builds and passes its tests
// without a network. It returns the folder. A folder that exists is refused.
func New(o Options) (string, error) {
	if !record.IsName(o.Name) {
		return "", fmt.Errorf("plugin name %q: expected lower-case letters, digits and _, a letter first", o.Name)
	}
	if o.Kind = cmp.Or(o.Kind, abi.KindTransform); !slices.Contains(Kinds(), o.Kind) {
		return "", fmt.Errorf("plugin kind %q: expected %s", o.Kind, listed(Kinds()))
	}
	files, err := projectFiles(o)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(o.Parent, o.Name)
	if err := os.MkdirAll(o.Parent, 0o755); err != nil {
		return "", fmt.Errorf("make folder: %w", err)
	}
	if err := os.Mkdir(dir, 0o755); errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("%s exists: choose another name, or another folder with --dir", dir)
	} else if err != nil {
		return "", fmt.Errorf("make plugin's folder: %w", err)
	}
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return "", fmt.Errorf("make folder: %w", err)
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return "", fmt.Errorf("write file: %w", err)
		}
	}
	return dir, nil
}

// readmeParts is where the README has what is of a kind or a language, and the
// files README.* that hold it.
var readmeParts = []struct{ place, file string }{{"INTRO", "intro"}, {"PART", "part"}, {"CASES", "cases"}, {"USE", "use"}}

// projectFiles is the files of a new project by name, with slashes.
func projectFiles(o Options) (map[string][]byte, error) {
	files := map[string][]byte{}
	language := string(o.Language)
	for _, from := range []string{"common", o.Kind, path.Join(language, "base"), path.Join(language, o.Kind)} {
		sub, err := fs.Sub(templates, path.Join("templates", from))
		if err != nil {
			return nil, err
		}
		err = eachFile(sub, func(name string, text []byte) {
			name = strings.TrimSuffix(strings.ReplaceAll(name, "NAME", o.Name), ".tmpl")
			if name == "gitignore" { // a name with a dot is not embedded
				name = ".gitignore"
			}
			files[name] = []byte(strings.ReplaceAll(string(text), "NAME", o.Name))
		})
		if err != nil {
			return nil, fmt.Errorf("open the template for %s: %w", o.Language, err)
		}
	}
	for _, part := range readmeParts {
		text := strings.TrimSuffix(string(files["README."+part.file]), "\n")
		files["README.md"] = []byte(strings.Replace(string(files["README.md"]), part.place, text, 1))
		delete(files, "README."+part.file)
	}
	sdk, err := SDK(o.Language)
	if err != nil {
		return nil, err
	}
	err = eachFile(sdk, func(name string, text []byte) { files["sdk/"+name] = text })
	if err != nil {
		return nil, fmt.Errorf("unpack the SDK for %s: %w", o.Language, err)
	}
	return files, nil
}

func eachFile(tree fs.FS, do func(name string, text []byte)) error {
	return fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		do(name, text)
		return nil
	})
}
