// Package bench holds the decoders of package decode to well-kept libraries:
// the same messages, the same rows, interleaved, by process CPU time. It is a
// module of its own so that none of the libraries is a dependency of Calve.
package bench
