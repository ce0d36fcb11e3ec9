package project

import (
	"strings"
	"testing"
	"testing/fstest"
)

const hashedStaging = `name: m
kind: staging
from: source.s.t
columns:
  - {name: a, data_type: int}
  - {name: b, data_type: timestamptz}
derive: {c: a + 1, d: a + 2}
partition_by: [day(b)]
`

func hashFiles() fstest.MapFS {
	return folderOf(
		"calve.yaml", "name: a\nconfig_version: 1\nconnections: {catalog: {type: rest, uri: \"http://c\", credential: \"${SECRET:-a:b}\"}}\n",
		"models/staging/s.yaml", "sources: [{name: s, tables: [{name: t, topic: x}]}]\n",
		"models/staging/m.yaml", hashedStaging,
	)
}

func TestHashKeepsWhenNothingIsMeantOtherwise(t *testing.T) {
	first := mustLoad(t, hashFiles(), nil)
	if got := first.Hash(); len(got) != 64 || strings.Trim(got, "0123456789abcdef") != "" {
		t.Errorf("got %q, want 64 hex digits", got)
	}
	f := func(what string, change func(fstest.MapFS), env ...string) {
		t.Helper()
		files := hashFiles()
		change(files)
		p := mustLoad(t, files, environment(env...))
		if got, want := p.Hash(), first.Hash(); got != want {
			t.Errorf("%s changes the project's hash", what)
		}
		if got, want := mustModel(t, p, "m").Hash(), mustModel(t, first, "m").Hash(); got != want {
			t.Errorf("%s changes the model's hash", what)
		}
	}
	f("nothing", func(fstest.MapFS) {})
	f("another secret", func(fstest.MapFS) {}, "SECRET", "other:secret")
	f("another file name", func(files fstest.MapFS) {
		files["models/staging/other.yaml"] = files["models/staging/m.yaml"]
		delete(files, "models/staging/m.yaml")
	})
	f("a move to one file", func(files fstest.MapFS) {
		files["models/staging/m.yaml"].Data = append(append(files["models/staging/m.yaml"].Data, "---\n"...), files["models/staging/s.yaml"].Data...)
		delete(files, "models/staging/s.yaml")
	})
	f("comments, the order of keys and what is a default", func(files fstest.MapFS) {
		files["models/staging/m.yaml"].Data = []byte(`# a comment
description: words
kind: staging
name: m
on_schema_change: ignore
partition_by:
  - "day(b)"   # another
derive: {d: a + 2, c: a + 1}
columns:
  - {data_type: int, name: a, description: words, nullable: true, from: a}
  - {data_type: timestamptz, name: b}
from: source.s.t
`)
	})
	f("a folder's default that says the same", func(files fstest.MapFS) {
		files["calve.yaml"].Data = append(files["calve.yaml"].Data, "models: {staging: {namespace: staging}}\n"...)
	})
}

func TestHashChangesWithMeaning(t *testing.T) {
	first := mustLoad(t, hashFiles(), nil)
	seen := map[string]string{first.Hash(): "nothing"}
	models := map[string]string{mustModel(t, first, "m").Hash(): "nothing"}
	for _, c := range [][2]string{
		{"data_type: int", "data_type: long"},
		{"name: a,", "name: z,"},
		{"{name: a, data_type: int}", "{name: a, data_type: int, nullable: false}"},
		{"{name: a, data_type: int}", "{name: a, data_type: int, default: 1}"},
		{"{name: a, data_type: int}", "{name: a, from: x.a, data_type: int}"},
		{"{name: a, data_type: int}", "{name: a, data_type: int, data_tests: [not_null]}"},
		{"c: a + 1", "c: a + 3"},
		{"day(b)", "hour(b)"},
		{"kind: staging", "kind: staging\nwhere: a > 0"},
		{"kind: staging", "kind: staging\nnamespace: raw"},
		{"kind: staging", "kind: staging\nmaterialized: ephemeral\n#"},
		{"kind: staging", "kind: staging\nevent_time: b"},
		{"kind: staging", "kind: staging\nplugin: {ref: p@stable, adds: [a]}"},
		{"kind: staging", "kind: staging\nplugin: {ref: p@stable, adds: [a], config: {x: 1}}"},
		{"kind: staging", "kind: staging\nplugin: {ref: p@stable, adds: [a], config: {x: 2}}"},
	} {
		files := hashFiles()
		body := strings.Replace(hashedStaging, c[0], c[1], 1)
		if strings.Contains(c[1], "ephemeral") {
			body = strings.Replace(body, "partition_by: [day(b)]\n", "", 1)
		}
		if c[0] == "name: a," {
			body = strings.NewReplacer("a + 1", "z + 1", "a + 2", "z + 2").Replace(body)
		}
		files["models/staging/m.yaml"].Data = []byte(body)
		p := mustLoad(t, files, nil)
		if other, ok := seen[p.Hash()]; ok {
			t.Errorf("%v: the project's hash is that of %s", c, other)
		}
		if other, ok := models[mustModel(t, p, "m").Hash()]; ok {
			t.Errorf("%v: the model's hash is that of %s", c, other)
		}
		seen[p.Hash()], models[mustModel(t, p, "m").Hash()] = c[1], c[1]
	}
	files := hashFiles()
	files["models/staging/s.yaml"].Data = []byte("sources: [{name: s, tables: [{name: t, topic: y}]}]\n")
	if other, ok := seen[mustLoad(t, files, nil).Hash()]; ok {
		t.Errorf("another topic: the project's hash is that of %s", other)
	}
}
