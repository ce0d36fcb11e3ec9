package project

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

const (
	projectFile   = "calve.yaml"
	modelsFolder  = "models"
	pluginsFolder = "plugins"
)

// Load reads the project in a folder. env looks up environment variables, as
// os.LookupEnv does.
//
// The error, if any, is of type Errors and holds every problem that was found.
// It wraps fs.ErrNotExist if there is no calve.yaml.
func Load(dir string, env func(name string) (value string, ok bool)) (*Project, error) {
	return load(os.DirFS(dir), dir, env)
}

// loading is the state of one Load.
type loading struct {
	files fs.FS
	env   func(string) (string, bool)
	errs  *problems

	project    *Project
	sources    []Source
	models     []*Model
	folders    []string // below models/
	modules    []string // plugins without .wasm
	incomplete bool     // a file or model could not be read, so that references to it cannot be judged
}

func load(files fs.FS, dir string, env func(string) (string, bool)) (*Project, error) {
	l := &loading{files: files, env: env, errs: &problems{}, project: &Project{Dir: dir}}
	if !l.readProject(dir) {
		return nil, l.errs.err()
	}
	l.readModels()
	l.readPlugins()
	l.check()
	if err := l.errs.err(); err != nil {
		return nil, err
	}
	return l.project, nil
}

func (l *loading) readProject(dir string) bool {
	body, err := fs.ReadFile(l.files, projectFile)
	if errors.Is(err, fs.ErrNotExist) {
		l.errs.add(&Error{File: projectFile, Message: fmt.Sprintf("there is no such file in %q", dir), Hint: "run calve in a project's folder, or name it with --project DIR", cause: err})
		return false
	}
	if err != nil {
		l.failFile(projectFile, "cannot be read: "+reason(err), err)
		return false
	}
	documents, ok := l.parse(projectFile, body)
	if len(documents) == 0 {
		if ok {
			l.errs.add(&Error{File: projectFile, Message: "the file is empty, expected a project", Hint: "begin with name and config_version: 1"})
		}
		return ok
	}
	for _, extra := range documents[1:] {
		l.errs.add(extra.problem("", "expected one document", "models and sources belong below models/"))
	}
	d := documents[0]
	p, _ := read(l.reader(d), shape[Project](projectShape), d.root)
	p.Dir, p.doc = dir, d
	*l.project = p
	return true
}

// readModels reads every YAML file below models/, in order of name.
func (l *loading) readModels() {
	err := fs.WalkDir(l.files, modelsFolder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			if name == modelsFolder && errors.Is(err, fs.ErrNotExist) {
				return nil // a project may have no models yet
			}
			l.failFile(name, "cannot be read: "+reason(err), err)
			return nil
		}
		hidden := strings.HasPrefix(entry.Name(), ".")
		switch {
		case entry.IsDir() && hidden:
			return fs.SkipDir
		case entry.IsDir():
			if name != modelsFolder {
				l.folders = append(l.folders, strings.TrimPrefix(name, modelsFolder+"/"))
			}
		case hidden:
		case path.Ext(name) == ".yaml":
			l.readModelFile(name)
		case path.Ext(name) == ".yml":
			l.errs.add(&Error{File: name, Message: "the file would be ignored: models are read from .yaml files", Hint: "rename it"})
		}
		return nil
	})
	if err != nil {
		panic("BUG: the walk returns no errors: " + err.Error())
	}
}

func (l *loading) readModelFile(name string) {
	body, err := fs.ReadFile(l.files, name)
	if err != nil {
		l.failFile(name, "cannot be read: "+reason(err), err)
		return
	}
	documents, _ := l.parse(name, body)
	for _, d := range documents {
		if hasKey(d.root, "sources") {
			l.readSources(d)
		} else {
			l.readModel(d)
		}
	}
}

func (l *loading) readSources(d *document) {
	before := l.errs.count()
	file, _ := read(l.reader(d), shape[sourcesFile](sourcesShape), d.root)
	if l.errs.count() > before {
		l.incomplete = true
	}
	for i := range file.sources {
		s := &file.sources[i]
		s.doc, s.path = d, indexed("sources", i)
		s.File, s.Line = d.file, d.at(s.path).line
		l.addSource(*s)
	}
}

func (l *loading) addSource(s Source) {
	for _, other := range l.sources {
		if other.Name == s.Name && s.Name != "" {
			l.errs.add(s.doc.problem(s.path+".name", fmt.Sprintf("source %q is declared twice, first in %s:%d", s.Name, other.File, other.Line), "give each its own name, or move the tables together"))
			return
		}
	}
	l.sources = append(l.sources, s)
}

func (l *loading) readModel(d *document) {
	before := l.errs.count()
	m, ok := read(l.reader(d), shape[Model](modelShape), d.root)
	m.broken = l.errs.count() > before
	if !ok || m.Name == "" {
		l.incomplete = true
		return
	}
	m.File, m.Line, m.doc = d.file, d.root.Line, d
	for _, other := range l.models {
		if other.Name == m.Name {
			l.errs.add(d.problem("name", fmt.Sprintf("model %q is declared twice, first in %s:%d", m.Name, other.File, other.Line), "give each its own name"))
			return
		}
	}
	l.models = append(l.models, &m)
}

func (l *loading) readPlugins() {
	entries, err := fs.ReadDir(l.files, pluginsFolder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.failFile(pluginsFolder, "cannot be read: "+reason(err), err)
		return
	}
	for _, e := range entries {
		if base, ok := strings.CutSuffix(e.Name(), ".wasm"); ok && !e.IsDir() {
			l.modules = append(l.modules, base)
		}
	}
}

// parse splits a file into documents, those without content left out. False
// means that it is no YAML, or uses what the language leaves out of YAML.
func (l *loading) parse(file string, body []byte) ([]*document, bool) {
	loader, err := yaml.NewLoader(bytes.NewReader(body))
	if err != nil {
		l.failFile(file, "cannot be read as YAML: "+err.Error(), err)
		return nil, false
	}
	var out []*document
	text := &fileText{strings.Split(string(body), "\n")}
	for {
		var n yaml.Node
		err := loader.Load(&n)
		if errors.Is(err, io.EOF) {
			return out, true
		}
		if err != nil {
			l.failYAML(file, err)
			return out, false
		}
		if len(n.Content) == 0 || n.Content[0].ShortTag() == "!!null" {
			continue
		}
		d := &document{file: file, text: text, root: n.Content[0], marks: map[string]mark{}}
		d.marks[""] = mark{line: d.root.Line, column: d.root.Column}
		if !l.checkSyntax(d, d.root) {
			l.incomplete = true
			continue
		}
		out = append(out, d)
	}
}

// checkSyntax refuses what makes a YAML file say something other than it shows.
func (l *loading) checkSyntax(d *document, n *yaml.Node) bool {
	message := ""
	switch {
	case n.Kind == yaml.AliasNode:
		message = "YAML aliases (*name) are not part of the project language"
	case n.Anchor != "":
		message = "YAML anchors (&name) are not part of the project language"
	case n.Style&yaml.TaggedStyle != 0:
		message = "YAML tags (!name) are not part of the project language"
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!merge":
		message = "YAML merge keys (<<) are not part of the project language"
	}
	if message != "" {
		l.errs.add(&Error{File: d.file, Line: n.Line, Column: n.Column, Message: message, Hint: "write the value out"})
		return false
	}
	ok := true
	for _, child := range n.Content {
		ok = l.checkSyntax(d, child) && ok
	}
	return ok
}

func (l *loading) reader(d *document) reader {
	env := l.env
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	return reader{doc: d, env: env, errs: l.errs}
}

func (l *loading) failFile(file, message string, cause error) {
	l.incomplete = true
	l.errs.add(&Error{File: file, Message: message, cause: cause})
}

// failYAML reports what the YAML parser found. Its message says what it
// expected and quotes nothing of the file but the names of anchors.
func (l *loading) failYAML(file string, err error) {
	l.incomplete = true
	e := &Error{File: file, Message: "no valid YAML"}
	var at *yaml.LoadError
	if errors.As(err, &at) {
		e.Line, e.Column = at.Mark.Line, at.Mark.Column
		e.Message = "no valid YAML: " + at.Message
		if at.ContextMsg != "" {
			e.Message += " " + at.ContextMsg
		}
		if at.Mark.Line == 0 && at.ContextMark.Line > 0 {
			e.Line, e.Column = at.ContextMark.Line, at.ContextMark.Column
		}
	}
	l.errs.add(e)
}

func hasKey(n *yaml.Node, name string) bool {
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		if n.Content[i].Value == name {
			return true
		}
	}
	return false
}

// reason is a file system error without the path, which the error has already.
func reason(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}

// check judges what the documents say of one another, and completes the
// project.
func (l *loading) check() {
	p := l.project
	p.Sources = l.sources
	slices.SortStableFunc(p.Sources, func(a, b Source) int { return strings.Compare(a.Name, b.Name) })
	c := &checker{project: p, errs: l.errs, models: map[string]*Model{}, sets: map[string]*columnSet{}, modules: l.modules, incomplete: l.incomplete}
	for _, m := range l.models {
		c.models[m.Name] = m
		c.of(m).applyDefaults(m)
	}
	if !l.incomplete {
		c.checkFolders(l.folders)
	}
	sorted, cyclic := order(l.models)
	for _, found := range cycles(cyclic) {
		c.of(found.first).fail(found.path, "cycle among models: "+found.String(), "a model cannot read, directly or not, what it makes")
	}
	for _, m := range slices.Concat(sorted, cyclic) {
		c.of(m).checkModel(m)
	}
	for _, m := range l.models {
		c.of(m).checkTests(m)
	}
	for _, m := range sorted {
		p.Models = append(p.Models, *m)
	}
	if p.Commit.Interval == 0 {
		p.Commit.Interval = min(defaultInterval(p.Models), p.Commit.MaxInterval)
	}
}
