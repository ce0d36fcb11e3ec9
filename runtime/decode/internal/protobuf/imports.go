package protobuf

import "embed"

// imports holds the files beside google/protobuf that the Confluent Schema
// Registry resolves without a reference (ProtobufSchema.KNOWN_DEPENDENCIES).
//
//go:embed imports
var imports embed.FS
