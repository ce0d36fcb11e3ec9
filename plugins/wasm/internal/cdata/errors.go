package cdata

import (
	"errors"
	"fmt"
)

// ErrOutput: what the guest returned is not valid.
var ErrOutput = errors.New("invalid plugin output")

// ErrOutputLimit: what the guest returned is valid as far as it was read, but
// more than it may be.
var ErrOutputLimit = errors.New("plugin output exceeds a limit")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrOutput}, args...)...)
}
