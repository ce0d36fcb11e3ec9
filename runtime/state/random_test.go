package state

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// world is a state under random operations and what it should hold.
type world struct {
	*rig
	random  *rand.Rand
	store   *Store
	want    map[string]map[string]string // model → keys
	decided *Manifest
	past    []moment
}

// moment is a manifest and what it stands for.
type moment struct {
	manifest *Manifest
	want     map[string]map[string]string
}

var randomModels = []string{"facts", "sessions", "visits"}

func TestRandomOperationsMatchAMap(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := &world{rig: newRig(t), random: rand.New(rand.NewPCG(seed, 6)), want: map[string]map[string]string{}}
			w.past = []moment{{}}
			w.store = w.open(nil)
			for range 60 {
				w.step()
			}
			w.compare()
			w.close(w.store)
		})
	}
}

func (w *world) step() {
	w.Helper()
	switch n := w.random.IntN(20); {
	case n < 9:
		w.writeSome()
	case n < 10:
		model := w.model()
		if err := w.store.Reset(model); err != nil {
			w.Fatal(err)
		}
		delete(w.want, model)
	case n < 14:
		w.decided, _ = w.checkpoint(w.store)
		w.past = append(w.past, moment{w.decided, copied(w.want)})
	case n < 15: // a checkpoint whose record is never put
		w.checkpoint(w.store)
		w.back(w.past[len(w.past)-1])
		w.rollback(w.store, w.decided)
	case n < 16:
		w.back(w.past[len(w.past)-1])
		w.rollback(w.store, w.decided)
	case n < 17: // far back, which no local folder remembers
		w.back(w.past[w.random.IntN(len(w.past))])
		w.rollback(w.store, w.decided)
	case n < 19:
		w.crash()
	default:
		w.compare()
	}
}

func (w *world) model() string { return randomModels[w.random.IntN(len(randomModels))] }

func (w *world) writeSome() {
	w.Helper()
	model := w.model()
	if w.want[model] == nil {
		w.want[model] = map[string]string{}
	}
	var changes []keyvalue.Change
	for range w.random.IntN(1500) {
		key := fmt.Sprint(w.random.IntN(3000))
		if w.random.IntN(5) == 0 {
			changes = append(changes, keyvalue.Change{Key: []byte(key)})
			delete(w.want[model], key)
			continue
		}
		value := strings.Repeat(fmt.Sprint(w.random.Uint32()), 1+w.random.IntN(8))
		changes = append(changes, keyvalue.Change{Key: []byte(key), Value: []byte(value)})
		w.want[model][key] = value
	}
	w.write(w.space(w.store, model, 1), changes...)
}

// back makes a moment of the past the present one; what came after is
// forgotten, its objects stay.
func (w *world) back(m moment) {
	w.decided, w.want = m.manifest, copied(m.want)
	for i := range w.past {
		if w.past[i].manifest == m.manifest {
			w.past = w.past[:i+1]
			return
		}
	}
}

// crash loses what was not decided. The next process finds the folder as it was
// at some moment, or damaged, or none, and starts at any manifest.
func (w *world) crash() {
	w.Helper()
	next := w.TempDir()
	kind := w.random.IntN(3)
	if kind > 0 {
		w.copyFolder(next)
	}
	w.close(w.store)
	if kind == 2 {
		w.damage(next)
	}
	w.dir = next
	if w.random.IntN(3) == 0 {
		w.back(w.past[w.random.IntN(len(w.past))])
	} else {
		w.back(w.past[len(w.past)-1])
	}
	w.store = w.open(w.decided)
	w.compare()
}

// copyFolder copies what is there while the tree goes on compacting.
func (w *world) copyFolder(target string) {
	w.Helper()
	paths, err := filepath.Glob(filepath.Join(w.dir, "*", "*"))
	if err != nil {
		w.Fatal(err)
	}
	for _, path := range paths {
		body, err := os.ReadFile(path)
		if err != nil {
			continue // compacted away
		}
		folder := filepath.Join(target, filepath.Base(filepath.Dir(path)))
		if err := os.MkdirAll(folder, folderMode); err != nil {
			w.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(path)), body, fileMode); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *world) damage(dir string) {
	w.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		w.Fatal(err)
	}
	for _, path := range paths {
		body, err := os.ReadFile(path)
		if err != nil {
			w.Fatal(err)
		}
		if len(body) == 0 || w.random.IntN(4) > 0 {
			continue
		}
		if w.random.IntN(2) == 0 {
			body = body[:w.random.IntN(len(body))]
		} else {
			body[w.random.IntN(len(body))] ^= 0x10
		}
		if err := os.WriteFile(path, body, fileMode); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *world) compare() {
	w.Helper()
	for _, model := range randomModels {
		want := w.want[model]
		if want == nil {
			want = map[string]string{}
		}
		w.wants(w.space(w.store, model, 1), want)
	}
}

func copied(want map[string]map[string]string) map[string]map[string]string {
	c := map[string]map[string]string{}
	for model, keys := range want {
		c[model] = maps.Clone(keys)
	}
	return c
}
