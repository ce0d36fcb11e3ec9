package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// List yields the objects below a prefix.
func (l *Local) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		rest, err := relativePrefix(l.root, prefix)
		if err != nil {
			yield(Object{}, fmt.Errorf("list %s: %w", prefix, err))
			return
		}
		w := &localWalk{ctx: ctx, local: l, prefix: rest, yield: yield}
		dir := "" // the deepest folder that holds all that match
		if i := strings.LastIndexByte(rest, '/'); i >= 0 {
			dir = rest[:i+1]
		}
		if _, err := w.folder(dir); err != nil {
			yield(Object{}, fmt.Errorf("list %s: %w", prefix, err))
		}
	}
}

// localWalk is one listing.
type localWalk struct {
	ctx    context.Context
	local  *Local
	prefix string
	yield  func(Object, error) bool
}

// folder yields what is below a folder, which is written with a slash at its
// end, and reports whether the caller wants more.
func (w *localWalk) folder(dir string) (bool, error) {
	if err := w.ctx.Err(); err != nil {
		return false, err
	}
	entries, err := os.ReadDir(filepath.Join(w.local.path, filepath.FromSlash(dir)))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, mapErrno(err)
	}
	// Locations sort as strings: a/b comes after a.b, as / follows the dot, so
	// folders sort by their name with a slash.
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(sortName(a), sortName(b)) })
	for _, entry := range entries {
		more, err := w.entry(dir+sortName(entry), entry)
		if !more || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (w *localWalk) entry(name string, entry fs.DirEntry) (bool, error) {
	if entry.IsDir() {
		if strings.HasPrefix(name, w.prefix) || strings.HasPrefix(w.prefix, name) {
			return w.folder(name)
		}
		return true, nil
	}
	if !strings.HasPrefix(name, w.prefix) || strings.HasPrefix(entry.Name(), tempPrefix) {
		return true, nil
	}
	info, err := entry.Info()
	if errors.Is(err, fs.ErrNotExist) { // deleted since
		return true, nil
	}
	if err != nil {
		return false, mapErrno(err)
	}
	if !info.Mode().IsRegular() {
		return true, nil
	}
	return w.yield(Object{Location: w.local.root + "/" + name, Size: info.Size(), Modified: info.ModTime()}, nil), nil
}

func sortName(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}
