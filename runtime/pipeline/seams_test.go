package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/lakehouse/storage"
)

// call is something that a process asks of the world: where (the seam) and of
// what (a table, an epoch's number). The seams are
//
//	poll                                      of the source
//	file, file-create, file-write             of data files; detail: the table
//	manifest, manifest-list, metadata         of a table's metadata; detail: the table
//	record, read-record, floor, log, delete   of the epoch log; detail: the number
//	request, requests, read-request           of requests; detail: the id
//	read                                      of any other object
//	namespace, load, create, commit           of the catalog; detail: the tables
//	schema                                    a commit that changes a table's schema
type call struct{ seam, detail string }

func (c call) String() string { return strings.TrimSpace(c.seam + " " + c.detail) }

// matches tells whether c is what a scenario names: a seam, and a part of the
// detail after a colon.
func (c call) matches(pattern string) bool {
	seam, detail, _ := strings.Cut(pattern, ":")
	return c.seam == seam && strings.Contains(c.detail, detail)
}

var tableFolder = regexp.MustCompile(`^([^/]+)/(.+)-[0-9a-f]{8}/(data|metadata)/`)

// storeCall names an operation of the store.
func storeCall(c storage.Call) call {
	below := strings.TrimPrefix(c.Location, storeRoot+"/")
	if number, ok := strings.CutPrefix(below, "_calve/"+pipelineName+"/epochs/"); ok {
		return logCall(c.Op, number)
	}
	if id, ok := strings.CutPrefix(below, "_calve/"+pipelineName+"/requests/"); ok {
		return requestCall(c.Op, id)
	}
	if strings.HasPrefix(below, "_calve/"+pipelineName+"/state/") {
		if c.Op == storage.OpPut {
			return call{"state", ""}
		}
		return call{"read", ""}
	}
	if strings.HasPrefix(below, "_calve/") {
		if c.Op == storage.OpPut {
			return call{"floor", ""}
		}
		return logCall(c.Op, "")
	}
	parts := tableFolder.FindStringSubmatch(below)
	if parts == nil {
		return call{"read", ""}
	}
	name := parts[1] + "." + parts[2]
	switch c.Op {
	case storage.OpCommit:
		return call{"file", name}
	case storage.OpCreate, storage.OpWrite, storage.OpAbort:
		return call{"file-" + string(c.Op), name}
	case storage.OpPut:
		switch {
		case strings.HasSuffix(below, "-m0.avro"):
			return call{"manifest", name}
		case strings.Contains(below, "/snap-"):
			return call{"manifest-list", name}
		}
		return call{"metadata", name}
	case storage.OpDelete:
		return call{"delete", name}
	}
	return call{"read", name}
}

func requestCall(op storage.Operation, id string) call {
	switch op {
	case storage.OpPut:
		return call{"request", id}
	case storage.OpGet:
		return call{"read-request", id}
	case storage.OpDelete:
		return call{"delete", "request " + id}
	}
	return call{"requests", ""}
}

func logCall(op storage.Operation, number string) call {
	n, _ := strconv.Atoi(number)
	switch op {
	case storage.OpPut:
		return call{"record", strconv.Itoa(n)}
	case storage.OpGet:
		return call{"read-record", strconv.Itoa(n)}
	case storage.OpDelete:
		return call{"delete", strconv.Itoa(n)}
	}
	return call{"log", ""}
}

// fault is what a scenario asks to go wrong, as in
//
//	fault=(record: lost-reply)
//	fault=(commit:staging.orders: before times=3 error=conflict)
//
// Modes: before (it does not happen), lost-reply or after (it happens, and the
// caller hears an error), late (it happens at the command land), partial
// (limit=BYTES of it), slow (by=DURATION), crash-before, crash-after, stop (the
// process is asked to, before it). times=0 is for ever, nth=N spares the first N−1 calls.
type fault struct {
	pattern string
	match   func(call) bool // in place of a pattern, where a search makes the fault
	mode    string
	times   int
	nth     int
	limit   int
	by      time.Duration
	err     error
	seen    int
	used    int
}

// injected is an error that a fault made.
type injected struct {
	mode string
	error
}

func (e *injected) Unwrap() error { return e.error }

var faultErrors = map[string]error{
	"reset":      errors.New("connection reset"),
	"no-space":   storage.ErrNoSpace,
	"permission": storage.ErrPermission,
	"conflict":   catalog.ErrConflict,
	"refused":    catalog.ErrUnauthorized,
}

func parseFault(text string) (*fault, error) {
	f := &fault{times: 1, nth: 1, by: time.Second}
	cut := strings.LastIndex(text, ": ")
	if cut < 0 {
		return nil, fmt.Errorf("fault %q: expected SEAM: MODE", text)
	}
	f.pattern = text[:cut]
	words := strings.Fields(text[cut+2:])
	kind := "reset"
	for i, w := range words {
		key, value, _ := strings.Cut(w, "=")
		var err error
		switch {
		case i == 0:
			f.mode = w
		case key == "times":
			f.times, err = strconv.Atoi(value)
		case key == "nth":
			f.nth, err = strconv.Atoi(value)
		case key == "limit":
			f.limit, err = strconv.Atoi(value)
		case key == "by":
			f.by, err = time.ParseDuration(value)
		case key == "error":
			kind = value
		default:
			err = fmt.Errorf("unknown word %q", w)
		}
		if err != nil {
			return nil, fmt.Errorf("fault %q: %w", text, err)
		}
	}
	base, ok := faultErrors[kind]
	if !ok || f.mode == "" {
		return nil, fmt.Errorf("fault %q: unknown error %q, or no mode", text, kind)
	}
	f.err = &injected{f.mode, base}
	return f, nil
}

// applies counts the calls that the fault could apply to.
func (f *fault) applies(c call) bool {
	if f.match == nil && !c.matches(f.pattern) || f.match != nil && !f.match(c) {
		return false
	}
	f.seen++
	if f.seen < f.nth || f.times > 0 && f.used == f.times {
		return false
	}
	f.used++
	return true
}

var storeModes = map[string]storage.FaultMode{
	"before": storage.FaultBefore, "lost-reply": storage.FaultAfter, "after": storage.FaultAfter,
	"late": storage.FaultLate, "partial": storage.FaultPartial, "slow": storage.FaultSlow,
}

// arm makes a fault happen to the process.
func (p *process) arm(f *fault) error {
	mode, known := storeModes[f.mode]
	if !known && !slices.Contains([]string{"crash-before", "crash-after", "stop"}, f.mode) {
		return fmt.Errorf("unknown fault mode %q", f.mode)
	}
	p.faults = append(p.faults, f)
	if !known {
		return nil // at the hooks
	}
	release := make(chan struct{})
	p.store.Inject(storage.Fault{Mode: mode, Err: f.err, Limit: f.limit, Release: release, Match: func(c storage.Call) bool {
		if !f.applies(storeCall(c)) {
			return false
		}
		if f.mode == "slow" && f.used == 1 {
			time.AfterFunc(f.by, func() { close(release) })
		}
		return true
	}})
	return nil
}

// pass makes a call of a seam other than the store's, under the faults.
func (p *process) pass(c call, act func() error) error {
	p.before(c)
	err := p.attempt(c, act)
	p.after(c, err)
	return err
}

func (p *process) attempt(c call, act func() error) error {
	for _, f := range p.faults {
		if _, known := storeModes[f.mode]; !known || !f.applies(c) {
			continue
		}
		switch f.mode {
		case "slow":
			time.Sleep(f.by)
			return act()
		case "lost-reply", "after":
			_ = act() // its outcome is what is lost
		case "late":
			p.world.late = append(p.world.late, act)
		}
		return f.err
	}
	return act()
}

// before and after stand around every call of every seam.
func (p *process) before(c call) {
	p.mustLive()
	if p.passed != nil {
		p.passed(c)
	}
	p.stopIf(c)
	p.crashIf(c, "crash-before")
	p.mustLive()
	p.reach("before-"+c.seam, c.detail)
}

func (p *process) after(c call, err error) {
	p.mustLive()
	p.note(c, err)
	p.crashIf(c, "crash-after")
	p.mustLive()
	if err == nil {
		p.reach(c.seam, c.detail)
	}
}

func (p *process) crashIf(c call, mode string) {
	for _, f := range p.faults {
		if f.mode == mode && f.applies(c) {
			p.say("%s crashes", p.nonce)
			p.die()
		}
	}
}

// stopIf asks the process to stop, as a signal does.
func (p *process) stopIf(c call) {
	for _, f := range p.faults {
		if f.mode == "stop" && f.applies(c) {
			p.mu.Lock()
			p.asked = true
			p.mu.Unlock()
			p.stop()
		}
	}
}

func (p *process) onStore(e storage.Event) {
	c := storeCall(e.Call)
	switch {
	case e.Op == storage.OpAbort: // what a dying process still does
	case e.Op == storage.OpOpen || e.Op == storage.OpRead:
		p.onFile(c, e)
	case e.After:
		p.after(c, e.Err)
	default:
		p.before(c)
	}
}

// onFile is onStore for calls that libraries make in goroutines of their own:
// one that just ended would look to them like one that has done its work. A dead
// process is told of its crash instead, and ends at its next call of its own.
func (p *process) onFile(c call, e storage.Event) {
	switch {
	case p.isDead():
		return
	case !e.After:
		if p.passed != nil {
			p.passed(c)
		}
		p.stopIf(c)
		p.crashIf(c, "crash-before")
		return
	}
	p.note(c, e.Err)
	p.crashIf(c, "crash-after")
}

// note tells of calls that change what others see, and of those that fail.
func (p *process) note(c call, err error) {
	var fault *injected
	told := slices.Contains([]string{"file", "record", "floor", "create", "commit", "schema"}, c.seam)
	switch {
	case err == nil && told:
		p.say("%s", c)
	case errors.As(err, &fault):
		p.say("%s: %s (%v)", c, fault.mode, fault.error)
	case errors.Is(err, storage.ErrExists):
		p.say("%s: exists", c)
	case errors.Is(err, catalog.ErrConflict):
		p.say("%s: conflict", c)
	case err != nil && told:
		p.say("%s: %v", c, err)
	}
}

// seamCatalog is a catalog as a process sees it.
type seamCatalog struct {
	lakehouse.Catalog
	process *process
}

func (s seamCatalog) Atomic() bool { return !s.process.world.separate && s.Catalog.Atomic() }

func (s seamCatalog) EnsureNamespace(ctx context.Context, namespace string) error {
	return s.process.pass(call{"namespace", namespace}, func() error { return s.Catalog.EnsureNamespace(ctx, namespace) })
}

func (s seamCatalog) Load(ctx context.Context, id catalog.Identifier) (loaded *table.Table, err error) {
	err = s.process.pass(call{"load", id.String()}, func() (err error) {
		loaded, err = s.Catalog.Load(ctx, id)
		return err
	})
	return loaded, err
}

func (s seamCatalog) Create(ctx context.Context, id catalog.Identifier, spec catalog.CreateSpec) (created *table.Table, err error) {
	err = s.process.pass(call{"create", id.String()}, func() (err error) {
		created, err = s.Catalog.Create(ctx, id, spec)
		return err
	})
	return created, err
}

func (s seamCatalog) Commit(ctx context.Context, commits []table.TableCommit) error {
	if !s.process.world.backwards {
		return s.commit(ctx, commits)
	}
	for _, c := range slices.Backward(commits) {
		if err := s.commit(ctx, []table.TableCommit{c}); err != nil {
			return err
		}
	}
	return nil
}

func (s seamCatalog) commit(ctx context.Context, commits []table.TableCommit) error {
	names := make([]string, len(commits))
	for i, c := range commits {
		names[i] = strings.Join(c.Identifier, ".")
	}
	seam := "commit"
	if changesSchema(commits) {
		seam = "schema"
	}
	return s.process.pass(call{seam, strings.Join(names, " ")}, func() error {
		if s.process.isDead() { // a request that outlived its process
			return s.process.world.catalog.Commit(context.WithoutCancel(ctx), commits)
		}
		return s.Catalog.Commit(ctx, commits)
	})
}
