package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNoSuchNamespace: there is no namespace of that name.
	ErrNoSuchNamespace = errors.New("namespace does not exist")
	// ErrNamespaceExists: there is a namespace of that name already.
	ErrNamespaceExists = errors.New("namespace already exists")
	// ErrNamespaceNotEmpty: a namespace that is to be dropped holds tables or
	// namespaces.
	ErrNamespaceNotEmpty = errors.New("namespace is not empty")
	// ErrNoSuchTable: there is no table of that name.
	ErrNoSuchTable = errors.New("table does not exist")
	// ErrTableExists: there is a table of that name already.
	ErrTableExists = errors.New("table already exists")
	// ErrConflict: a table is not in the state that a Change expects; nothing
	// was changed. It comes as a *ConflictError.
	ErrConflict = errors.New("table has changed")
)

// Namespace is a namespace's levels, outermost first.
type Namespace []string

// String joins the levels by dots, for messages.
func (n Namespace) String() string { return strings.Join(n, ".") }

// Identifier names a table.
type Identifier struct {
	Namespace Namespace `json:"namespace"`
	Name      string    `json:"name"`
}

// String joins namespace and name by dots, for messages.
func (i Identifier) String() string { return i.Namespace.String() + "." + i.Name }

// Table is what a catalog knows of a table: the rest is in its metadata file.
type Table struct {
	Identifier Identifier
	UUID       string
	Metadata   string // location of the current metadata file
}

// Change moves one table's pointer. From and To say what kind it is:
//
//	From ""  To set   creates the table, which must not exist
//	From set To set   commits, or renames where NewName is set
//	From set To ""    drops the table
type Change struct {
	Table   Identifier
	UUID    string // of a table that is created; otherwise not used
	From    string // metadata location that the table must have now
	To      string // metadata location that it gets
	NewName *Identifier
}

// ConflictError is an ErrConflict with the table that was not as expected.
type ConflictError struct {
	Table Identifier
	Found string // its metadata location; empty where it does not exist
}

// Error says what was found.
func (e *ConflictError) Error() string {
	if e.Found == "" {
		return fmt.Sprintf("%s: it does not exist any more: %v", e.Table, ErrConflict)
	}
	return fmt.Sprintf("%s: its metadata is now %s: %v", e.Table, e.Found, ErrConflict)
}

// Is makes it an ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// Page asks for part of a listing. A Size of zero asks for all that follows.
type Page struct {
	After string // the last name that the caller has; empty at first
	Size  int
}

// Storage keeps the pointers of an embedded catalog. All methods are safe for
// concurrent use, by several processes where the storage can be shared.
//
// Errors other than the package's sentinels leave the outcome of a change
// unknown.
type Storage interface {
	// CreateNamespace fails with ErrNamespaceExists, or ErrNoSuchNamespace
	// where its parent does not exist.
	CreateNamespace(ctx context.Context, n Namespace, properties map[string]string) error
	// Namespace returns a namespace's properties, or ErrNoSuchNamespace.
	Namespace(ctx context.Context, n Namespace) (map[string]string, error)
	// Namespaces lists the children of a namespace by name; those without a
	// parent if it is empty. ErrNoSuchNamespace if the parent does not exist.
	Namespaces(ctx context.Context, parent Namespace, page Page) ([]Namespace, error)
	// UpdateNamespace removes and sets properties, all or none.
	UpdateNamespace(ctx context.Context, n Namespace, removals []string, updates map[string]string) error
	// DropNamespace fails with ErrNoSuchNamespace or ErrNamespaceNotEmpty.
	DropNamespace(ctx context.Context, n Namespace) error

	// Table returns a table, or ErrNoSuchTable.
	Table(ctx context.Context, table Identifier) (Table, error)
	// Tables lists a namespace's tables by name, or fails with
	// ErrNoSuchNamespace.
	Tables(ctx context.Context, n Namespace, page Page) ([]Identifier, error)
	// Swap makes all changes in one transaction, or none: a *ConflictError
	// where a table is not at From, ErrTableExists where a created or renamed
	// table's name is taken, ErrNoSuchNamespace where its namespace is missing.
	Swap(ctx context.Context, changes []Change) error

	Close() error
}

// levelSeparator joins the levels of a namespace into one key, as the REST
// specification joins them in paths.
const levelSeparator = "\x1f"

// Key is the namespace as one string that sorts and compares by level.
func (n Namespace) Key() string { return strings.Join(n, levelSeparator) }

// ParseKey undoes Key.
func ParseKey(key string) Namespace {
	if key == "" {
		return nil
	}
	return strings.Split(key, levelSeparator)
}

// Parent is the namespace without its last level; empty for a top-level one.
func (n Namespace) Parent() Namespace {
	if len(n) == 0 {
		return nil
	}
	return n[:len(n)-1]
}
