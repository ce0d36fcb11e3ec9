// Package plugins is the registry of plugins: immutable versions of modules,
// channels that name one of them, and a log of who did what, all in the
// warehouse's bucket.
//
//	Registry  versions, channels, yanks and the audit log on a storage.Store
//	Verifier  what a module must pass before it becomes a version
//	Server    the registry over HTTP, for principals with roles
//	Client    the same registry from the other end
//
// # Objects, format 1
//
// Below <warehouse>/_calve/plugins; every object is create-only JSON but for the
// modules:
//
//	blobs/sha256/<hex>.wasm                  a module, named by its content
//	names/<name>/versions/<version>.json     Version
//	names/<name>/channels/<channel>/<n>.json Promotion n, from 1, 20 digits
//	names/<name>/yanks/<version>.json        Yank
//	audit/<time>-<nonce>.json                Entry
//
// A channel is at its promotion with the highest number. The number is its
// fence: of two promoters that write n one succeeds, and the other learns who
// won. Nothing is overwritten or removed.
//
// An entry of the audit log is put before the object that it announces, which
// names the entry: so no object lacks its entry, and an entry without its object
// is something that was begun and did not happen.
//
// A put without a definite answer is repeated with the same bytes until the
// object is there, and what is there tells whose it is (invariant 5).
package plugins
