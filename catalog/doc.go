// Package catalog opens an Iceberg catalog: the embedded one, or any that
// speaks the Iceberg REST protocol.
//
// Both take the same way: the embedded catalog is a catalog/server in this
// process, which the REST client talks to without a port, so that Calve's
// commits and those of engines are served by one code.
//
// Tables read and write their files through a storage.Store, with create-only
// writes, never through credentials or clients of the catalog's own.
package catalog
