// Package protobuf decodes Protobuf messages straight into Arrow columns, by
// tables that are compiled from a writer's schema and a model's columns.
package protobuf
