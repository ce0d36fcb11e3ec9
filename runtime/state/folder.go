package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	liveFolder    = "live"
	makingFolder  = "making"
	keptPrefix    = "at-"
	restorePrefix = "restore-"

	folderMode = 0o755
	fileMode   = 0o644
)

// kind says how a file of the tree is kept.
type kind int

const (
	foreign   kind = iota
	immutable      // written once by pebble, may be hard-linked
	appended       // pebble goes on writing to it: copied
	marker         // empty, its name says it all
	dropped        // not needed: options, and the log, which stays empty
)

func kindOf(name string) kind {
	switch {
	case strings.HasSuffix(name, ".sst"), strings.HasSuffix(name, ".blob"):
		return immutable
	case strings.HasPrefix(name, "MANIFEST-"):
		return appended
	case strings.HasPrefix(name, "marker."):
		return marker
	case strings.HasPrefix(name, "OPTIONS-"), strings.HasSuffix(name, ".log"):
		return dropped
	default:
		return foreign
	}
}

// place makes a file of a state in another folder: by a hard link where pebble
// never writes to it again, else by a copy.
func place(source, target string) error {
	if kindOf(filepath.Base(source)) == immutable {
		err := os.Link(source, target)
		if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return copyFile(source, target)
}

func copyFile(source, target string) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// createFile writes a file that is not there. It is not synced: after a crash
// checksums tell what became of it.
func createFile(target string, body []byte) error {
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	_, err = out.Write(body)
	return errors.Join(err, out.Close())
}

// found maps the size and name of local files to their paths.
type found map[File][]string

// survey lists the files in the folders of the state.
func (s *Store) survey() (found, error) {
	paths, err := filepath.Glob(filepath.Join(escape(s.config.Dir), "*", "*"))
	if err != nil {
		return nil, fmt.Errorf("list state folder: %w", err)
	}
	local := found{}
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue // gone, or not ours: not a candidate
		}
		key := File{Name: info.Name(), Size: info.Size()}
		local[key] = append(local[key], path)
	}
	return local, nil
}

// escape makes a folder's name match itself only.
func escape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// sweep removes the folders of former states, but for those of kept ones.
func (s *Store) sweep() error {
	entries, err := os.ReadDir(s.config.Dir)
	if err != nil {
		return fmt.Errorf("list state folder: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		ours := name == makingFolder || strings.HasPrefix(name, keptPrefix) || strings.HasPrefix(name, restorePrefix)
		if !ours || s.keeps(name) {
			continue
		}
		if err := os.RemoveAll(s.path(name)); err != nil {
			return fmt.Errorf("remove former state: %w", err)
		}
	}
	return nil
}
