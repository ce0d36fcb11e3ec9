package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/decode"
	"github.com/calvelake/calve/runtime/record"
)

// TestRandomSequences plays sequences of random events; see sequence.
func TestRandomSequences(t *testing.T) {
	const sequences = 6
	first := beginning(t)
	for i := range uint64(sequences) {
		playSequence(t, first+i)
	}
}

// TestSoakRandomSequences plays fixed sequences, and others for as long as
// CALVE_SOAK says.
func TestSoakRandomSequences(t *testing.T) {
	for seed := range uint64(2) {
		playSequence(t, seed)
	}
	first, began, n := rand.Uint64(), time.Now(), uint64(0)
	for ; time.Since(began) < soakTime(t) && !t.Failed(); n++ {
		playSequence(t, first+n)
	}
	t.Logf("%d sequences from seed %d", n, first)
}

// playSequence is one sequence in a world of its own. The same seed gives the
// same sequence.
func playSequence(t *testing.T, seed uint64) {
	// Outside of the bubble, where time is real.
	watch := time.AfterFunc(10*time.Minute, func() { panic(fmt.Sprintf("the sequence of seed %d does not end", seed)) })
	defer watch.Stop()
	inBubble(t, func(t *testing.T) {
		s := newSequence(t, seed)
		defer s.world.close()
		if err := s.play(); err != nil {
			t.Errorf("seed %d: %v\n%s", seed, err, indent(s.story))
		}
	})
}

// sequence is random events: records arrive, writers are started beside each
// other, stand still at some call and go on later, calls fail in every way,
// processes die, other engines append and compact, requests land late. From
// time to time all is let settle, and nothing must be lost or there twice.
type sequence struct {
	*rand.Rand
	world    *world
	options  runOptions
	records  []string // as recordTexts
	produced int
	foreign  map[catalog.Identifier]int // rows appended by others
	columns  int                        // added by others
	story    []string
}

var writers = []string{"a", "b", "c"}

func newSequence(t *testing.T, seed uint64) *sequence {
	w := newQuickWorld(t)
	s := &sequence{Rand: rand.New(rand.NewPCG(seed, 2)), world: w, foreign: map[catalog.Identifier]int{}}
	w.separate = s.IntN(2) == 0
	w.models = []modelSpec{{name: "by_kind", topic: "events", plugin: true}, {name: "all", topic: "events", onChange: decode.SchemaChangeAppend}}
	if s.IntN(2) == 0 {
		w.censuses = []censusOf{"all"}
	}
	s.records = recordTexts
	if s.IntN(2) == 0 {
		w.models = append(w.models, starModels...)
		w.star = s.IntN(2) == 0
		s.records = slices.Concat(recordTexts, starTexts)
	}
	w.broker.create("events", 2)
	s.options = runOptions{
		interval: 10 * time.Second, maxBytes: int64(1 + s.IntN(200)), poll: 1 + s.IntN(6),
		pruneEvery: int64(1 + s.IntN(5)), discover: time.Minute, heartbeat: time.Duration(s.IntN(3)) * time.Minute,
	}
	s.tell("%d bytes an epoch, polls of %d, pruned every %d, table by table: %v", s.options.maxBytes, s.options.poll, s.options.pruneEvery, w.separate)
	return s
}

func (s *sequence) tell(format string, args ...any) {
	s.story = append(s.story, fmt.Sprintf(format, args...))
}

func (s *sequence) play() error {
	const rounds, events = 3, 16
	for round := range rounds {
		for range events {
			if err := s.event(); err != nil {
				return err
			}
		}
		if round == 0 && s.IntN(2) == 0 {
			s.tell("a model is added")
			s.world.models = append(s.world.models, modelSpec{name: "late", topic: "events"})
		}
		if round == 0 && len(s.world.censuses) == 0 && s.IntN(2) == 0 {
			s.tell("a keyed model is added")
			s.world.censuses = []censusOf{"all"}
		}
		if round == 0 && slices.ContainsFunc(s.world.models, func(m modelSpec) bool { return m.name == starModels[0].name }) && !s.world.star {
			s.tell("a star is added")
			s.world.star = true
		}
		if err := s.settle(); err != nil {
			return err
		}
	}
	return nil
}

// event is one random event.
func (s *sequence) event() error {
	switch s.IntN(17) {
	case 16:
		return s.ask()
	case 0, 1, 2:
		return s.produce()
	case 3:
		return s.crash(writers[s.IntN(len(writers))])
	case 4:
		return s.alterTable()
	case 5:
		s.tell("%v", s.world.landLate())
		return nil
	case 6:
		if n := len(s.world.broker.topics["events"].partitions); n < 4 && s.IntN(3) == 0 {
			s.tell("partition %d is added", n)
			return s.world.broker.grow("events", n+1)
		}
		return s.produce()
	}
	if s.IntN(2) == 0 {
		if err := s.produce(); err != nil {
			return err
		}
	}
	return s.run(writers[s.IntN(len(writers))])
}

// ask asks for a replay, or now and then a discard, of what is dead by now. The
// models refuse all of it again: what counts is that each letter is taken once.
func (s *sequence) ask() error {
	r := lakehouse.LetterRequest{Version: lakehouse.RequestVersion, Kind: lakehouse.RequestReplay, ID: fmt.Sprintf("r%03d", len(s.story))}
	if s.IntN(3) == 0 {
		r.Kind, r.Filter.Models = lakehouse.RequestDiscard, []string{"all"}
	}
	s.tell("request %s asks for a %s", r.ID, r.Kind)
	return s.world.lake().Requests().Put(context.Background(), r)
}

var recordTexts = []string{`{"id":%d}`, `{"id":%d,"kind":"twice"}`, `{"id":%d,"kind":"drop"}`, `{"id":%d,"kind":"reject"}`, `{"no id":%d}`, `%d no json`,
	`{"id":%d,"color":"red"}`, `{"id":%d,"size":1}`, `{"id":%d,"size":5000000000}`, // which widens the column
}

// starTexts are records of a star, whose members are few.
var starTexts = []string{
	`{"id":%d,"kind":"c:m"}`, `{"id":%d,"kind":"c:n"}`, `{"id":%d,"kind":"c:n"}`, `{"id":%d,"kind":"c:o"}`,
	`{"id":%d,"kind":"o:m"}`, `{"id":%d,"kind":"o:n"}`, `{"id":%d,"kind":"o:o"}`, `{"id":%d,"kind":"o:p"}`,
}

func (s *sequence) produce() error {
	partitions := len(s.world.broker.topics["events"].partitions)
	tp := record.TopicPartition{Topic: "events", Partition: int32(s.IntN(partitions))}
	n := 1 + s.IntN(6)
	s.tell("%d records arrive at %s", n, tp)
	return s.world.broker.change(tp, func(p *partition) {
		for range n {
			s.produced++
			p.append(nil, fmt.Appendf(nil, s.records[s.IntN(len(s.records))], s.produced))
		}
		p.end += int64(s.IntN(2)) // a control record
	})
}

func (s *sequence) crash(writer string) error {
	p := s.world.processes[writer]
	if p == nil || p.hasEnded() {
		return nil
	}
	s.tell("%s dies", p.nonce)
	p.crash()
	return s.judge(p)
}

// alterTable is what other engines may do to a table.
func (s *sequence) alterTable() error {
	id := staging(s.world.models[s.IntN(2)].name)
	if _, err := s.world.load(id); errors.Is(err, catalog.ErrNoSuchTable) {
		return nil
	}
	switch s.IntN(5) {
	case 0, 1:
		s.tell("%s is compacted", id)
		return s.world.foreignCompact(id)
	case 2:
		s.columns++
		s.tell("a column is added to %s", id)
		return s.world.foreignColumn(id, fmt.Sprintf("theirs_%d", s.columns))
	}
	s.foreign[id]++
	s.tell("a row is appended to %s", id)
	return s.world.foreignAppend(id, int64(s.foreign[id]))
}

var (
	// The more often a name is there, the more often it is drawn.
	faultySeams = []string{
		"poll", "file", "file-create", "file-write", "manifest", "manifest-list", "read-record", "floor", "log", "delete", "read", "namespace", "create",
		"load", "load", "record", "record", "record", "record", "commit", "commit", "commit", "commit", "schema", "schema",
	}
	lateSeams  = []string{"schema", "file", "manifest", "manifest-list", "floor", "record", "record", "record", "commit", "commit", "commit"}
	stoppingAt = []string{
		"", "idle", "idle", "idle", "start", "polled", "file", "before-manifest", "manifest-list", "load", "read-record", "log", "before-log", "floor", "before-floor", "delete",
		"before-record", "before-record", "before-record", "record", "record", "record", "before-commit", "before-commit", "before-commit", "commit",
		"before-schema", "schema",
	}
	failureModes = []string{"before", "lost-reply", "late", "crash-before", "crash-after"}
)

// fault is something random that goes wrong.
func (s *sequence) fault() *fault {
	mode := failureModes[s.IntN(len(failureModes))]
	seams := faultySeams
	if mode == "late" {
		seams = lateSeams
	}
	f := &fault{pattern: seams[s.IntN(len(seams))], mode: mode, times: 1 + s.IntN(2), nth: 1 + s.IntN(2)}
	kind := "reset"
	if f.pattern == "commit" && s.IntN(2) == 0 {
		kind = "conflict"
	}
	f.err = &injected{mode, faultErrors[kind]}
	s.tell("  %s of %s from call %d on, %d times, %s", f.mode, f.pattern, f.nth, f.times, kind)
	return f
}

// run starts a writer, or lets it go on from where it stands still.
func (s *sequence) run(writer string) error {
	p := s.world.processes[writer]
	if p == nil || p.hasEnded() {
		p = s.world.newProcess(s.options)
		s.world.processes[writer] = p
	}
	until := stoppingAt[s.IntN(len(stoppingAt))]
	s.tell("%s runs until %q", p.nonce, until)
	for range s.IntN(3) {
		if err := p.arm(s.fault()); err != nil {
			return err
		}
	}
	p.carryOn(until, 20*time.Minute)
	s.story = append(s.story, indentEach(p.said())...)
	if !p.hasEnded() && !p.isHeld() { // two that run at once would not be reproducible
		return s.crash(writer)
	}
	return s.judge(p)
}

func indentEach(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = "    " + line
	}
	return out
}

// judge tells whether a process ended for a reason that it may end for.
func (s *sequence) judge(p *process) error {
	if !p.hasEnded() || p.failure == nil || p.isDead() {
		return nil
	}
	var fault *injected
	if errors.As(p.failure, &fault) || errors.Is(p.failure, lakehouse.ErrFenced) {
		return nil
	}
	return fmt.Errorf("%s stops: %w", p.nonce, p.failure)
}

// settle lets all processes die and all requests land, reads to the end
// without a fault, and looks.
func (s *sequence) settle() error {
	for _, writer := range writers {
		if err := s.crash(writer); err != nil {
			return err
		}
	}
	s.tell("all settles: %v", s.world.landLate())
	o := s.options
	o.once = true
	if err := s.world.play(o); err != nil {
		return err
	}
	if err := s.world.check(); err != nil {
		return err
	}
	if left, err := s.world.showRequests(); err != nil || left[0] != "none" {
		return fmt.Errorf("requests %q were not carried out (%v)", left, err)
	}
	if err := s.world.checkTaken(); err != nil {
		return err
	}
	return s.checkComplete()
}

// checkComplete: every model has read every partition to its end, and every
// row that others appended is there.
func (s *sequence) checkComplete() error {
	audit, err := s.world.auditRows()
	if err != nil {
		return err
	}
	for _, m := range s.world.models {
		for i, p := range s.world.broker.topics["events"].partitions {
			var end int64
			for _, a := range audit {
				if a.text("model") == m.name && a.text("reader") != lakehouse.ReplayReader && a.Partition == int32(i) {
					end = max(end, a.number("to_offset"))
				}
			}
			if end != p.end {
				return fmt.Errorf("model %s has read partition %d up to %d, it ends at %d", m.name, i, end, p.end)
			}
		}
		rows, err := s.world.rows(staging(m.name))
		if err != nil {
			return err
		}
		rows = slices.DeleteFunc(rows, func(r row) bool { return r.Topic != foreignTopic })
		if want := s.foreign[staging(m.name)]; len(rows) != want {
			return fmt.Errorf("%d rows of others are in the table of %s, they appended %d", len(rows), m.name, want)
		}
	}
	return nil
}
