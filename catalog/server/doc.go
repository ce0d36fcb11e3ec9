// Package server serves an embedded catalog by the Iceberg REST specification
// (github.com/apache/iceberg, open-api/rest-catalog-open-api.yaml), so that
// engines attach to it as they do to any REST catalog, and Calve's own commits
// take the same way.
//
// A Storage keeps the pointers; the metadata files lie in the warehouse, are
// written create-only and never changed:
//
//	<location>/metadata/<version, five digits>-<uuid>.metadata.json
//
// A table whose creator names no location gets
// <warehouse>/<namespace>/<table>-<eight hex digits>; the digits keep a table
// that is dropped and made again away from the files of its predecessor.
//
// A commit is planned on the metadata that the table has now (requirements,
// then updates), its new metadata file is written, and Storage.Swap moves the
// pointer if the table is still where it was; else the commit is planned
// again. A transaction does this for all its tables with one Swap. An error of
// the Swap that is no definite refusal is answered with
// CommitStateUnknownException (invariant 5).
//
// Not served: views, scan planning, credential vending, OAuth2. A drop with
// purgeRequested removes the table from the catalog and leaves its files. The
// endpoints that /v1/config lists are exactly those that exist.
package server
