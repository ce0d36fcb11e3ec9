package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/record"
)

// process is a lake that dies at one of the writes that it asks of the store or
// the catalog, before it is done or after, or never. (To die at a read is to die
// before the next write.)
type process struct {
	*Lake
	ctx     context.Context // ends with it
	end     func()
	catalog Catalog
	store   *storage.Memory
	after   bool
	left    int // writes until it dies
	dead    bool
}

func (w *world) process(nonce string, at int, after bool) *process {
	p := &process{catalog: w.catalog, store: w.store.Another(), after: after, left: at}
	p.ctx, p.end = context.WithCancel(w.t.Context())
	p.store.Hook(func(e storage.Event) {
		if e.Op == storage.OpPut || e.Op == storage.OpCommit {
			p.write(e.After)
		}
	})
	p.Lake = w.lake(nonce)
	p.Lake.store, p.Lake.catalog = p.store, p
	return p
}

func (p *process) write(after bool) {
	if after != p.after || p.dead {
		return
	}
	if p.left--; p.left == 0 {
		p.dead = true
		p.store.Crash()
		p.end()
	}
}

func (p *process) EnsureNamespace(ctx context.Context, namespace string) error {
	return p.catalog.EnsureNamespace(ctx, namespace)
}

func (p *process) Create(ctx context.Context, id catalog.Identifier, spec catalog.CreateSpec) (*table.Table, error) {
	return p.catalog.Create(ctx, id, spec)
}

func (p *process) Atomic() bool { return p.catalog.Atomic() }

func (p *process) Load(ctx context.Context, id catalog.Identifier) (*table.Table, error) {
	if p.dead {
		return nil, storage.ErrCrashed
	}
	return p.catalog.Load(ctx, id)
}

func (p *process) Commit(ctx context.Context, commits []table.TableCommit) error {
	p.write(false)
	if p.dead {
		return storage.ErrCrashed
	}
	err := p.catalog.Commit(ctx, commits)
	p.write(true)
	if p.dead {
		return storage.ErrCrashed
	}
	return err
}

// tryEpoch carries an epoch through as far as the process lives. between runs
// after the record.
func (w *world) tryEpoch(ctx context.Context, l *Lake, changes map[string][]change, between func()) error {
	s, err := l.Start(ctx, w.keyedDefinitions())
	if err != nil {
		return err
	}
	if s.Last >= 3 {
		return nil
	}
	e, err := w.tryChanges(ctx, l, s, changes)
	if err != nil {
		return err
	}
	if err := l.Log().Append(ctx, e); err != nil {
		return err
	}
	between()
	return l.Commit(ctx, e)
}

// tryChanges makes the record of an epoch that changes keyed tables.
func (w *world) tryChanges(ctx context.Context, l *Lake, s *Start, changes map[string][]change) (*Epoch, error) {
	e := &Epoch{Number: s.Last + 1, Pipeline: "shop", Writer: l.nonce, Host: "h", Readers: []Reader{}, Changes: []TableChange{}}
	epochs := maps.Clone(s.Epochs)
	for _, name := range []string{membersTable, regionsTable} {
		if len(changes[name]) == 0 {
			continue
		}
		writer, err := s.Tables[name].NewChangeWriter(l.Names(e.Number), ChangeConfig{})
		if err != nil {
			return nil, err
		}
		if err := writer.Write(ctx, w.changelog(changes[name])); err != nil {
			return nil, err
		}
		made, err := writer.Close(ctx, s.Epochs[name])
		if err != nil {
			return nil, err
		}
		e.Changes = append(e.Changes, made)
		epochs[name] = e.Number
	}
	for name, t := range s.Tables {
		e.Tables = append(e.Tables, TableState{Table: name, UUID: t.UUID, Epoch: epochs[name]})
	}
	return e, nil
}

// death is where a process dies, and in which world.
type death struct{ separate, compacts, after, clustered, vectors bool }

// A process dies at each write, from the upload to the end of the commit, while
// another engine compacts or not; the next one carries on.
func TestKeyedEpochSurvivesDeathAtEachWrite(t *testing.T) {
	for _, c := range []death{
		{},
		{compacts: true, after: true},
		{separate: true, compacts: true, clustered: true},
		{separate: true, after: true, clustered: true},
		{vectors: true},
		{vectors: true, compacts: true, after: true},
		{vectors: true, separate: true, compacts: true, clustered: true},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			t.Parallel()
			at := 1
			for ; dieAt(t, at, c); at++ {
				if at > 100 {
					t.Fatal("the process never lives to the end")
				}
			}
			if at < 10 {
				t.Errorf("%d deaths, want one at each of ten writes or more", at-1)
			}
		})
	}
}

// dieAt runs one death and tells whether it came to pass.
func dieAt(t *testing.T, at int, c death) bool {
	w := newWorld(t)
	w.catalog.separate, w.vectors = c.separate, c.vectors
	if w.clustered = c.clustered; c.clustered {
		w.layout, w.flat = smallLayout, true
	}
	l := w.lake("w1")
	s := w.startKeyed(l)
	want := map[string]members{membersTable: {}, regionsTable: {}}
	do := func(name string, changes ...change) {
		w.change(l, s, name, changes...)
		want[name].apply(changes)
	}
	do(membersTable, created("a", "eu", 1), created("b", "us", 2), created("c", "us", 3))
	do(regionsTable, created("a", "eu", 1), created("b", "us", 2), created("c", "", 3))
	third := map[string][]change{
		membersTable: {amended("a", "us", 10), gone("b"), created("d", "eu", 4)},
		regionsTable: {amended("c", "eu", 30), gone("a"), created("e", "us", 5)},
	}
	compact := func() {
		if c.compacts {
			w.compactKeyed(membersTable, every)
			w.compactKeyed(regionsTable, every)
		}
	}
	p := w.process("w2", at, c.after)
	defer p.end()
	if err := w.tryEpoch(p.ctx, p.Lake, third, compact); err != nil && !p.dead {
		t.Fatalf("write %d: %v", at, err)
	}
	if err := w.tryEpoch(t.Context(), w.lake("w3"), third, compact); err != nil {
		t.Fatalf("after death at write %d: %v", at, err)
	}
	for name, changes := range third {
		want[name].apply(changes)
		w.expect(name, want[name])
	}
	last := w.lake("w4")
	s = w.startKeyed(last)
	if s.Last != 3 || s.Completed {
		t.Fatalf("after death at write %d: start %+v, want behind epoch 3", at, s)
	}
	w.change(last, s, membersTable, amended("d", "eu", 40), gone("c"))
	want[membersTable].apply([]change{amended("d", "eu", 40), gone("c")})
	w.expect(membersTable, want[membersTable])
	if t.Failed() {
		t.Fatalf("death at write %d", at)
	}
	return p.dead
}

// story is a random sequence of what writers and other engines do to two keyed
// tables, and what the tables should hold.
type story struct {
	*world
	rng    *rand.Rand
	want   map[string]members
	lake   *Lake
	start  *Start
	nonces int
	told   []string // for the report of a failure
	late   []func() // zombies that wake up later
}

func TestKeyedTablesEqualAMap(t *testing.T) {
	for seed := range uint64(29) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s := &story{world: newWorld(t), rng: rand.New(rand.NewPCG(seed, 1)), want: map[string]members{membersTable: {}, regionsTable: {}}}
			s.catalog.separate, s.vectors = seed%2 == 0, seed >= 20
			if s.clustered = seed%4 > 1; seed%3 > 0 {
				s.layout = smallLayout
			}
			s.flat = s.clustered && seed%5 > 0
			defer func() {
				if t.Failed() {
					t.Logf("seed %d: %v", seed, s.told)
				}
			}()
			s.takeOver()
			for range 14 {
				s.step()
			}
		})
	}
}

func (s *story) tell(format string, args ...any) {
	s.told = append(s.told, fmt.Sprintf(format, args...))
}

// takeOver starts the next process. What was decided is committed then.
func (s *story) takeOver() {
	s.t.Helper()
	s.nonces++
	s.lake = s.world.lake(fmt.Sprintf("w%d", s.nonces))
	s.start = s.startKeyed(s.lake)
}

func (s *story) step() {
	s.t.Helper()
	if s.rng.IntN(4) == 0 {
		s.compactSome()
	}
	if s.rng.IntN(8) == 0 {
		name := s.table()
		s.tell("column added to %s", name)
		s.schema(name, addField(fmt.Sprintf("extra%d", len(s.told)), iceberg.PrimitiveTypes.String, false))
	}
	if s.rng.IntN(6) == 0 && len(s.late) > 0 {
		s.tell("zombie wakes")
		s.late[0]()
		s.late = s.late[1:]
	}
	s.epoch()
	for name, want := range s.want {
		s.expect(name, want)
	}
	if s.t.Failed() {
		s.t.FailNow()
	}
}

func (s *story) table() string { return []string{membersTable, regionsTable}[s.rng.IntN(2)] }

func (s *story) compactSome() {
	s.t.Helper()
	name, share := s.table(), 1+s.rng.IntN(3)
	s.tell("%s compacted", name)
	s.compactKeyed(name, func(string) bool { return s.rng.IntN(share) == 0 })
}

func (s *story) changes() map[string][]change {
	all := map[string][]change{}
	for _, name := range []string{membersTable, regionsTable} {
		if s.rng.IntN(4) == 0 {
			continue
		}
		for range s.rng.IntN(12) {
			all[name] = append(all[name], change{
				op: []record.Op{record.OpCreate, record.OpUpdate, record.OpDelete}[s.rng.IntN(3)], key: fmt.Sprintf("k%03d", s.rng.IntN(40)),
				member: member{[]string{"", "eu", "us", emptyRegion}[s.rng.IntN(4)], s.rng.Int32N(100)},
			})
		}
	}
	return all
}

// epoch decides and commits an epoch, with whatever may go wrong.
func (s *story) epoch() {
	s.t.Helper()
	changes := s.changes()
	s.tell("epoch %d: %v", s.start.Last+1, changes)
	e, err := s.tryChanges(s.t.Context(), s.lake, s.start, changes)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.rng.IntN(8) == 0 {
		s.tell("dies before the record")
		s.takeOver()
		return
	}
	if s.rng.IntN(5) == 0 {
		s.overtaken(e)
		return
	}
	if s.rng.IntN(5) == 0 {
		s.tell("reply of the record is lost")
		s.store.Inject(storage.Fault{Mode: storage.FaultAfter, Match: storage.On(storage.OpPut, "/epochs/"), Err: storage.ErrUnknown, Times: 1})
	}
	if err := s.lake.Log().Append(s.t.Context(), e); err != nil {
		s.t.Fatal(err)
	}
	for name, c := range changes {
		s.want[name].apply(c)
	}
	s.carry(e)
}

// carry commits a decided epoch, by this process or the next.
func (s *story) carry(e *Epoch) {
	s.t.Helper()
	if s.rng.IntN(3) == 0 {
		s.compactSome()
	}
	if s.rng.IntN(4) == 0 {
		s.tell("dies after the record")
		zombie := s.lake
		s.late = append(s.late, func() { s.wake(zombie, e) })
		s.takeOver()
		return
	}
	s.troubleCommits()
	if err := s.lake.Commit(s.t.Context(), e); err != nil {
		s.t.Fatalf("commit epoch %d: %v", e.Number, err)
	}
	s.catalog.before, s.catalog.after, s.catalog.onCommit = nil, nil, nil
	s.start.Last = e.Number
	for _, c := range e.Changes {
		s.start.Epochs[c.Table] = e.Number
	}
}

// troubleCommits arms what may happen to the next commits.
func (s *story) troubleCommits() {
	for range s.rng.IntN(4) {
		lost := errors.New("connection reset")
		switch s.rng.IntN(4) {
		case 0:
			s.tell("commit does not arrive")
			s.catalog.before = append(s.catalog.before, lost)
		case 1:
			s.tell("reply of a commit is lost")
			s.catalog.after = append(s.catalog.after, nil, lost)[:1+s.rng.IntN(2)]
		case 2:
			left := 1 + s.rng.IntN(2)
			s.catalog.onCommit = func(int) {
				if left--; left >= 0 {
					s.compactSome()
				}
			}
		}
	}
}

// overtaken lets another writer decide the number first.
func (s *story) overtaken(e *Epoch) {
	s.t.Helper()
	s.tell("overtaken")
	late := s.lake
	s.takeOver()
	changes := s.changes()
	s.tell("instead: %v", changes)
	other, err := s.tryChanges(s.t.Context(), s.lake, s.start, changes)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.lake.Log().Append(s.t.Context(), other); err != nil {
		s.t.Fatal(err)
	}
	if err := late.Log().Append(s.t.Context(), e); !errors.Is(err, ErrFenced) {
		s.t.Fatalf("got %v, want ErrFenced", err)
	}
	for name, c := range changes {
		s.want[name].apply(c)
	}
	s.carry(other)
}

// wake lets a writer that slept since its record commit what a successor has
// committed.
func (s *story) wake(zombie *Lake, e *Epoch) {
	s.t.Helper()
	if err := zombie.Commit(s.t.Context(), e); err != nil && !errors.Is(err, ErrFenced) {
		s.t.Fatalf("zombie commits epoch %d: %v", e.Number, err)
	}
}
