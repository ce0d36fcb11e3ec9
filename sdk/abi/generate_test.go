package abi

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/constant"
	"go/format"
	"go/parser"
	"go/token"
	"go/types"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

var update = flag.Bool("update", false, "rewrite the constants of the SDKs")

// generated is the file of each SDK that holds the constants of this package.
var generated = []struct {
	file  string
	write func([]group) ([]byte, error)
}{
	{filepath.Join("..", "go", "abi.go"), goConstants},
	{filepath.Join("..", "c", "calve_abi.h"), cConstants},
	{filepath.Join("..", "rust", "src", "abi.rs"), rustConstants},
	{filepath.Join("..", "assemblyscript", "assembly", "abi.ts"), assemblyScriptConstants},
}

func TestGeneratedConstantsAreThoseOfThisPackage(t *testing.T) {
	groups := exportedConstants(t)
	for _, g := range generated {
		want, err := g.write(groups)
		if err != nil {
			t.Fatalf("%s: %v", g.file, err)
		}
		if *update {
			if err := os.WriteFile(g.file, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(g.file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what sdk/abi gives; run go test ./sdk/abi -run TestGeneratedConstants -update", g.file)
		}
	}
}

// group is one const declaration, with the comments that it has.
type group struct {
	doc   []string
	specs []spec
}

// spec is one exported constant.
type spec struct {
	words   []string // of its name: Array, N, Buffers
	name    string
	value   constant.Value
	doc     []string
	comment string
}

// exportedConstants reads the files of this package that import nothing: others
// must not declare exported constants.
func exportedConstants(t *testing.T) []group {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Imports) == 0 {
			files = append(files, f)
			continue
		}
		for _, g := range groupsOf(f, nil) {
			t.Errorf("%s: move the constant %s to a file that imports nothing", name, g.specs[0].name)
		}
	}
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}}
	if _, err := new(types.Config).Check("abi", set, files, info); err != nil {
		t.Fatal(err)
	}
	var groups []group
	for _, f := range files {
		groups = append(groups, groupsOf(f, info.Defs)...)
	}
	return groups
}

func groupsOf(f *ast.File, defs map[*ast.Ident]types.Object) []group {
	var groups []group
	for _, d := range f.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.CONST {
			continue
		}
		g := group{doc: lines(decl.Doc)}
		for _, s := range decl.Specs {
			v := s.(*ast.ValueSpec)
			for _, name := range v.Names {
				if !name.IsExported() {
					continue
				}
				one := spec{words: words(name.Name), name: name.Name, doc: lines(v.Doc), comment: strings.Join(lines(v.Comment), " ")}
				if c, ok := defs[name].(*types.Const); ok {
					one.value = c.Val()
				}
				g.specs = append(g.specs, one)
			}
		}
		if len(g.specs) > 0 {
			groups = append(groups, g)
		}
	}
	return groups
}

func lines(c *ast.CommentGroup) []string {
	if c == nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(c.Text()), "\n")
}

// words splits a Go name: ArrayNBuffers is Array, N, Buffers; ImportWASI is
// Import, WASI.
func words(name string) []string {
	runes := []rune(name)
	var all []string
	start := 0
	for i := 1; i < len(runes); i++ {
		lowerNext := i+1 < len(runes) && unicode.IsLower(runes[i+1])
		if unicode.IsUpper(runes[i]) && (!unicode.IsUpper(runes[i-1]) || lowerNext) {
			all = append(all, string(runes[start:i]))
			start = i
		}
	}
	return append(all, string(runes[start:]))
}

func TestWordsOfNames(t *testing.T) {
	for name, want := range map[string][]string{
		"Version": {"Version"}, "ArrayNBuffers": {"Array", "N", "Buffers"}, "ImportWASI": {"Import", "WASI"},
		"BatchID": {"Batch", "ID"}, "StatusOK": {"Status", "OK"}, "KindSCD": {"Kind", "SCD"}, "WASIName": {"WASI", "Name"},
	} {
		if got := words(name); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func (s spec) upper() string { return strings.ToUpper(strings.Join(s.words, "_")) }

// literal is the value as every language here writes it.
func (s spec) literal() string {
	if s.value.Kind() == constant.String {
		return strconv.Quote(constant.StringVal(s.value))
	}
	return s.value.ExactString()
}

func (s spec) isString() bool { return s.value.Kind() == constant.String }

// fits tells whether the value fits 32 bits without a sign.
func (s spec) fits() bool {
	if s.isString() {
		return false
	}
	n, ok := constant.Uint64Val(s.value)
	return ok && n <= math.MaxUint32
}

func (s spec) isLowest() bool {
	if s.isString() {
		return false
	}
	n, ok := constant.Int64Val(s.value)
	return ok && n == math.MinInt64
}

const header = "ABI version 1, written from the package sdk/abi of Calve, which documents it, by\n// go test ./sdk/abi -run TestGeneratedConstants -update"

// language is how one language writes constants.
type language struct {
	indent string
	name   func(spec) string
	line   func(spec) string
}

// write writes what the languages have in common: comments, in which constants
// go by their name there, and a line a constant.
func (l language) write(b *bytes.Buffer, groups []group) {
	var pairs []string
	for _, g := range groups {
		for _, s := range g.specs {
			pairs = append(pairs, s.name, l.name(s))
		}
	}
	comment := func(texts []string) {
		for _, text := range texts {
			b.WriteString(strings.TrimRight(l.indent+"// "+renamed(text, pairs), " ") + "\n")
		}
	}
	for _, g := range groups {
		b.WriteByte('\n')
		comment(g.doc)
		for i, s := range g.specs {
			if len(s.doc) > 0 && i+len(g.doc) > 0 {
				b.WriteByte('\n')
			}
			comment(s.doc)
			b.WriteString(l.indent + l.line(s))
			if s.comment != "" {
				b.WriteString(" // " + renamed(s.comment, pairs))
			}
			b.WriteByte('\n')
		}
	}
}

var word = regexp.MustCompile(`\w+`)

// renamed replaces whole words of a text.
func renamed(text string, pairs []string) string {
	return word.ReplaceAllStringFunc(text, func(w string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == w {
				return pairs[i+1]
			}
		}
		return w
	})
}

func goConstants(groups []group) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("// Code generated from sdk/abi. DO NOT EDIT.\n\npackage calve\n\n// " + header + "\nconst (")
	name := func(s spec) string { return strings.ToLower(s.words[0]) + strings.Join(s.words[1:], "") }
	language{indent: "\t", name: name, line: func(s spec) string { return name(s) + " = " + s.literal() }}.write(&b, groups)
	b.WriteString(")\n")
	return format.Source(b.Bytes())
}

func cConstants(groups []group) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("// Generated from sdk/abi. Do not edit.\n//\n// " + header + "\n#ifndef CALVE_ABI_H\n#define CALVE_ABI_H\n")
	name := func(s spec) string { return "CALVE_" + s.upper() }
	language{name: name, line: func(s spec) string {
		value := s.literal()
		switch {
		case s.isLowest():
			value = "(-9223372036854775807LL - 1)"
		case s.fits():
			value += "u"
		case !s.isString():
			value = "(" + value + "LL)"
		}
		return "#define " + name(s) + " " + value
	}}.write(&b, groups)
	b.WriteString("\n#endif\n")
	return b.Bytes(), nil
}

func rustConstants(groups []group) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("// Generated from sdk/abi. Do not edit.\n//\n// " + header + "\n")
	language{name: spec.upper, line: func(s spec) string {
		return fmt.Sprintf("pub const %s: %s = %s;", s.upper(), typeName(s, "&str"), s.literal())
	}}.write(&b, groups)
	return b.Bytes(), nil
}

func assemblyScriptConstants(groups []group) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("// Generated from sdk/abi. Do not edit.\n//\n// " + header + "\n")
	language{name: spec.upper, line: func(s spec) string {
		value := s.literal()
		if s.isLowest() {
			value = "i64.MIN_VALUE"
		}
		line := fmt.Sprintf("export const %s: %s = %s;", s.upper(), typeName(s, "string"), value)
		if s.isString() { // a module holds the texts that it uses, not all
			return "// @ts-ignore: decorator\n@lazy\n" + line
		}
		return line
	}}.write(&b, groups)
	return b.Bytes(), nil
}

func typeName(s spec, text string) string {
	switch {
	case s.isString():
		return text
	case s.fits():
		return "u32"
	}
	return "i64"
}
