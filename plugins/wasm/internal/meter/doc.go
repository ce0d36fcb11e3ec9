// Package meter rewrites WebAssembly modules so that they cannot run without
// bound, and refuses those whose structure alone would harm the host.
//
// wazero compiles guests to machine code that the Go scheduler cannot preempt:
// a guest that spins holds up the next garbage collection, and with it the
// process, for good. So every loop iteration and every function entry takes a
// unit from a counter of the instance, but for two exceptions: short functions
// without loops count with those that call them (inliner), and loops that are a
// jump table count the branches that lead back in the code (dispatch). When
// SliceChecks units are used the guest executes memory.grow 0, which wazero
// answers in Go, where the scheduler and the collector get their turn. The same
// exit charges a 64-bit budget and traps when it is spent or when the host asked
// to stop.
//
// A check counts more than one unit where much work lies between two: one more
// for each 128 bytes of code of the loop or function, the short functions that it
// calls included, and one for each 64 bytes or entries of a bulk operation. So a
// slice lasts at most some milliseconds whatever the guest does.
//
// The counter is a global since a local, which would have to be carried through
// every branch of a function, doubles the time of Go's guests.
//
// The rewriter appends: two types, three functions, four globals, their
// exports, and one local a function. No index of the module changes. Custom
// sections other than the names are dropped.
package meter
