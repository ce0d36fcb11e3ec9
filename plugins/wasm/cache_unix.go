//go:build unix

package wasm

// checkPermissions: the mode of a folder says who may write to it.
const checkPermissions = true
