package trial

import "errors"

// errNoColumns: nothing says which columns the plugin is to get.
var errNoColumns = errors.New(`the plugin takes any columns: name those of the case, "columns": [{"name": "id", "data_type": "long"}]`)

// ErrUnstable: a plugin answered the same rows in two ways.
var ErrUnstable = errors.New("the same rows got another answer from an instance that was used before; keep nothing between batches, and do not depend on the order of a map")

// ErrPieces: a session plugin answered otherwise when the events of a session
// came in several batches.
var ErrPieces = errors.New("the same events got another answer when they came in several batches, in the order of time; what is to outlast a call of accumulate belongs into the state")
