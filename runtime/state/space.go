package state

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sync/errgroup"

	"github.com/calvelake/calve/runtime/record/keyvalue"
)

// batchBytes bounds the memory of changes on their way into the tree.
const batchBytes = 4 << 20

// Space is the keys of one model, a keyvalue.Store. It stays valid over Rollback and Reset.
type Space struct {
	store   *Store
	model   string
	version int
}

// Space returns the keys of a model whose definition has that version of its
// encoding. It fails with ErrModelVersion if the model has state of another.
func (s *Store) Space(model string, version int) (*Space, error) {
	if model == "" {
		return nil, errors.New("open space: the model has no name")
	}
	_, models, err := s.use()
	if err != nil {
		return nil, err
	}
	defer s.release()
	if _, _, err := models.find(model, version); err != nil {
		return nil, err
	}
	return &Space{store: s, model: model, version: version}, nil
}

// Get returns the values of keys, in the order of keys; nil where there is
// none. Keys need not be sorted. The values are the caller's.
func (p *Space) Get(keys [][]byte) ([][]byte, error) {
	values := make([][]byte, len(keys))
	err := p.read(func(e *engine, id uint32) error { return e.get(id, keys, values) })
	if err != nil {
		return nil, fmt.Errorf("get %d keys of %s: %w", len(keys), p.model, err)
	}
	return values, nil
}

// Scan visits the keys from from up to, but without, to, in order; to is nil
// for no end. It stops when visit says that it wants no more, or fails. What is
// visited is the state at the call; key and value may be used during visit only.
func (p *Space) Scan(from, to []byte, visit func(key, value []byte) (more bool, err error)) error {
	err := p.read(func(e *engine, id uint32) error { return e.scan(id, from, to, visit) })
	if err != nil {
		return fmt.Errorf("scan %s: %w", p.model, err)
	}
	return nil
}

// Write carries out changes in order; Get and Scan see them at once, Rollback
// undoes them. After an error, which of them happened is open: put the state
// back.
func (p *Space) Write(changes []keyvalue.Change) error {
	if len(changes) == 0 {
		return nil
	}
	if err := p.write(changes); err != nil {
		return fmt.Errorf("write %d changes of %s: %w", len(changes), p.model, err)
	}
	return nil
}

func (p *Space) read(act func(*engine, uint32) error) error {
	e, models, err := p.store.use()
	if err != nil {
		return err
	}
	defer p.store.release()
	id, found, err := models.find(p.model, p.version)
	if err != nil || !found {
		return err
	}
	return act(e, id)
}

func (p *Space) write(changes []keyvalue.Change) error {
	e, models, err := p.store.use()
	if err != nil {
		return err
	}
	defer p.store.release()
	id, found, err := models.find(p.model, p.version)
	if err != nil {
		return err
	}
	p.store.dirty.Store(true)
	if !found {
		if id, err = models.enter(e.db, p.model, p.version, e.commit); err != nil {
			return err
		}
	}
	for len(changes) > 0 {
		n := e.fit(changes)
		if err := e.write(id, changes[:n]); err != nil {
			return err
		}
		changes = changes[n:]
	}
	return nil
}

// fit counts the changes that go into one batch, at least one.
func (e *engine) fit(changes []keyvalue.Change) int {
	size := 0
	for i, c := range changes {
		size += len(c.Key) + len(c.Value) + 16
		if size > batchBytes && i > 0 {
			return i
		}
	}
	return len(changes)
}

func (e *engine) write(id uint32, changes []keyvalue.Change) error {
	batch := e.db.NewBatch()
	for _, c := range changes {
		size := prefixSize + len(c.Key)
		var op *pebble.DeferredBatchOp
		if c.Value == nil {
			op = batch.DeleteDeferred(size)
		} else {
			op = batch.SetDeferred(size, len(c.Value))
			copy(op.Value, c.Value)
		}
		binary.BigEndian.PutUint32(op.Key, id)
		copy(op.Key[prefixSize:], c.Key)
		if err := op.Finish(); err != nil {
			return errors.Join(err, batch.Close())
		}
	}
	return e.commit(batch)
}

// commit applies a batch and ends its use.
func (e *engine) commit(batch *pebble.Batch) error {
	return e.await(func() error { return errors.Join(batch.Commit(pebble.NoSync), batch.Close()) })
}

// lookups is how many keys are worth a goroutine.
const lookups = 1024

// get looks keys up in their order, so that neighbours share blocks, in as many
// stretches side by side as there are cores for.
func (e *engine) get(id uint32, keys, values [][]byte) error {
	order := sorted(keys)
	stretches := min(runtime.GOMAXPROCS(0), 1+len(order)/lookups)
	var group errgroup.Group
	for i := range stretches {
		stretch := order[i*len(order)/stretches : (i+1)*len(order)/stretches]
		group.Go(func() error { return e.lookUp(id, keys, values, stretch) })
	}
	return group.Wait()
}

// lookUp asks filters of all levels, as many keys of a stream are new.
func (e *engine) lookUp(id uint32, keys, values [][]byte, order []int32) error {
	iter, err := e.db.NewIter(&pebble.IterOptions{
		LowerBound: prefixed(id, nil), UpperBound: prefixed(id+1, nil), UseL6Filters: true,
	})
	if err != nil {
		return e.judge(err)
	}
	full := prefixed(id, nil)
	var slab []byte
	for _, i := range order {
		full = append(full[:prefixSize], keys[i]...)
		if !iter.SeekPrefixGE(full) {
			if iter.Error() != nil {
				break
			}
			continue
		}
		var value []byte
		if value, err = iter.ValueAndErr(); err != nil {
			break
		}
		slab, values[i] = keep(slab, value)
	}
	return e.judge(errors.Join(err, iter.Close()))
}

func (e *engine) scan(id uint32, from, to []byte, visit func(key, value []byte) (bool, error)) error {
	options := &pebble.IterOptions{LowerBound: prefixed(id, from), UpperBound: prefixed(id+1, nil)}
	if to != nil {
		options.UpperBound = prefixed(id, to)
	}
	if bytes.Compare(options.LowerBound, options.UpperBound) >= 0 {
		return nil
	}
	iter, err := e.db.NewIter(options)
	if err != nil {
		return e.judge(err)
	}
	more := true
	for valid := iter.First(); valid && more && err == nil; valid = iter.Next() {
		var value []byte
		if value, err = iter.ValueAndErr(); err == nil {
			more, err = visit(iter.Key()[prefixSize:], value)
		}
	}
	return e.judge(errors.Join(err, iter.Close()))
}

// sorted returns the positions of keys in the order of keys.
func sorted(keys [][]byte) []int32 {
	order := make([]int32, len(keys))
	for i := range order {
		order[i] = int32(i)
	}
	compare := func(a, b int32) int {
		return cmp.Or(bytes.Compare(keys[a], keys[b]), cmp.Compare(a, b))
	}
	if !slices.IsSortedFunc(order, compare) {
		slices.SortFunc(order, compare)
	}
	return order
}

// slabBytes is how many bytes of values share an allocation.
const slabBytes = 64 << 10

// keep copies a value to the end of a slab. The copy is never nil, and
// appending to it does not reach its neighbour.
func keep(slab, value []byte) (rest, copied []byte) {
	if cap(slab)-len(slab) < len(value) || slab == nil {
		slab = make([]byte, 0, max(slabBytes, len(value)))
	}
	start := len(slab)
	slab = append(slab, value...)
	return slab, slab[start:len(slab):len(slab)]
}
