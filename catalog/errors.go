package catalog

import "errors"

// A commit that fails with anything may have happened all the same: look for
// it in the tables (invariant 5).
var (
	// ErrNoSuchTable: there is no table of that name.
	ErrNoSuchTable = errors.New("no such table")
	// ErrNoSuchNamespace: there is no namespace of that name.
	ErrNoSuchNamespace = errors.New("no such namespace")
	// ErrTableExists: a table of that name is there already.
	ErrTableExists = errors.New("table exists")
	// ErrConflict: a requirement of the commit does not hold (any more).
	ErrConflict = errors.New("commit conflicts with the table's present state")
	// ErrUnreachable: no connection, or no answer within the time-out.
	ErrUnreachable = errors.New("catalog is unreachable")
	// ErrUnauthorized: the catalog refuses the credentials or the operation.
	ErrUnauthorized = errors.New("catalog refuses the credentials")
)
