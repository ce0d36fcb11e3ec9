package storage

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

const (
	// tempPrefix marks files that are not objects yet. A crash leaves them
	// behind; nothing ever reads or lists them.
	tempPrefix = ".calve-tmp-"
	// localBuffer spares a system call per small write of a Parquet file.
	localBuffer = 128 << 10

	directoryMode = 0o755
	fileMode      = 0o644
)

// Local is a Store in a folder of this machine.
//
// An object is written to a temporary file beside its name, synced, and linked
// to its name: link(2) fails where a name is taken, so of two writers, of
// whatever process, one wins; rename would let both. The directory is synced
// before a write is acknowledged.
type Local struct {
	root string // file:///…
	path string

	mu      sync.Mutex
	durable map[string]struct{} // directories whose entry in their parent is synced
}

// OpenLocal opens the folder as a warehouse, creating it where it is missing.
// The folder may be written as a path or as file:///path.
func OpenLocal(root string) (*Local, error) {
	path := strings.TrimPrefix(Canonical(root), "file://")
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("resolve warehouse folder %s: %w", root, err)
	}
	if path == string(filepath.Separator) {
		return nil, fmt.Errorf("warehouse folder %s is the root of the file system: give a folder of its own", root)
	}
	l := &Local{path: path, root: "file://" + filepath.ToSlash(path), durable: map[string]struct{}{}}
	if err := l.createRoot(path); err != nil {
		return nil, fmt.Errorf("create warehouse folder %s: %w", path, mapErrno(err))
	}
	l.durable[path] = struct{}{}
	return l, nil
}

// Root is the warehouse's location.
func (l *Local) Root() string { return l.root }

// Put creates an object with that body.
func (l *Local) Put(ctx context.Context, location string, body []byte) error {
	w, err := l.create(ctx, location)
	if err != nil {
		return fmt.Errorf("put %s: %w", location, err)
	}
	defer w.Abort()
	if _, err := w.file.Write(body); err != nil {
		return fmt.Errorf("put %s: %w", location, mapErrno(err))
	}
	if err := w.commit(); err != nil {
		return fmt.Errorf("put %s: %w", location, err)
	}
	return nil
}

// Create begins an object.
func (l *Local) Create(ctx context.Context, location string) (Writer, error) {
	w, err := l.create(ctx, location)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", location, err)
	}
	return w, nil
}

// Get reads a whole object.
func (l *Local) Get(ctx context.Context, location string) ([]byte, error) {
	path, err := l.object(ctx, location)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", location, err)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", location, mapErrno(err))
	}
	return body, nil
}

// Open opens an object for random reads.
func (l *Local) Open(ctx context.Context, location string) (Reader, error) {
	path, err := l.object(ctx, location)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", location, err)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", location, mapErrno(err))
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = fs.ErrNotExist // a folder is no object
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("open %s: %w", location, mapErrno(err))
	}
	return &localReader{File: file, ctx: ctx, size: info.Size()}, nil
}

// Delete removes objects. Their folders stay: removing one would race with a
// writer that is about to use it.
func (l *Local) Delete(ctx context.Context, locations ...string) error {
	for _, location := range locations {
		path, err := l.object(ctx, location)
		if err == nil {
			err = mapErrno(os.Remove(path))
		}
		if err != nil && !errors.Is(err, ErrNotExist) {
			return fmt.Errorf("delete %s: %w", location, err)
		}
	}
	return nil
}

// object is the path of an object.
func (l *Local) object(ctx context.Context, location string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	rest, err := relative(l.root, location)
	if err != nil {
		return "", err
	}
	path := filepath.Join(l.path, filepath.FromSlash(rest))
	if strings.HasPrefix(filepath.Base(path), tempPrefix) {
		return "", fmt.Errorf("names beginning with %s are kept for unfinished files: %w", tempPrefix, ErrOutside)
	}
	return path, nil
}

func (l *Local) create(ctx context.Context, location string) (*localWriter, error) {
	path, err := l.object(ctx, location)
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(path); err == nil {
		return nil, ErrExists
	}
	file, err := l.createTemp(filepath.Dir(path))
	if err != nil {
		if errors.Is(err, fs.ErrExist) { // a file where a folder should be
			return nil, fmt.Errorf("create folder %s: a file has that name", filepath.Dir(path))
		}
		return nil, mapErrno(err)
	}
	return &localWriter{
		ctx: ctx, location: location, path: path,
		file: file, buffer: bufio.NewWriterSize(file, localBuffer),
	}, nil
}

// createTemp opens a new temporary file in a folder that it creates first. A
// folder that was durable may have been removed since: then it is made again.
func (l *Local) createTemp(dir string) (*os.File, error) {
	for attempt := 0; ; attempt++ {
		if err := l.ensureDirectory(dir); err != nil {
			return nil, err
		}
		name := filepath.Join(dir, tempPrefix+rand.Text())
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
		if err == nil || attempt > 0 || !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
		l.mu.Lock()
		clear(l.durable)
		l.mu.Unlock()
	}
}

// ensureDirectory makes a folder and syncs its entry in the parent, and so on
// upwards. A folder that another process made is synced too: it may have died
// before it did so itself.
func (l *Local) ensureDirectory(dir string) error {
	l.mu.Lock()
	_, known := l.durable[dir]
	l.mu.Unlock()
	if known {
		return nil
	}
	if dir == l.path {
		return l.createRoot(dir)
	}
	parent := filepath.Dir(dir)
	if err := l.ensureDirectory(parent); err != nil {
		return err
	}
	if err := makeDirectory(dir); err != nil {
		return err
	}
	if err := syncDirectory(parent); err != nil {
		return err
	}
	l.mu.Lock()
	l.durable[dir] = struct{}{}
	l.mu.Unlock()
	return nil
}

// createRoot makes the root and what is missing above it. Folders above that
// exist are not ours, and perhaps not ours to open, so they are not synced.
func (l *Local) createRoot(dir string) error {
	info, err := os.Stat(dir)
	if err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is a file, not a folder", dir)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := l.createRoot(parent); err != nil {
		return err
	}
	if err := makeDirectory(dir); err != nil {
		return err
	}
	return syncDirectory(parent)
}

// localWriter is an object of a Local being written.
type localWriter struct {
	ctx      context.Context
	location string
	path     string
	file     *os.File
	buffer   *bufio.Writer
	done     bool
}

// Write appends to the object.
func (w *localWriter) Write(p []byte) (int, error) {
	if w.done {
		return 0, fmt.Errorf("write %s: %w", w.location, fs.ErrClosed)
	}
	n, err := w.buffer.Write(p)
	if err != nil {
		return n, fmt.Errorf("write %s: %w", w.location, mapErrno(err))
	}
	return n, nil
}

// Commit makes the object appear.
func (w *localWriter) Commit() error {
	if w.done {
		return fmt.Errorf("commit %s: %w", w.location, fs.ErrClosed)
	}
	if err := w.commit(); err != nil {
		return fmt.Errorf("commit %s: %w", w.location, err)
	}
	return nil
}

// Abort drops what was written.
func (w *localWriter) Abort() {
	if w.done {
		return
	}
	w.done = true
	_ = w.file.Close()
	w.removeTemp()
}

func (w *localWriter) commit() error {
	defer w.Abort()
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if err := w.buffer.Flush(); err != nil {
		return mapErrno(err)
	}
	if err := w.file.Sync(); err != nil {
		return mapErrno(err)
	}
	if err := w.link(); err != nil {
		return err
	}
	// From here on the object may be seen by others, so that an error is no
	// longer one of those which say that nothing happened.
	if err := syncDirectory(filepath.Dir(w.path)); err != nil {
		return fmt.Errorf("%w: sync folder: %w", ErrUnknown, err)
	}
	return nil
}

// link gives the temporary file its name. A network file system may repeat a
// link whose reply was lost and answer that the name is taken, by ourselves:
// whether the name is now our file settles it.
func (w *localWriter) link() error {
	err := os.Link(w.file.Name(), w.path)
	if err == nil {
		return nil
	}
	temp, tempErr := w.file.Stat()
	named, namedErr := os.Lstat(w.path)
	if tempErr == nil && namedErr == nil && os.SameFile(temp, named) {
		return nil
	}
	if errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("the file system has no hard links, which create-only writes need; "+
			"use another disk for the warehouse: %w", err)
	}
	return mapErrno(err)
}

// removeTemp drops the temporary name. If that fails it stays as litter that
// no reader sees; the object itself is not affected.
func (w *localWriter) removeTemp() { _ = os.Remove(w.file.Name()) }

// localReader reads an object of a Local.
type localReader struct {
	*os.File
	ctx  context.Context
	size int64
}

// ReadAt reads at an offset.
func (r *localReader) ReadAt(p []byte, offset int64) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.File.ReadAt(p, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, fmt.Errorf("read %s: %w", r.Name(), mapErrno(err))
	}
	return n, err
}

// Size is the object's size in bytes.
func (r *localReader) Size() int64 { return r.size }

// makeDirectory makes one folder; one that exists is fine, a file is not.
func makeDirectory(dir string) error {
	err := os.Mkdir(dir, directoryMode)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, statErr := os.Stat(dir)
	if statErr != nil {
		return statErr
	}
	if !info.IsDir() {
		return err
	}
	return nil
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return err
}
