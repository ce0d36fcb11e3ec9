package wasm

import (
	"errors"

	"github.com/calvelake/calve/plugins/wasm/internal/cdata"
	"github.com/calvelake/calve/plugins/wasm/internal/meter"
)

// Errors of Compile: the module cannot be used as a plugin.
var (
	// ErrNotModule: the bytes are not a WebAssembly module.
	ErrNotModule = meter.ErrNotModule
	// ErrInvalidModule: the module is malformed or uses a feature that is off.
	ErrInvalidModule = meter.ErrInvalid
	// ErrModuleTooLarge: the module's structure is beyond a bound, its initial
	// memory beyond the limit included.
	ErrModuleTooLarge = meter.ErrTooLarge
	// ErrRefusedImport: the module imports what is not offered to plugins.
	ErrRefusedImport = meter.ErrImport
	// ErrStartSection: the module has a start section.
	ErrStartSection = meter.ErrStart
	// ErrMissingExport: the module lacks an export of the ABI, or has it with
	// another type.
	ErrMissingExport = errors.New("missing export")
	// ErrDescription: what the module says of itself is not valid.
	ErrDescription = errors.New("invalid plugin description")
)

// Errors of Open.
var (
	// ErrMismatch: the plugin's columns and those of the model differ.
	ErrMismatch = errors.New("plugin does not fit the model")
	// ErrRefusedConfig: the plugin refused its configuration.
	ErrRefusedConfig = errors.New("plugin refused its configuration")
)

// Errors of any call into a guest.
var (
	// ErrTrap: the guest trapped, or reported that the batch failed.
	ErrTrap = errors.New("plugin trapped")
	// ErrBudget: the guest used up its budget of work.
	ErrBudget = errors.New("plugin used up its budget")
	// ErrMemory: the guest wanted more memory than its limit.
	ErrMemory = errors.New("plugin ran out of memory")
	// ErrOutput: what the guest returned is not valid.
	ErrOutput = cdata.ErrOutput
	// ErrOutputLimit: what the guest returned is more than it may be.
	ErrOutputLimit = cdata.ErrOutputLimit
	// ErrClosed: the transform or host is closed.
	ErrClosed = errors.New("plugin host is closed")
)

// Codes of row errors that the host makes. They are those of the package
// runtime/record.
const (
	CodeTrap   = "plugin_trap"
	CodeLimit  = "plugin_limit"
	CodeOutput = "plugin_output"
)

// failureCode says which rows' fate a failed call is, or "" if the call failed
// for a reason that is not the guest's.
func failureCode(err error) string {
	switch {
	case errors.Is(err, ErrBudget), errors.Is(err, ErrMemory), errors.Is(err, ErrOutputLimit):
		return CodeLimit
	case errors.Is(err, ErrOutput):
		return CodeOutput
	case errors.Is(err, ErrTrap):
		return CodeTrap
	}
	return ""
}
