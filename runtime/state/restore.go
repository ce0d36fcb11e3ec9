package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/calvelake/calve/lakehouse/storage"
)

// transfers is how many objects are read or written side by side; each is in
// memory as a whole meanwhile.
const transfers = 4

// kept is a manifest whose files are in a folder of their own, as this process
// wrote or checked them.
type kept struct {
	manifest Manifest
	contents *Contents
}

// folder is the name of the local folder of a manifest's files.
func (m Manifest) folder() string { return keptPrefix + m.SHA256[:min(16, len(m.SHA256))] }

func (s *Store) keeps(folder string) bool {
	return slices.ContainsFunc(s.kept, func(k *kept) bool { return k.manifest.folder() == folder })
}

// Rollback puts the state back to a manifest: that of the newest decided epoch,
// nil for the empty state. The manifests of Open and of the two newest
// checkpoints are on the local disk; for any other, what is missing is
// downloaded. Where nothing was written since that manifest nothing happens.
//
// If it fails before the present state is touched, that stays in use; else the
// store is closed.
func (s *Store) Rollback(ctx context.Context, to *Manifest) error {
	if err := s.rollback(ctx, to); err != nil {
		return fmt.Errorf("put keyed state back: %w", err)
	}
	return nil
}

func (s *Store) rollback(ctx context.Context, to *Manifest) error {
	failure := s.failure()
	if errors.Is(failure, ErrClosed) {
		return failure
	}
	if failure == nil && !s.dirty.Load() && s.stands(to) {
		return nil
	}
	if errors.Is(failure, ErrCorrupt) {
		s.kept = nil // hard links share what is damaged: check every file again
	}
	target, err := s.gather(ctx, to)
	if err != nil {
		return err
	}
	if err := s.stop(); err != nil {
		return err
	}
	return s.resume(target)
}

// begin is the first restore of a process, which trusts no local file.
func (s *Store) begin(ctx context.Context, to *Manifest) error {
	target, err := s.gather(ctx, to)
	if err != nil {
		return err
	}
	return s.resume(target)
}

// failure says why the tree cannot be used, or nil.
func (s *Store) failure() error {
	_, _, err := s.use()
	if err == nil {
		s.release()
	}
	return err
}

// stands reports whether the tree derives from that manifest.
func (s *Store) stands(m *Manifest) bool {
	if m == nil || s.base == nil {
		return m == nil && s.base == nil
	}
	return *m == s.base.manifest
}

// gather makes the files of a manifest present in a folder of their own, and
// returns nil for the empty state.
func (s *Store) gather(ctx context.Context, to *Manifest) (*kept, error) {
	if to == nil {
		return nil, nil
	}
	if i := slices.IndexFunc(s.kept, func(k *kept) bool { return k.manifest == *to }); i >= 0 {
		return s.kept[i], nil
	}
	contents, err := Read(ctx, s.config.Objects, *to)
	if err != nil {
		return nil, err
	}
	local, err := s.survey()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.config.Dir, restorePrefix)
	if err != nil {
		return nil, fmt.Errorf("create folder: %w", err)
	}
	k := &kept{manifest: *to, contents: contents}
	if err := s.fill(ctx, k, local, dir); err != nil {
		return nil, err // the next attempt uses what is there, then removes it
	}
	if err := os.RemoveAll(s.path(to.folder())); err != nil {
		return nil, fmt.Errorf("remove former state: %w", err)
	}
	if err := os.Rename(dir, s.path(to.folder())); err != nil {
		return nil, fmt.Errorf("keep restored state: %w", err)
	}
	return k, nil
}

// fill puts each file of a manifest into dir, checked: from the local disk
// where one matches, else from its object.
func (s *Store) fill(ctx context.Context, k *kept, local found, dir string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(transfers)
	for _, f := range k.contents.Files {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			target := filepath.Join(dir, f.Name)
			if f.Size == 0 {
				return createFile(target, nil)
			}
			if reuse(f, local[File{Name: f.Name, Size: f.Size}], target) {
				return nil
			}
			return s.download(ctx, f, k.manifest.beside(f.Object), target)
		})
	}
	return group.Wait()
}

// reuse places a local file that has the wanted bytes, if there is one. What
// goes wrong with a candidate only means that it is none.
func reuse(f File, candidates []string, target string) bool {
	for _, path := range candidates {
		if place(path, target) == nil {
			body, err := os.ReadFile(target) // what was placed, whatever path is now
			if err == nil && int64(len(body)) == f.Size && digest(body) == f.SHA256 {
				return true
			}
		}
		_ = os.Remove(target)
	}
	return false
}

func (s *Store) download(ctx context.Context, f File, location, target string) error {
	body, err := s.config.Objects.Get(ctx, location)
	if errors.Is(err, storage.ErrNotExist) {
		return fmt.Errorf("%w: object %s (%s) is missing", ErrCorrupt, location, f.Name)
	}
	if err != nil {
		return fmt.Errorf("download %s: %w", f.Name, err)
	}
	if int64(len(body)) != f.Size || digest(body) != f.SHA256 {
		return fmt.Errorf("%w: object %s (%s) has %d bytes with digest %s, the manifest says %d with %s",
			ErrCorrupt, location, f.Name, len(body), digest(body), f.Size, f.SHA256)
	}
	if err := createFile(target, body); err != nil {
		return fmt.Errorf("write %s: %w", target, err)
	}
	return nil
}

// resume opens the tree anew on the files of a manifest.
func (s *Store) resume(target *kept) error {
	live := s.path(liveFolder)
	if err := os.RemoveAll(live); err != nil {
		return fmt.Errorf("remove former state: %w", err)
	}
	if err := os.Mkdir(live, folderMode); err != nil {
		return fmt.Errorf("create folder: %w", err)
	}
	if target != nil {
		for _, f := range target.contents.Files {
			if err := place(filepath.Join(s.path(target.manifest.folder()), f.Name), filepath.Join(live, f.Name)); err != nil {
				return fmt.Errorf("place file of state: %w", err)
			}
		}
	}
	s.retain(nil, target)
	if err := s.sweep(); err != nil {
		return err
	}
	s.dirty.Store(false)
	return s.start()
}

// retain makes newest the base, and keeps it and one more.
func (s *Store) retain(former, newest *kept) {
	s.base = newest
	s.kept = slices.DeleteFunc([]*kept{former, newest}, func(k *kept) bool { return k == nil })
}
