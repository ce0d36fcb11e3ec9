// Package lakehouse writes Iceberg tables in epochs: rows become data files
// (Writer), the decision to commit them becomes a record in the epoch log
// (Log), and Commit makes all tables of an epoch show it.
//
// An epoch ends in three steps, in this order:
//
//	files   Writer.Close uploads the data files      orphans if we die here
//	record  Log.Append puts the epoch record         the decision
//	commit  Lake.Commit adds one snapshot per table  repeatable, by anyone
//
// A crash before the record leaves files that no table names. A crash after it
// leaves an epoch that the next start completes from the record alone: the
// record carries the encoded manifest entries of every data file.
//
// # Keyed tables
//
// Rows of a table with a key change. A ChangeWriter writes anew the data files
// that hold a changed key (rewrite.go), found by an index in memory (index.go),
// and the commit replaces them (overwrite.go); no table of format version 2 ever has
// a delete file. What the epoch changed is a file of its own, so that a commit that
// finds other files than it was planned on is planned again (replan.go), by anyone.
//
// What that costs is kept low in four ways:
//
//	row groups   are small; one without a changed row is copied into the new file
//	             byte for byte, with the offsets of its footer entry adjusted
//	             (groupfile.go), and keeps its number in the index
//	current rows lie apart from history where Definition.Current names a column
//	             (current.go), and one that changes moves to the newest file:
//	             members that change often come to lie together
//	rows that    are taken out of the pages of a row group without decoding the
//	leave        others (droprows.go, internal/rowdrop)
//	small files  of one size are merged when they are sixteen (smallfiles.go)
//
// A table of format version 3 (Definition.Vectors) keeps its data files: a deletion
// vector takes out the rows that change (mergeonread.go), the index tells the row of
// a key (rowindex.go), and files of which half is gone are folded (fold.go).
//
// RewriteStats tell what an epoch's changes of a table cost.
//
// # Names below a warehouse
//
//	<table>/data/[<partition>/]<epoch>-<writer nonce>-<seq>.parquet
//	<table>/data/<epoch>-<writer nonce>-<seq>.puffin           a deletion vector
//	<table>/metadata/<epoch>-<committer nonce>-<seq>-m0.avro   manifests
//	<table>/metadata/snap-<snapshot id>-<seq>-<epoch>-<committer nonce>.avro
//	<table>/changes/<epoch>-<writer nonce>-<seq>.parquet       what an epoch changed in a keyed table
//	_calve/<pipeline>/epochs/<number, 20 digits>               epoch records
//	_calve/<pipeline>/floor/<number, 20 digits>                floors
//
// Every object is created once, never overwritten and never shared.
package lakehouse
