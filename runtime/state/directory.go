package state

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

const (
	prefixSize = 4
	firstModel = 1 // 0 is the directory
)

// entry is what the directory holds of a model.
type entry struct {
	ID      uint32 `json:"id"`
	Version int    `json:"version"`
}

// directory is the models that have state, as the tree holds them.
type directory struct {
	mu     sync.Mutex
	next   uint32
	models map[string]entry
}

func loadDirectory(db *pebble.DB) (*directory, error) {
	d := &directory{next: firstModel, models: map[string]entry{}}
	iter, err := db.NewIter(&pebble.IterOptions{LowerBound: prefixed(0, nil), UpperBound: prefixed(firstModel, nil)})
	if err != nil {
		return nil, fmt.Errorf("read directory of models: %w", classify(err))
	}
	for valid := iter.First(); valid && err == nil; valid = iter.Next() {
		err = d.add(string(iter.Key()[prefixSize:]), iter.Value())
	}
	if err := errors.Join(err, iter.Close()); err != nil {
		return nil, fmt.Errorf("read directory of models: %w", classify(err))
	}
	return d, nil
}

func (d *directory) add(model string, value []byte) error {
	if model == "" {
		if len(value) != prefixSize {
			return fmt.Errorf("%w: the next model's number has %d bytes", ErrCorrupt, len(value))
		}
		d.next = binary.BigEndian.Uint32(value)
		return nil
	}
	var e entry
	if err := json.Unmarshal(value, &e); err != nil {
		return fmt.Errorf("%w: model %s: %w", ErrCorrupt, model, err)
	}
	d.models[model] = e
	return nil
}

// find returns a model's number, if it has any state, or fails with
// ErrModelVersion.
func (d *directory) find(model string, version int) (id uint32, found bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, found := d.models[model]
	if found && e.Version != version {
		return 0, false, fmt.Errorf("%w: model %q has state of version %d, its definition is of version %d; "+
			"run calve with --reset-model %s to drop that state and compute it again, or go back to the former definition",
			ErrModelVersion, model, e.Version, version, model)
	}
	return e.ID, found, nil
}

// enter gives a model a number, through a batch that write commits.
func (d *directory) enter(db *pebble.DB, model string, version int, write func(*pebble.Batch) error) (uint32, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, found := d.models[model]; found { // another write was first
		return e.ID, nil
	}
	if d.next == math.MaxUint32 {
		return 0, errors.New("no numbers left for models")
	}
	e := entry{ID: d.next, Version: version}
	value, err := json.Marshal(e)
	if err != nil {
		return 0, fmt.Errorf("encode directory entry: %w", err)
	}
	batch := db.NewBatch()
	if err := errors.Join(
		batch.Set(prefixed(0, []byte(model)), value, nil),
		batch.Set(prefixed(0, nil), binary.BigEndian.AppendUint32(nil, d.next+1), nil),
	); err != nil {
		return 0, fmt.Errorf("enter model %s: %w", model, err)
	}
	if err := write(batch); err != nil {
		return 0, fmt.Errorf("enter model %s: %w", model, err)
	}
	d.next++
	d.models[model] = e
	return e.ID, nil
}

// names lists the models in order.
func (d *directory) names() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.models))
}

func (d *directory) get(model string) (entry, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, found := d.models[model]
	return e, found
}

func (d *directory) drop(model string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.models, model)
}

// Reset drops all state of a model and its version; one without state is no
// error. The model's next write begins anew.
func (s *Store) Reset(model string) error {
	e, models, err := s.use()
	if err != nil {
		return err
	}
	defer s.release()
	held, found := models.get(model)
	if !found {
		return nil
	}
	s.dirty.Store(true)
	batch := e.db.NewBatch()
	if err := errors.Join(
		batch.DeleteRange(prefixed(held.ID, nil), prefixed(held.ID+1, nil), nil),
		batch.Delete(prefixed(0, []byte(model)), nil),
	); err != nil {
		return fmt.Errorf("reset model %s: %w", model, err)
	}
	if err := e.commit(batch); err != nil {
		return fmt.Errorf("reset model %s: %w", model, err)
	}
	models.drop(model)
	return nil
}

// Models lists the models that have state, by name. Their sizes do not count
// what was written since the last checkpoint.
func (s *Store) Models() ([]Model, error) {
	e, models, err := s.use()
	if err != nil {
		return nil, err
	}
	defer s.release()
	list := []Model{}
	for _, name := range models.names() {
		held, found := models.get(name)
		if !found {
			continue
		}
		m := Model{Name: name, Version: held.Version}
		m.Keys, m.Bytes, err = e.measure(held.ID)
		if err != nil {
			return nil, fmt.Errorf("measure model %s: %w", name, err)
		}
		list = append(list, m)
	}
	return list, nil
}

// measure estimates the keys and bytes of a model from the sizes of files: one
// that it shares with others counts in proportion to the bytes.
func (e *engine) measure(id uint32) (keys, size int64, err error) {
	levels, err := e.db.SSTables(pebble.WithKeyRangeFilter(prefixed(id, nil), prefixed(id+1, nil)), pebble.WithApproximateSpanBytes())
	if err != nil {
		return 0, 0, e.judge(err)
	}
	for _, level := range levels {
		for _, table := range level {
			size += int64(table.ApproximateSpanBytes)
			if entries := int64(table.TableStats.NumEntries) - 2*int64(table.TableStats.NumDeletions); entries > 0 && table.Size > 0 {
				keys += int64(float64(entries) * float64(table.ApproximateSpanBytes) / float64(table.Size))
			}
		}
	}
	return keys, size, nil
}

func prefixed(id uint32, key []byte) []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, prefixSize+len(key)), id), key...)
}
