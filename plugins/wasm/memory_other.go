//go:build !unix

package wasm

import "github.com/tetratelabs/wazero/experimental"

// newAllocator returns nil: wazero then keeps linear memories on the Go heap,
// which is correct, but copies when they grow.
func newAllocator() experimental.MemoryAllocator { return nil }
