// Package registry finds the schemas that records name by id in a
// Confluent-compatible schema registry.
package registry

import "errors"

// Type is the language of a schema.
type Type string

// The types of schemas that a registry has.
const (
	Avro     Type = "AVRO"
	Protobuf Type = "PROTOBUF"
	JSON     Type = "JSON"
)

// Schema is one schema with all that it refers to.
type Schema struct {
	ID   int
	Type Type
	Text string
	// References are the schemas that Text, or another reference, imports by
	// name: every one once, those that others need before them.
	References []Reference
}

// Reference is a schema that another imports.
type Reference struct {
	Name string // as the importing schema names it: a file of Protobuf, a full name of Avro
	Text string
}

// ErrUnknown: the registry does not have the schema. The record that names it
// is at fault; any other error is the registry's.
var ErrUnknown = errors.New("the schema registry has no such schema")
