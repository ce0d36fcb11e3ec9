// Package author is the tools of those who write plugins.
//
//	New      a project for a plugin, with the SDK inside: it builds offline
//	Build    from source to module, with the language's own toolchain
//	Check    rows that go in against rows that should come out
//	Fuzz     random rows, which must not trap and always give the same
//	Measure  how fast a plugin is, how much of its budget and memory it uses
//
// Modules run under the very host that pipelines use, plugins/wasm.
package author
