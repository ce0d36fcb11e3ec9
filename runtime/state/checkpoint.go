package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/calvelake/calve/lakehouse/storage"
)

// attempts bounds how often an upload without a definite answer is repeated.
const attempts = 5

// Stats is what a checkpoint cost.
type Stats struct {
	Files      int   // objects uploaded, the manifest included
	Bytes      int64 // in them
	TotalFiles int   // of the state, with what earlier checkpoints uploaded
	TotalBytes int64
}

// Checkpoint makes durable what was written so far: it uploads the files that
// the manifest before does not have, then a manifest. Without writes since that
// manifest it returns it again; nil stands for a state that was always empty.
//
// The state is decided when an epoch record names the manifest, not before. If
// that record is not put, Rollback to the manifest of the last one that was. A
// checkpoint that fails changes nothing; its objects are orphans.
func (s *Store) Checkpoint(ctx context.Context, names Names) (*Manifest, Stats, error) {
	e, models, err := s.use()
	if err != nil {
		return nil, Stats{}, err
	}
	defer s.release()
	if !s.dirty.Load() {
		return s.standing()
	}
	k, stats, err := s.checkpoint(ctx, e, models, names)
	if err != nil {
		return nil, Stats{}, fmt.Errorf("checkpoint keyed state: %w", err)
	}
	m := k.manifest
	return &m, stats, nil
}

// standing is the outcome of a checkpoint with nothing to do.
func (s *Store) standing() (*Manifest, Stats, error) {
	if s.base == nil {
		return nil, Stats{}, nil
	}
	m := s.base.manifest
	return &m, Stats{TotalFiles: len(s.base.contents.Files), TotalBytes: s.base.contents.total()}, nil
}

func (s *Store) checkpoint(ctx context.Context, e *engine, models *directory, names Names) (*kept, Stats, error) {
	making := s.path(makingFolder)
	if err := os.RemoveAll(making); err != nil {
		return nil, Stats{}, fmt.Errorf("remove former checkpoint: %w", err)
	}
	// Links to one version of the tree: what compactions do meanwhile to the
	// folder live does not touch them.
	if err := e.await(e.db.Flush); err != nil {
		return nil, Stats{}, fmt.Errorf("flush: %w", err)
	}
	if err := e.await(func() error { return e.db.Checkpoint(making) }); err != nil {
		return nil, Stats{}, fmt.Errorf("link files: %w", err)
	}
	files, fresh, err := s.list(making, names)
	if err != nil {
		return nil, Stats{}, err
	}
	c := &Contents{PebbleFormat: int(e.db.FormatMajorVersion()), Files: files, Models: []Model{}}
	for _, name := range models.names() {
		held, _ := models.get(name)
		m := Model{Name: name, Version: held.Version}
		if m.Keys, m.Bytes, err = e.measure(held.ID); err != nil {
			return nil, Stats{}, fmt.Errorf("measure model %s: %w", name, err)
		}
		c.Models = append(c.Models, m)
	}
	k, stats, err := s.upload(ctx, c, fresh, names)
	if err != nil {
		return nil, Stats{}, err
	}
	if err := os.Rename(making, s.path(k.manifest.folder())); err != nil {
		return nil, Stats{}, fmt.Errorf("keep checkpoint: %w", err)
	}
	s.retain(s.base, k)
	s.dirty.Store(false)
	return k, stats, s.sweep()
}

// list names the files of a checkpoint, and tells which of them (by position)
// have to be uploaded. A name that the base has stands for the same bytes if
// pebble never writes to such a file twice: numbers only grow from the base on.
func (s *Store) list(dir string, names Names) (files []File, fresh []int, err error) {
	former := map[string]File{}
	if s.base != nil {
		for _, f := range s.base.contents.Files {
			former[f.Name] = f
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("list checkpoint: %w", err)
	}
	for _, entry := range entries {
		f := File{Name: entry.Name()}
		info, err := entry.Info()
		if err != nil {
			return nil, nil, fmt.Errorf("list checkpoint: %w", err)
		}
		f.Size = info.Size()
		had, known := former[f.Name]
		switch k := kindOf(f.Name); {
		case k == foreign:
			return nil, nil, fmt.Errorf("BUG: the tree has a file %s of a kind that this version does not know", f.Name)
		case k == dropped:
			if err := os.Remove(filepath.Join(dir, f.Name)); err != nil {
				return nil, nil, fmt.Errorf("tidy checkpoint: %w", err)
			}
			continue
		case k == immutable && known && had.Size == f.Size:
			f = had
		case f.Size > 0:
			f.Object = names.Next()
			fresh = append(fresh, len(files))
		}
		files = append(files, f)
	}
	return files, fresh, nil
}

// upload puts the fresh files of a checkpoint and then its manifest.
func (s *Store) upload(ctx context.Context, c *Contents, fresh []int, names Names) (*kept, Stats, error) {
	stats := Stats{Files: len(fresh) + 1, TotalFiles: len(c.Files), TotalBytes: c.total()}
	group, uploads := errgroup.WithContext(ctx)
	group.SetLimit(transfers)
	for _, i := range fresh {
		f := &c.Files[i]
		stats.Bytes += f.Size
		group.Go(func() error {
			body, err := os.ReadFile(filepath.Join(s.path(makingFolder), f.Name))
			if err != nil {
				return fmt.Errorf("read checkpoint: %w", err)
			}
			f.SHA256, f.Size = digest(body), int64(len(body))
			return s.put(uploads, s.config.Prefix+"/"+f.Object, body)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, Stats{}, err
	}
	body, err := c.encode()
	if err != nil {
		return nil, Stats{}, err
	}
	m := Manifest{Location: s.config.Prefix + "/" + names.Next(), SHA256: digest(body)}
	stats.Bytes += int64(len(body))
	if err := s.put(ctx, m.Location, body); err != nil {
		return nil, Stats{}, err
	}
	return &kept{manifest: m, contents: c}, stats, nil
}

// put creates an object under a name of our own. Any answer but success or a
// refusal is resolved by reading (invariant 5): if the object is there with our
// bytes, we put it.
func (s *Store) put(ctx context.Context, location string, body []byte) error {
	for attempt := 0; ; attempt++ {
		err := s.config.Objects.Put(ctx, location, body)
		if err == nil {
			return nil
		}
		if errors.Is(err, storage.ErrPermission) || errors.Is(err, storage.ErrNoSpace) || errors.Is(err, storage.ErrOutside) {
			return fmt.Errorf("upload %s: %w", location, err)
		}
		held, readErr := s.config.Objects.Get(ctx, location)
		switch {
		case readErr == nil && bytes.Equal(held, body):
			return nil
		case readErr == nil:
			return fmt.Errorf("upload %s: BUG: the object is there with other bytes: %w", location, err)
		case attempt+1 == attempts:
			return fmt.Errorf("upload %s: %w", location, err)
		}
		s.logger.Warn("upload of state not confirmed, repeating it", "location", location, "attempt", attempt+1, "error", err)
		if pauseErr := s.config.pause(ctx, attempt); pauseErr != nil {
			return fmt.Errorf("upload %s: %w", location, errors.Join(pauseErr, err))
		}
	}
}
