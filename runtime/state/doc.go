// Package state keeps what keyed models remember between epochs: an embedded
// LSM tree (pebble) on a local disk, made durable each epoch by uploading the
// files that are new, and restored on any machine from a manifest.
//
// The local folder is a cache. The truth is the manifest that the newest epoch
// record names, and the objects that the manifest names (invariant 2): whatever
// the folder holds beside them, an epoch that was never decided included, is
// put back by Open. Every local file is compared with the manifest's checksums
// before it is used again; an object that is missing or differs is ErrCorrupt,
// and the state is not opened.
//
// # Keys
//
// Each model has a number, given when it first writes and never used again. A
// key of the tree is
//
//	4 bytes   the model's number, big-endian
//	the rest  the model's own key
//
// so models never meet, and a whole model is one range. Number 0 is the
// directory of models: its key "" holds the next number, its key <model> the
// model's number and schema version.
//
// # The folder
//
//	LOCK          held while the state is open
//	live          the tree that is read and written
//	at-<digest>   the files of a manifest, hard-linked: what Rollback returns to
//	making        a checkpoint not yet uploaded
//	restore-*     files being gathered
//
// Only the two newest manifests keep a folder. Writes go without a log: what
// was not checkpointed is not wanted after a crash.
package state
