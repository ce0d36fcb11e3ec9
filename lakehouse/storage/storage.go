// Package storage is where a warehouse's objects live: a local folder, an S3
// bucket, or memory with programmable faults for tests.
//
// Every object is written once, create-only: two writers that race for one
// name cannot both believe that they won it. Objects are named by absolute
// location (file:///lake/a, s3://bucket/a), as Iceberg metadata names them.
package storage

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

var (
	// ErrExists: a create-only write found an object of that name.
	ErrExists = errors.New("object exists")
	// ErrNotExist: there is no object of that name.
	ErrNotExist = errors.New("object does not exist")
	// ErrPermission: the store refuses the credentials or the operation.
	ErrPermission = errors.New("permission denied")
	// ErrNoSpace: the disk or the quota is full.
	ErrNoSpace = errors.New("no space left")
	// ErrOutside: the location is not below the store's root.
	ErrOutside = errors.New("location is outside the warehouse")
	// ErrUnknown: a write may or may not have happened. Stores wrap it where
	// they know that they do not know; other unexpected errors of a write mean
	// the same without saying so.
	ErrUnknown = errors.New("outcome of the write is unknown")
)

// Object is one entry of a listing.
type Object struct {
	Location string
	Size     int64
	Modified time.Time
}

// Store holds a warehouse's objects. All methods are safe for concurrent use
// and take absolute locations below Root.
//
// A write that returns ErrExists, ErrPermission, ErrNoSpace or ErrOutside did
// not happen (by this call). Any other error of a write leaves it unknown
// whether the object is there now (invariant 5): read before deciding.
type Store interface {
	// Root is the warehouse's location, without a trailing slash.
	Root() string
	// Put creates an object with that body, durable when Put returns.
	Put(ctx context.Context, location string, body []byte) error
	// Create begins an object that is written piece by piece and appears whole
	// when its Writer is committed, or not at all. The context governs the
	// Writer too, until Commit returns.
	Create(ctx context.Context, location string) (Writer, error)
	// Get reads a whole object.
	Get(ctx context.Context, location string) ([]byte, error)
	// Open opens an object for random reads. The context governs the Reader
	// too, until it is closed.
	Open(ctx context.Context, location string) (Reader, error)
	// List yields the objects whose location begins with prefix, in
	// lexical order of location. After an error it yields nothing more.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]
	// Delete removes objects; one that does not exist is no error.
	Delete(ctx context.Context, locations ...string) error
}

// Writer is an object being written, by one goroutine.
type Writer interface {
	io.Writer
	// Commit makes the object appear, durable, or fails with Put's errors.
	Commit() error
	// Abort drops what was written. After Commit it does nothing, so it can be
	// deferred.
	Abort()
}

// Reader reads one object.
type Reader interface {
	io.ReaderAt
	io.Closer
	Size() int64
}
