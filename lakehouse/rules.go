//go:build !calve_mutant

package lakehouse

// rule stands at the enforcing lines of the rules marked † in ARCHITECTURE.md.
// All hold. A build with the tag calve_mutant drops the one that the
// environment names, so that tests show that each is needed.
func rule(string) bool { return true }
