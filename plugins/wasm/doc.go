// Package wasm runs plugins: WebAssembly modules that speak the ABI of the
// package sdk/abi, on wazero, as guests that cannot read, write, block or crash
// the host or another plugin (invariant 10).
//
//	Host    one a process: the runtime and its cache of compiled modules
//	Plugin  a module: checked, metered, compiled, and what it says of itself
//	Transform  a plugin opened for a model: configured instances, made as needed
//	Session    the same of a plugin that sums up sessions; the caller keeps state
//	SCD        the same of a plugin that decides about changes to a dimension
//
// A module passes internal/meter, which bounds its structure and its running
// time, before wazero sees it; what it returns passes internal/cdata before
// arrow-go sees it. It imports only what this package offers: no clock, no
// randomness, no file, no network.
//
// After a trap, a spent budget or invalid output an instance is dropped, and the
// batch is tried in halves, until the rows at fault are alone: they come back as
// row errors, and the others as if nothing had happened.
//
// Lock order: Transform.mu is never held while a guest runs.
package wasm
