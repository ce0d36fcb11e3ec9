package meter

import "errors"

var (
	// ErrNotModule: the bytes are not a WebAssembly module, version 1.
	ErrNotModule = errors.New("not a WebAssembly module")
	// ErrInvalid: the module is malformed or uses a feature that is not
	// supported.
	ErrInvalid = errors.New("invalid WebAssembly module")
	// ErrTooLarge: the module's structure is beyond a bound.
	ErrTooLarge = errors.New("WebAssembly module exceeds a limit")
	// ErrImport: the module imports what the host does not offer.
	ErrImport = errors.New("import refused")
	// ErrStart: the module has a start section.
	ErrStart = errors.New("start section refused")
)
