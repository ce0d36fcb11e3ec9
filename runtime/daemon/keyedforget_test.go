package daemon

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record/keyvalue"
	"github.com/calvelake/calve/runtime/state"
)

// heldModels opens keyed state at a manifest and shows whose it is after models
// that are recorded and in the project went on with theirs.
type heldModels struct {
	t     *testing.T
	store *storage.Memory
	names numbers
}

type numbers int

func (n *numbers) Next() string {
	*n++
	return fmt.Sprintf("1-nonce-%d", *n)
}

func (h *heldModels) open(at *state.Manifest) *keyedState {
	h.t.Helper()
	s, err := state.Open(h.t.Context(), state.Config{
		Dir: h.t.TempDir(), Objects: h.store, Prefix: h.store.Root() + "/state", Manifest: at, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = s.Close() })
	return &keyedState{Store: s, begun: at}
}

func (h *heldModels) write(s *keyedState, models ...string) *state.Manifest {
	h.t.Helper()
	for _, name := range models {
		space, err := s.Space(name, 1)
		if err == nil {
			err = space.Write([]keyvalue.Change{{Key: []byte("k"), Value: []byte(name)}})
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
	m, _, err := s.Store.Checkpoint(h.t.Context(), &h.names)
	if err != nil {
		h.t.Fatal(err)
	}
	return m
}

func (h *heldModels) want(s *keyedState, want string) {
	h.t.Helper()
	models, err := s.Models()
	if err != nil {
		h.t.Fatal(err)
	}
	got := ""
	for _, m := range models {
		got += m.Name + " "
	}
	if got != want {
		h.t.Errorf("got state of %s, want %s", got, want)
	}
}

// What models are to forget stays forgotten when the run's first epoch is
// abandoned, and once it is recorded a model's new state is kept.
func TestModelsForgetTheirStateForGood(t *testing.T) {
	h := &heldModels{t: t, store: storage.NewMemory("mem://warehouse")}
	begun := h.write(h.open(nil), "gone", "kept", "reset")
	s := h.open(begun)
	recorded := []lakehouse.KeyedModel{{Name: "gone"}, {Name: "kept"}}
	var compiled []keyedModel
	for _, name := range []string{"kept", "reset"} {
		compiled = append(compiled, keyedModel{Model: &project.Model{Name: name}})
	}
	if err := s.drop(recorded, compiled); err != nil {
		t.Fatal(err)
	}
	h.want(s, "kept ")
	if _, _, err := s.Store.Checkpoint(t.Context(), &h.names); err != nil { // of the epoch that is abandoned
		t.Fatal(err)
	}
	if err := s.Rollback(t.Context(), &lakehouse.StateManifest{Location: begun.Location, SHA256: begun.SHA256}); err != nil {
		t.Fatal(err)
	}
	h.want(s, "kept ")
	first := h.write(s, "reset")
	h.write(s, "kept")
	if err := s.Rollback(t.Context(), &lakehouse.StateManifest{Location: first.Location, SHA256: first.SHA256}); err != nil {
		t.Fatal(err)
	}
	h.want(s, "kept reset ")
}
