package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/state"
)

// keyedState is what keyed models of a running pipeline keep.
type keyedState struct {
	*state.Store
	objects  storage.Store
	prefix   string
	uploaded int64           // bytes, by the last checkpoint
	begun    *state.Manifest // what the run began with
	forgets  []string        // models whose part of it is dropped
	dir      string          // to be removed, of a copy for a trial
}

// openState makes the local copy of the state that of the last record. The copy
// is a cache in the project's folder.
func openState(ctx context.Context, p *project.Project, lake *Lakehouse, start *lakehouse.Start, logger *slog.Logger) (*keyedState, error) {
	prefix := lake.Store.Root() + "/_calve/" + p.Name + "/state"
	config := state.Config{Objects: lake.Store, Prefix: prefix, Manifest: manifestOf(start.State), Logger: logger}
	for number := 1; ; number++ {
		config.Dir = stateFolder(p, number)
		store, err := state.Open(ctx, config)
		if errors.Is(err, state.ErrInUse) && number < stateFolders {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &keyedState{Store: store, objects: lake.Store, prefix: prefix, begun: config.Manifest}, nil
	}
}

// stateFolders is how many processes of a project may have their state on one
// machine: a writer that hangs must not keep a standby beside it from going on.
const stateFolders = 4

func stateFolder(p *project.Project, number int) string {
	name := "state"
	if number > 1 {
		name += "-" + strconv.Itoa(number)
	}
	return filepath.Join(p.Dir, ".calve", name)
}

// Checkpoint implements pipeline.State.
func (s *keyedState) Checkpoint(ctx context.Context, names *lakehouse.Names) (*lakehouse.StateManifest, error) {
	m, stats, err := s.Store.Checkpoint(ctx, names)
	if err != nil {
		return nil, err
	}
	s.uploaded = stats.Bytes
	if m == nil {
		return nil, nil
	}
	return &lakehouse.StateManifest{Location: m.Location, SHA256: m.SHA256}, nil
}

// Uploaded is how many bytes the last checkpoint uploaded.
func (s *keyedState) Uploaded() int64 { return s.uploaded }

// Rollback implements pipeline.State. Before the run's first record the state has
// again what models were to forget.
func (s *keyedState) Rollback(ctx context.Context, to *lakehouse.StateManifest) error {
	target := manifestOf(to)
	if err := s.Store.Rollback(ctx, target); err != nil {
		return err
	}
	if s.begun == nil || target == nil || *target != *s.begun {
		return nil
	}
	return s.forget()
}

// forget drops the parts of the state that no model goes on with.
func (s *keyedState) forget() error {
	for _, name := range s.forgets {
		if err := s.Reset(name); err != nil {
			return fmt.Errorf("reset model %s: %w", name, err)
		}
	}
	return nil
}

// drop forgets the parts of models that the last record does not name, or that
// are not in the project: those begin anew if they come back.
func (s *keyedState) drop(recorded []lakehouse.KeyedModel, compiled []keyedModel) error {
	held, err := s.Models()
	if err != nil {
		return err
	}
	for _, m := range held {
		goesOn := slices.ContainsFunc(recorded, func(k lakehouse.KeyedModel) bool {
			return (m.Name == k.Name || m.Name == pipeline.HeldPart(k.Name) && k.Rework != nil) &&
				slices.ContainsFunc(compiled, func(c keyedModel) bool { return c.Name == k.Name })
		})
		if !goesOn {
			s.forgets = append(s.forgets, m.Name)
		}
	}
	return s.forget()
}

// partVersion is the version of the encoding of parts beside those of models.
const partVersion = 1

// Part implements pipeline.State.
func (s *keyedState) Part(name string) (keyvalue.Store, error) { return s.Space(name, partVersion) }

func manifestOf(m *lakehouse.StateManifest) *state.Manifest {
	if m == nil {
		return nil
	}
	return &state.Manifest{Location: m.Location, SHA256: m.SHA256}
}
