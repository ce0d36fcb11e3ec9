package storage

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Operation is one kind of thing that a store is asked to do.
type Operation string

// The operations of a Memory. A Writer's pieces, its Commit and its Abort are
// operations of their own, and so is each ReadAt and each deleted object.
const (
	OpPut    Operation = "put"
	OpCreate Operation = "create"
	OpWrite  Operation = "write"
	OpCommit Operation = "commit"
	OpAbort  Operation = "abort"
	OpGet    Operation = "get"
	OpOpen   Operation = "open"
	OpRead   Operation = "read"
	OpList   Operation = "list"
	OpDelete Operation = "delete"
)

// Call is one operation on a Memory.
type Call struct {
	Op       Operation
	Location string
	Size     int64 // bytes written or asked for
	Err      error // what the caller was told
}

// Event tells a hook that an operation is about to run, or has run. A hook may
// call Crash: the operation then does not happen, or its reply is lost.
type Event struct {
	Call
	After bool
}

// FaultMode says how an operation fails.
type FaultMode int

const (
	// FaultBefore: nothing happens, and the caller gets the error.
	FaultBefore FaultMode = iota
	// FaultAfter: it happens, and the caller gets the error: a lost reply.
	FaultAfter
	// FaultLate: the caller gets the error, and a write happens only when
	// LandLate is called: a request that is still on its way. Operations other
	// than Put and Commit happen at once.
	FaultLate
	// FaultPartial: the first Limit bytes (of Write, Get, Read) or entries (of
	// List) are done, then the caller gets the error. A write to a name is
	// whole or not at all, so there it is FaultBefore.
	FaultPartial
	// FaultSlow: the operation waits for Release or the end of its context,
	// then goes on; Err is not used.
	FaultSlow
)

// Fault makes operations fail. The first fault that matches a call applies.
type Fault struct {
	Mode    FaultMode
	Match   func(Call) bool // nil matches every call
	Err     error           // what the caller is told
	Times   int             // how often it applies; 0 is for ever
	Limit   int             // for FaultPartial
	Release <-chan struct{} // for FaultSlow

	used int
}

// On matches an operation on locations that contain a text.
func On(op Operation, part string) func(Call) bool {
	return func(c Call) bool { return c.Op == op && strings.Contains(c.Location, part) }
}

// Inject arms a fault and returns the function that disarms it.
func (m *Memory) Inject(f Fault) (remove func()) {
	if f.Err == nil && f.Mode != FaultSlow {
		panic("BUG: a fault without an error")
	}
	armed := &f
	m.mu.Lock()
	m.faults = append(m.faults, armed)
	m.mu.Unlock()
	return func() {
		m.mu.Lock()
		m.faults = slices.DeleteFunc(m.faults, func(have *Fault) bool { return have == armed })
		m.mu.Unlock()
	}
}

// Hook sets the function that is called before and after every operation of
// this handle, by the goroutine of the operation and without a lock held.
func (m *Memory) Hook(hook func(Event)) {
	m.mu.Lock()
	m.hook = hook
	m.mu.Unlock()
}

// Calls lists this handle's operations so far, in the order of their ends.
func (m *Memory) Calls() []Call {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.calls)
}

// outcome is what a fault leaves of an operation.
type outcome struct {
	late    bool
	partial bool
	max     int
}

func (o outcome) limit(n int) int {
	if o.partial {
		return min(n, o.max)
	}
	return n
}

// do runs one operation under the handle's hook and faults.
func (m *Memory) do(ctx context.Context, call Call, act func(outcome) error) error {
	m.tell(Event{Call: call})
	err := m.attempt(ctx, call, act)
	if err != nil {
		err = fmt.Errorf("%s %s: %w", call.Op, call.Location, err)
	}
	call.Err = err
	m.tell(Event{Call: call, After: true})
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed { // nobody is left to hear the reply
		call.Err = fmt.Errorf("%s %s: %w", call.Op, call.Location, ErrCrashed)
	}
	m.calls = append(m.calls, call)
	return call.Err
}

func (m *Memory) attempt(ctx context.Context, call Call, act func(outcome) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if call.Op != OpList {
		if _, err := relative(m.Root(), call.Location); err != nil {
			return err
		}
	}
	fault, armed := m.take(call)
	if armed && fault.Mode == FaultSlow {
		select {
		case <-fault.Release:
		case <-ctx.Done():
			return ctx.Err()
		}
		armed = false
	}
	if m.isCrashed() {
		return ErrCrashed
	}
	if !armed {
		return act(outcome{})
	}
	return fault.apply(call.Op, act)
}

// apply does what the fault leaves of the operation and returns its error. The
// operation's own refusal is not seen: the reply that told of it is lost.
func (f Fault) apply(op Operation, act func(outcome) error) error {
	write := op == OpPut || op == OpCommit
	switch f.Mode {
	case FaultAfter:
		_ = act(outcome{})
	case FaultLate:
		_ = act(outcome{late: write})
	case FaultPartial:
		if !write && op != OpDelete {
			_ = act(outcome{partial: true, max: f.Limit})
		}
	}
	return f.Err
}

func (m *Memory) take(call Call) (Fault, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, f := range m.faults {
		if f.Match != nil && !f.Match(call) {
			continue
		}
		f.used++
		if f.used == f.Times {
			m.faults = slices.Delete(m.faults, i, i+1)
		}
		return *f, true
	}
	return Fault{}, false
}

func (m *Memory) tell(e Event) {
	m.mu.Lock()
	hook := m.hook
	m.mu.Unlock()
	if hook != nil {
		hook(e)
	}
}

func (m *Memory) isCrashed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.crashed
}
