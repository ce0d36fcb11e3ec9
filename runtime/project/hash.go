package project

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Hash is the SHA-256, in hex, of what the project means: it is the same
// whatever the order of keys, comments, names of files and descriptions, and
// secrets are no part of it. Values of environment variables are, where they
// are not secrets.
func (p *Project) Hash() string {
	meaning := *p
	meaning.Sources = nil
	for _, s := range p.Sources {
		meaning.Sources = append(meaning.Sources, s.meaning())
	}
	// The names of models say where each belongs: folders and their defaults
	// are in the models already.
	meaning.Defaults = nil
	meaning.Models = nil
	for i := range p.Models {
		meaning.Models = append(meaning.Models, p.Models[i].meaning())
	}
	return digest(meaning)
}

// Hash is the SHA-256, in hex, of what the model itself means, as that of a
// project. What it reads has hashes of its own.
func (m *Model) Hash() string { return digest(m.meaning()) }

// meaning is the model without what only people read.
func (m *Model) meaning() Model {
	out := *m
	out.File, out.Line, out.Description = "", 0, ""
	out.Columns = undescribed(m.Columns)
	if m.Plugin != nil {
		p := *m.Plugin
		p.Input = undescribed(p.Input)
		out.Plugin = &p
	}
	return out
}

func undescribed(columns []Column) []Column {
	var out []Column
	for _, c := range columns {
		c.Description = ""
		out = append(out, c)
	}
	return out
}

func (s Source) meaning() Source {
	s.File, s.Line, s.Description = "", 0, ""
	tables := make([]SourceTable, len(s.Tables))
	for i, t := range s.Tables {
		t.Description = ""
		tables[i] = t
	}
	s.Tables = tables
	return s
}

// digest hashes the JSON of a value: encoding/json writes struct fields in
// order of declaration and map keys in order of text.
func digest(v any) string {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("BUG: a %T has no JSON: %v", v, err))
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
