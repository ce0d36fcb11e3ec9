//go:build poison

package vector

// poison overwrites the memory of released batches, for tests.
const poison = true
