package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrCrashed is what every operation of a Memory returns after its Crash.
var ErrCrashed = errors.New("the process that held this store has crashed")

// Memory is a Store for tests: it holds objects in memory, fails on demand
// (Inject), tells of each operation (Hook, Calls) and can crash.
//
// Several handles may share one set of objects: they stand for processes.
type Memory struct {
	objects *objects

	mu      sync.Mutex
	crashed bool
	hook    func(Event)
	calls   []Call
	faults  []*Fault
	clobber bool
}

// objects is what several handles share.
type objects struct {
	root string
	mu   sync.Mutex
	held map[string]memoryObject
	late []lateWrite
	tick int64
}

type memoryObject struct {
	body     []byte
	modified time.Time
}

// lateWrite is a write whose caller was told of a failure and that is still on
// its way.
type lateWrite struct {
	location string
	body     []byte
}

// NewMemory makes an empty store with that root, mem://warehouse for example.
func NewMemory(root string) *Memory {
	return &Memory{objects: &objects{root: strings.TrimSuffix(root, "/"), held: map[string]memoryObject{}}}
}

// Another returns a second handle on the same objects, with no faults.
func (m *Memory) Another() *Memory { return &Memory{objects: m.objects} }

// Crash ends this handle, as the death of a process would: unfinished objects
// vanish, and every later operation returns ErrCrashed. The handle that it
// returns is that of the next process.
func (m *Memory) Crash() *Memory {
	m.mu.Lock()
	m.crashed = true
	m.mu.Unlock()
	return m.Another()
}

// Clone copies the objects and the writes still on their way into a store of
// its own, so that a search can try several continuations of one state.
func (m *Memory) Clone() *Memory {
	o := m.objects
	o.mu.Lock()
	defer o.mu.Unlock()
	return &Memory{objects: &objects{
		root: o.root, held: maps.Clone(o.held), late: slices.Clone(o.late), tick: o.tick,
	}}
}

// LandLate carries out the writes that FaultLate left on their way, oldest
// first, and reports how many of them won their name.
func (m *Memory) LandLate() int {
	o := m.objects
	o.mu.Lock()
	late := o.late
	o.late = nil
	o.mu.Unlock()
	won := 0
	for _, w := range late {
		if o.put(w.location, w.body, false) == nil {
			won++
		}
	}
	return won
}

// IgnoreConditions makes writes replace what is there, as a store does that
// knows no conditional writes.
func (m *Memory) IgnoreConditions() {
	m.mu.Lock()
	m.clobber = true
	m.mu.Unlock()
}

// Root is the warehouse's location.
func (m *Memory) Root() string { return m.objects.root }

// Put creates an object with that body.
func (m *Memory) Put(ctx context.Context, location string, body []byte) error {
	return m.write(ctx, OpPut, location, body)
}

// Create begins an object.
func (m *Memory) Create(ctx context.Context, location string) (Writer, error) {
	err := m.do(ctx, Call{Op: OpCreate, Location: location}, func(outcome) error {
		if m.objects.has(location) {
			return ErrExists
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &memoryWriter{ctx: ctx, store: m, location: location}, nil
}

// Get reads a whole object.
func (m *Memory) Get(ctx context.Context, location string) ([]byte, error) {
	var body []byte
	err := m.do(ctx, Call{Op: OpGet, Location: location}, func(o outcome) error {
		held, err := m.objects.get(location)
		if err != nil {
			return err
		}
		body = bytes.Clone(held[:o.limit(len(held))])
		return nil
	})
	return body, err
}

// Open opens an object for random reads.
func (m *Memory) Open(ctx context.Context, location string) (Reader, error) {
	var body []byte
	err := m.do(ctx, Call{Op: OpOpen, Location: location}, func(outcome) error {
		var err error
		body, err = m.objects.get(location)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &memoryReader{ctx: ctx, store: m, location: location, body: body}, nil
}

// List yields the objects below a prefix, as they were when it was called.
func (m *Memory) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		var found []Object
		err := m.do(ctx, Call{Op: OpList, Location: prefix}, func(o outcome) error {
			if _, err := relativePrefix(m.Root(), prefix); err != nil {
				return err
			}
			found = m.objects.list(prefix)
			found = found[:o.limit(len(found))]
			return nil
		})
		for _, object := range found {
			if !yield(object, nil) {
				return
			}
		}
		if err != nil {
			yield(Object{}, err)
		}
	}
}

// Delete removes objects.
func (m *Memory) Delete(ctx context.Context, locations ...string) error {
	for _, location := range locations {
		err := m.do(ctx, Call{Op: OpDelete, Location: location}, func(outcome) error {
			m.objects.delete(location)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *Memory) write(ctx context.Context, op Operation, location string, body []byte) error {
	body = bytes.Clone(body)
	return m.do(ctx, Call{Op: op, Location: location, Size: int64(len(body))}, func(o outcome) error {
		if o.late {
			m.objects.mu.Lock()
			m.objects.late = append(m.objects.late, lateWrite{location: location, body: body})
			m.objects.mu.Unlock()
			return nil
		}
		m.mu.Lock()
		clobber := m.clobber
		m.mu.Unlock()
		return m.objects.put(location, body, clobber)
	})
}

func (o *objects) has(location string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, held := o.held[location]
	return held
}

func (o *objects) put(location string, body []byte, clobber bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, held := o.held[location]; held && !clobber {
		return ErrExists
	}
	o.tick++ // a clock that only counts keeps runs alike
	o.held[location] = memoryObject{body: body, modified: time.Unix(o.tick, 0).UTC()}
	return nil
}

func (o *objects) get(location string) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	object, held := o.held[location]
	if !held {
		return nil, ErrNotExist
	}
	return object.body, nil
}

func (o *objects) delete(location string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.held, location)
}

func (o *objects) list(prefix string) []Object {
	if prefix == o.root {
		prefix += "/"
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var found []Object
	for _, location := range slices.Sorted(maps.Keys(o.held)) {
		if strings.HasPrefix(location, prefix) {
			object := o.held[location]
			found = append(found, Object{Location: location, Size: int64(len(object.body)), Modified: object.modified})
		}
	}
	return found
}

// memoryWriter is an object of a Memory being written.
type memoryWriter struct {
	ctx      context.Context
	store    *Memory
	location string
	buffer   bytes.Buffer
	done     bool
}

// Write appends to the object.
func (w *memoryWriter) Write(p []byte) (int, error) {
	if w.done {
		return 0, fmt.Errorf("write %s: %w", w.location, fs.ErrClosed)
	}
	n := 0
	err := w.store.do(w.ctx, Call{Op: OpWrite, Location: w.location, Size: int64(len(p))}, func(o outcome) error {
		n, _ = w.buffer.Write(p[:o.limit(len(p))])
		return nil
	})
	return n, err
}

// Commit makes the object appear.
func (w *memoryWriter) Commit() error {
	if w.done {
		return fmt.Errorf("commit %s: %w", w.location, fs.ErrClosed)
	}
	w.done = true
	return w.store.write(w.ctx, OpCommit, w.location, w.buffer.Bytes())
}

// Abort drops what was written.
func (w *memoryWriter) Abort() {
	if w.done {
		return
	}
	w.done = true
	_ = w.store.do(context.WithoutCancel(w.ctx), Call{Op: OpAbort, Location: w.location},
		func(outcome) error { return nil })
}

// memoryReader reads an object of a Memory.
type memoryReader struct {
	ctx      context.Context
	store    *Memory
	location string
	body     []byte
}

// ReadAt reads at an offset.
func (r *memoryReader) ReadAt(p []byte, offset int64) (int, error) {
	n := 0
	err := r.store.do(r.ctx, Call{Op: OpRead, Location: r.location, Size: int64(len(p))}, func(o outcome) error {
		if offset < 0 {
			return errors.New("negative offset")
		}
		if offset < int64(len(r.body)) {
			n = copy(p[:o.limit(len(p))], r.body[offset:])
		}
		return nil
	})
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// Size is the object's size in bytes.
func (r *memoryReader) Size() int64 { return int64(len(r.body)) }

// Close ends reading.
func (r *memoryReader) Close() error { return nil }
