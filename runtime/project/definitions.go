package project

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

//go:embed schema.json
var schemaJSON []byte

// SchemaJSON returns the JSON Schema (draft 2020-12) of every YAML file of a
// project: calve.yaml, models and sources. Its definitions "project", "model"
// and "sources file" can be used on their own.
func SchemaJSON() []byte { return slices.Clone(schemaJSON) }

type jsonSchema = map[string]any

// definitions collects the objects of a JSON Schema under $defs.
type definitions struct {
	defs jsonSchema
}

// define adds an object once and returns the reference to it.
func (d *definitions) define(name string, build func() jsonSchema) jsonSchema {
	id := strings.ReplaceAll(name, " ", "_")
	if _, ok := d.defs[id]; !ok {
		d.defs[id] = nil
		d.defs[id] = build()
	}
	return jsonSchema{"$ref": "#/$defs/" + id}
}

func (d *definitions) variable() jsonSchema {
	return d.define("variable", func() jsonSchema {
		return jsonSchema{
			"description": "an environment variable, ${NAME} or ${NAME:-default}",
			"type":        "string",
			"pattern":     variablePattern,
		}
	})
}

// generateSchema builds the JSON Schema from the tables that read documents.
func generateSchema() ([]byte, error) {
	d := &definitions{defs: jsonSchema{}}
	project, sources, model := projectShape.describe(d), sourcesShape.describe(d), modelShape.describe(d)
	root := jsonSchema{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"title":       "Calve project",
		"description": "One document of a Calve project: calve.yaml, a list of sources or a model.",
		"$defs":       d.defs,
		"if":          jsonSchema{"required": []any{"config_version"}},
		"then":        project,
		"else": jsonSchema{
			"if":   jsonSchema{"required": []any{"sources"}},
			"then": sources,
			"else": model,
		},
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("encode JSON Schema: %w", err)
	}
	return out.Bytes(), nil
}
