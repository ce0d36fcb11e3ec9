package wasm

// Usage is what the plugin used for one batch. The same plugin uses the same
// for the same batch, if its instance has the same past.
type Usage struct {
	// Work is the units of the budget (see abi.DefaultBudget) of all calls for
	// the batch, those that failed and abi.ExportAlloc included. The budget
	// bounds each call alone. What instances took to start is not in it.
	Work int64
	// Memory is the bytes of linear memory, which never shrinks, of the largest
	// instance that served the batch.
	Memory int64
}

// add adds what another part of the same batch used.
func (u *Usage) add(other Usage) {
	u.Work += other.Work
	u.Memory = max(u.Memory, other.Memory)
}

// cost is what one attempt used, as far as it is known, also with an error.
type cost struct {
	usage Usage
	start int64 // work of the instance's start, if this is the first that it serves
}
