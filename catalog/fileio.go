package catalog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	icebergio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/lakehouse/storage"
)

// readAhead is what a sequential read fetches at once: manifests are read in
// small pieces, each of which would be a request.
const readAhead = 1 << 20

// FileIO lets iceberg-go read and write a store's objects. Writes are
// create-only. It is made anew for each operation, so that no file outlives
// its context nor is bound to another's.
func FileIO(store storage.Store) table.FSysF {
	return func(ctx context.Context) (icebergio.IO, error) { return &fileIO{ctx: ctx, store: store}, nil }
}

// fileIO is a store under one operation's context.
type fileIO struct {
	ctx   context.Context
	store storage.Store
}

var (
	_ icebergio.ReadFileIO      = (*fileIO)(nil)
	_ icebergio.WriteFileIO     = (*fileIO)(nil)
	_ icebergio.BulkRemovableIO = (*fileIO)(nil)
)

// Open opens an object for reading.
func (f *fileIO) Open(name string) (icebergio.File, error) {
	reader, err := f.store.Open(f.ctx, storage.Canonical(name))
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return &readFile{name: name, reader: reader, section: io.NewSectionReader(reader, 0, reader.Size())}, nil
}

// ReadFile reads a whole object.
func (f *fileIO) ReadFile(name string) ([]byte, error) {
	body, err := f.store.Get(f.ctx, storage.Canonical(name))
	if err != nil {
		return nil, pathError("read", name, err)
	}
	return body, nil
}

// Create begins an object, which appears when it is closed.
func (f *fileIO) Create(name string) (icebergio.FileWriter, error) {
	writer, err := f.store.Create(f.ctx, storage.Canonical(name))
	if err != nil {
		return nil, pathError("create", name, err)
	}
	return &writeFile{writer: writer}, nil
}

// WriteFile creates an object.
func (f *fileIO) WriteFile(name string, body []byte) error {
	if err := f.store.Put(f.ctx, storage.Canonical(name), body); err != nil {
		return pathError("write", name, err)
	}
	return nil
}

// Remove deletes an object.
func (f *fileIO) Remove(name string) error {
	if err := f.store.Delete(f.ctx, storage.Canonical(name)); err != nil {
		return pathError("remove", name, err)
	}
	return nil
}

// DeleteFiles deletes objects together; on an error none is said to be gone.
func (f *fileIO) DeleteFiles(ctx context.Context, names []string) ([]string, error) {
	locations := make([]string, len(names))
	for i, name := range names {
		locations[i] = storage.Canonical(name)
	}
	if err := f.store.Delete(ctx, locations...); err != nil {
		return nil, fmt.Errorf("delete %d files: %w", len(names), err)
	}
	return names, nil
}

// readFile is an object being read.
type readFile struct {
	name    string
	reader  storage.Reader
	section *io.SectionReader
	buffer  *bufio.Reader // made by the first Read: Parquet is read by ReadAt alone
}

func (f *readFile) ReadAt(p []byte, offset int64) (int, error) { return f.reader.ReadAt(p, offset) }
func (f *readFile) Close() error                               { return f.reader.Close() }
func (f *readFile) Stat() (fs.FileInfo, error) {
	return fileInfo{path.Base(f.name), f.reader.Size()}, nil
}

func (f *readFile) Read(p []byte) (int, error) {
	if f.buffer == nil {
		f.buffer = bufio.NewReaderSize(f.section, int(min(readAhead, max(f.reader.Size(), 16))))
	}
	return f.buffer.Read(p)
}

// Seek moves the next Read, from where the caller has read to and not from
// where the buffer has.
func (f *readFile) Seek(offset int64, whence int) (int64, error) {
	if f.buffer == nil {
		return f.section.Seek(offset, whence)
	}
	if whence == io.SeekCurrent {
		offset -= int64(f.buffer.Buffered())
	}
	at, err := f.section.Seek(offset, whence)
	if err == nil { // else nothing has moved
		f.buffer.Reset(f.section)
	}
	return at, err
}

// writeFile is an object being written. The caller can only close it, also
// after an error, so a write that failed is what keeps half an object from
// appearing.
type writeFile struct {
	writer storage.Writer
	err    error
}

func (f *writeFile) Write(p []byte) (int, error) {
	n, err := f.writer.Write(p)
	f.err = errors.Join(f.err, err)
	return n, err
}

func (f *writeFile) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(struct{ io.Writer }{f.writer}, r)
	f.err = errors.Join(f.err, err)
	return n, err
}

// Close makes the object appear, if all of it was written.
func (f *writeFile) Close() error {
	if f.err != nil {
		f.writer.Abort()
		return f.err
	}
	return f.writer.Commit()
}

// pathError makes the errors of a store those of a file system, which
// iceberg-go looks for.
func pathError(operation, name string, err error) error {
	if errors.Is(err, storage.ErrNotExist) {
		err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return &fs.PathError{Op: operation, Path: name, Err: err}
}

// fileInfo describes an object.
type fileInfo struct {
	name string
	size int64
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) Mode() fs.FileMode  { return 0o444 }
func (i fileInfo) ModTime() time.Time { return time.Time{} }
func (i fileInfo) IsDir() bool        { return false }
func (i fileInfo) Sys() any           { return nil }
