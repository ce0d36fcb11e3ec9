package pipeline_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/record"
)

// process is one run of the pipeline: a goroutine that can be held at any
// seam, and that dies at its next one when it is crashed.
type process struct {
	world   *world
	nonce   string
	store   *storage.Memory
	faults  []*fault
	options runOptions
	stop    context.CancelFunc
	held    chan struct{} // received from: the process is held where it was told to
	resume  chan struct{}
	ended   chan struct{} // closed
	passed  func(call)    // told of each call; may be nil
	failure error         // of a run that ended; valid after ended

	mu      sync.Mutex
	lines   []string
	until   string
	holding bool
	dead    bool
	began   bool // the pipeline runs
	asked   bool // to stop, by a fault
	open    bool // something was polled since the last commit
}

// runOptions are those of the command run.
type runOptions struct {
	once     bool
	interval time.Duration
	maxBytes int64
	poll     int // records
	giveUp   time.Duration

	heartbeat, discover time.Duration // 0 is never
	pruneEvery          int64         // 0 is the default
	onDataLoss          pipeline.OnDataLoss
	maxDeadRatio        *float64
	backfillRows        int64 // 0 is 3
}

func (w *world) newProcess(o runOptions) *process {
	w.started++
	p := &process{
		world: w, nonce: fmt.Sprintf("w%d", w.started), store: w.store.Another(), options: o,
		held: make(chan struct{}), resume: make(chan struct{}), ended: make(chan struct{}),
	}
	p.store.Hook(p.onStore)
	return p
}

// begin starts the process.
func (p *process) begin() {
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() {
		defer stop()
		defer close(p.ended)
		if p.failure = p.run(ctx); p.failure != nil {
			p.say("%s stops: %v", p.nonce, p.failure)
		} else {
			p.say("%s ends", p.nonce)
		}
	}()
}

// run composes the pipeline as the daemon does.
func (p *process) run(ctx context.Context) error {
	cat, err := p.world.open(ctx, p.store)
	if err != nil {
		return err
	}
	defer func() { _ = cat.Close() }() // nothing waits to be written
	logger := slog.New(warnings{p: p})
	lake := lakehouse.New(lakehouse.Config{Pipeline: pipelineName, Nonce: p.nonce, GiveUpAfter: p.options.giveUp, Logger: logger}, p.store, seamCatalog{cat, p})
	start, err := lake.Start(ctx, p.world.definitions())
	if err != nil {
		return err
	}
	if start.Completed {
		p.say("%s completes epoch %d", p.nonce, start.Last)
	}
	models, err := p.world.buildModels(start.Tables)
	if err != nil {
		return err
	}
	state, err := openCensus(ctx, p.store, start.State)
	if err != nil {
		return err
	}
	p.world.beginAnew(start, state)
	var keyed []pipeline.KeyedModel // as CheckKeyed would have them
	for _, c := range p.world.censuses {
		keyed = append(keyed, c.build(start.Tables[c.definition().ID.String()], state))
	}
	if p.world.star {
		star := buildStar(start.Tables, state)
		if p.world.second {
			star = addSecond(star, start.Tables, state)
		}
		keyed = append(keyed, star...)
	}
	if p.world.windows {
		keyed = append(keyed, buildWindows(start.Tables[windowsID.String()], state))
	}
	probations, candidates, err := p.plugIn(start, models, keyed)
	if err != nil {
		return err
	}
	topics, err := p.world.broker.describe(p.world.topicNames())
	if err != nil {
		return err
	}
	var wanted []pipeline.Wanted
	for _, m := range models {
		w := pipeline.Wanted{Name: m.Name, Topic: m.Topic}
		if m.Table != nil {
			w.Table = m.Table.ID.String()
		}
		wanted = append(wanted, w)
	}
	readers, err := pipeline.Resume(start, wanted, topics, p.options.onDataLoss)
	if err != nil {
		return err
	}
	var begins []string
	for i, r := range readers {
		at := showPositions(r.Positions)
		if i > 0 {
			at = r.Name + " " + at
		}
		begins = append(begins, at)
	}
	p.say("%s begins after epoch %d at %s", p.nonce, start.Last, strings.Join(begins, ", "))
	p.reach("start", "")
	p.mu.Lock()
	p.began = true
	p.mu.Unlock()
	parts := pipeline.Parts{
		Lake: lake, Start: start, Readers: readers, Models: models, Keyed: keyed, State: state,
		Open: func(_ context.Context, positions []record.Position) (pipeline.Source, error) {
			return p.source(positions), nil
		},
		Rebuild: p.world.rebuild, Confirm: p.confirm, Now: time.Now, Logger: logger, Allocator: memory.DefaultAllocator,
		Discover:   func(context.Context) ([]pipeline.Topic, error) { return p.world.broker.describe(p.world.topicNames()) },
		Probations: probations, Ends: ends(topics),
	}
	if candidates != nil {
		parts.Candidates = candidates
	}
	return pipeline.New(p.config(topics), parts).Run(ctx)
}

func (p *process) config(topics []pipeline.Topic) pipeline.Config {
	o := p.options
	c := pipeline.Config{
		Name: pipelineName, ConfigHash: "hash", Nonce: p.nonce, Host: "host",
		Interval: o.interval, MaxBytes: o.maxBytes, PollRecords: o.poll,
		Heartbeat: o.heartbeat, DiscoverEvery: o.discover, PruneEvery: o.pruneEvery,
		MaxDeadRatio: o.maxDeadRatio, BackfillRows: cmp.Or(o.backfillRows, 3),
	}
	if o.once {
		c.Until = ends(topics)
	}
	return c
}

// ends is where topics end.
func ends(topics []pipeline.Topic) map[record.TopicPartition]int64 {
	at := map[record.TopicPartition]int64{}
	for _, t := range topics {
		for _, partition := range t.Partitions {
			at[record.TopicPartition{Topic: t.Name, Partition: partition.ID}] = partition.End
		}
	}
	return at
}

func (p *process) source(positions []record.Position) *source {
	s := &source{broker: p.world.broker, at: map[record.TopicPartition]int64{}}
	for _, position := range positions {
		s.at[position.TopicPartition] = position.Offset
	}
	s.call = func() error { return p.pass(call{"poll", ""}, func() error { return nil }) }
	s.polled = func(taken []record.Slice) {
		p.setOpen(true)
		for _, slice := range taken {
			p.say("poll %s [%d,%d)", slice.TopicPartition, slice.From, slice.To)
		}
	}
	s.idle = func() {
		p.mustLive()
		p.reach("polled", "")
		if !p.isOpen() {
			p.reach("idle", "")
		}
	}
	return s
}

func (p *process) confirm(context.Context, []record.Position) error {
	p.setOpen(false)
	if w := p.world; w.star && !w.separate && !p.isDead() {
		if err := w.checkKeys(); err != nil {
			w.t.Errorf("%s, after a commit: %v", p.nonce, err)
		}
	}
	return nil
}

func (p *process) setOpen(open bool) {
	p.mu.Lock()
	p.open = open
	p.mu.Unlock()
}

func (p *process) isOpen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

// reach holds the process if this is where it was told to be held.
func (p *process) reach(point, detail string) {
	p.mu.Lock()
	hit := p.until != "" && (call{point, detail}).matches(p.until)
	if hit {
		p.until, p.holding = "", true
	}
	p.mu.Unlock()
	if !hit {
		return
	}
	p.held <- struct{}{}
	<-p.resume
	p.mustLive()
}

// carryOn lets the process run until a point, its end, or for some time.
func (p *process) carryOn(until string, patience time.Duration) {
	p.mu.Lock()
	p.until = until
	holding := p.holding
	p.holding = false
	p.mu.Unlock()
	switch {
	case p.stop == nil:
		p.begin()
	case holding:
		p.resume <- struct{}{}
	}
	select {
	case <-p.held:
	case <-p.ended:
	case <-time.After(patience):
		p.mu.Lock()
		p.until = ""
		holding := p.holding
		p.mu.Unlock()
		if holding { // it got there at this very moment
			<-p.held
			return
		}
		p.say("%s is still trying after %s", p.nonce, patience)
	}
}

// crash ends the process as kill -9 does.
func (p *process) crash() {
	p.mu.Lock()
	p.dead = true
	holding := p.holding
	p.holding = false
	p.mu.Unlock()
	p.store.Crash()
	p.stop()
	if holding {
		p.resume <- struct{}{}
	}
	<-p.ended
}

// die is crash from within. What the process does after it reaches nothing.
func (p *process) die() {
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.store.Crash()
}

// mustLive ends the goroutine of a process that was crashed: nothing that
// comes after reaches the world.
func (p *process) mustLive() {
	if p.isDead() {
		runtime.Goexit()
	}
}

func (p *process) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// isHeld tells whether it stands still where it was told to.
func (p *process) isHeld() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holding
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

var (
	uuidText     = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	snapshotText = regexp.MustCompile(`\b[0-9]{14,19}\b`)
	folderText   = regexp.MustCompile(`(s3://lake/[a-z_]+/[a-z_]+)-[0-9a-f]{8}`)
)

// say adds a line to what the process has done; what differs between runs is
// named instead.
func (p *process) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	line = uuidText.ReplaceAllString(line, "UUID")
	line = folderText.ReplaceAllString(line, "$1")
	line = snapshotText.ReplaceAllString(line, "ID")
	line = strings.ReplaceAll(line, "\n", "; ")
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.lines); n > 0 && strings.TrimSuffix(p.lines[n-1], " (repeated)") == line {
		p.lines[n-1] = line + " (repeated)"
		return
	}
	p.lines = append(p.lines, line)
}

// said takes what was said so far.
func (p *process) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := p.lines
	p.lines = nil
	return lines
}

func showPositions(positions []record.Position) string {
	var parts []string
	for _, position := range positions {
		parts = append(parts, position.String())
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// warnings is a log that tells the scenario of each warning once in a row.
type warnings struct {
	slog.Handler
	p *process
}

func (h warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (h warnings) Handle(_ context.Context, r slog.Record) error {
	line := "warning: " + r.Message
	h.p.mu.Lock()
	repeated := slices.Contains(h.p.lines, line)
	h.p.mu.Unlock()
	if !repeated {
		h.p.say("%s", line)
	}
	return nil
}

func (h warnings) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h warnings) WithGroup(string) slog.Handler      { return h }
