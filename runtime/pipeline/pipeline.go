package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// Source delivers records of the TopicPartitions assigned to it.
type Source interface {
	// Poll returns at most one slice per TopicPartition, in offset order, each
	// beginning where the one before ended. It waits for something to arrive,
	// or for ctx, whose error it then returns; it can be called again after
	// that, but not after any other error. The slices' memory is valid until
	// Release. Nothing is acknowledged by it.
	Poll(ctx context.Context, maxRecords int) ([]record.Slice, error)
	Release()
	Close()
}

// Transformer maps a model's decoded rows to the rows of its table. Rows of
// one record stay together and in order. It must be safe for concurrent use.
type Transformer interface {
	// Transform returns new rows, which the caller releases; the batch given
	// stays the caller's. An error stops the pipeline.
	Transform(ctx context.Context, batch record.Batch) (record.Batch, []record.Reject, error)
	// Digest is the SHA-256 of the module, for the epoch record.
	Digest() string
}

// Decoder makes rows of a model's records. It must be safe for concurrent use.
type Decoder interface {
	// Decode returns rows, which the caller releases, and what became none. An
	// error stops the pipeline, but for a decode.ChangeError: then nothing was
	// made of the slice, and a decoder with more columns can take it.
	Decode(ctx context.Context, s *record.Slice) (record.Batch, []record.Reject, error)
}

// Model is one model as the loop runs it.
type Model struct {
	Name      string
	Topic     string
	Decoder   Decoder
	Before    []Step      // of decoded rows: where
	Plugin    Transformer // nil without one
	PluginRef string      // all models of one reference run one module
	// MaxErrorRatio is how much larger a share of the records that come to it a
	// new module of the plugin may refuse in its first epoch than the former did.
	MaxErrorRatio float64
	Shadow        *Shadow          // of Plugin; nil without one
	After         []Step           // of the plugin's rows: derive, data tests
	Table         *lakehouse.Table // nil for an ephemeral model
	EventTime     EventTime
	// Evolves lets the table follow the source (on_schema_change:
	// append_new_columns); else a change of the source that the decoder tells
	// of stops the pipeline.
	Evolves bool
}

// digest is that of the plugin, "" without one.
func (m *Model) digest() string {
	if m.Plugin == nil {
		return ""
	}
	return m.Plugin.Digest()
}

// tableName is "" for an ephemeral model.
func (m *Model) tableName() string {
	if m.Table == nil {
		return ""
	}
	return m.Table.ID.String()
}

// Config is how a pipeline cuts epochs. Validate it before New.
type Config struct {
	Name        string        // the project's name
	ConfigHash  string        // of the project
	Nonce       string        // of this process
	Host        string        // for messages to a fenced writer
	Interval    time.Duration // an epoch ends after this long
	MaxBytes    int64         // or when it has taken this many bytes of records
	PollRecords int           // records a poll returns at most, in all
	// Heartbeat is how long an idle writer leaves its log silent: then it
	// appends a record that changes nothing, by which a standby knows that it
	// lives. 0 is never.
	Heartbeat time.Duration
	// StopGrace is how long, after ctx has ended, the epoch in hand may take to
	// be committed; 0 is as long as it takes. What is not committed by then is
	// completed by the next start, or read again.
	StopGrace time.Duration
	// PruneEvery is how many epochs pass between two prunings of the log; 128
	// by default. Reading the log at a start costs one object an epoch, pruning
	// a few requests.
	PruneEvery int64
	// BackfillRows is about how many rows a keyed model that began later takes
	// from the tables of its inputs in an epoch, which its operator holds until
	// the end of it; 524,288 by default.
	BackfillRows int64
	// RequestsEvery is how often requests of other commands are looked for, at
	// ends of epochs; 3 s by default. It costs a listing.
	RequestsEvery time.Duration
	// MaxDeadRatio stops the pipeline before an epoch in which more of a model's
	// records are dead than this, of at least 100; nil is never.
	MaxDeadRatio *float64
	// DiscoverEvery is how often new partitions are looked for; 0 is never.
	DiscoverEvery time.Duration
	// Until ends the run when every TopicPartition has been read up to its
	// offset here; nil runs until the context ends.
	Until map[record.TopicPartition]int64
}

// Validate checks a Config.
func (c Config) Validate() error {
	if c.Name == "" || c.Nonce == "" {
		return errors.New("pipeline needs a name and a nonce")
	}
	if c.Interval <= 0 || c.MaxBytes <= 0 || c.PollRecords <= 0 {
		return fmt.Errorf("pipeline needs a positive interval, size and poll, got %v, %d bytes, %d records", c.Interval, c.MaxBytes, c.PollRecords)
	}
	return nil
}

func (c Config) pruneEvery() int64 {
	if c.PruneEvery > 0 {
		return c.PruneEvery
	}
	return 128
}

func (c Config) backfillRows() int64 {
	if c.BackfillRows > 0 {
		return c.BackfillRows
	}
	return 1 << 19
}

// Parts is what a pipeline works on and with.
type Parts struct {
	Lake    *lakehouse.Lake
	Start   *lakehouse.Start
	Readers []Assignment // of Resume
	// Ends is where TopicPartitions ended at the start: until one is read up to
	// there it is not idle.
	Ends   map[record.TopicPartition]int64
	Models []Model
	Keyed  []KeyedModel // each behind those that it reads
	State  State        // of their operators; nil if there are none
	// Probations are those of plugins of Models that are not what the last record
	// names.
	Probations []Probation
	// Candidates are asked between two epochs; nil if no reference comes to mean
	// another module.
	Candidates Candidates
	// Open opens a source at positions; the pipeline closes it.
	Open func(ctx context.Context, positions []record.Position) (Source, error)
	// Discover shows the topics as they are now; nil if DiscoverEvery is 0.
	Discover func(ctx context.Context) ([]Topic, error)
	// Rebuild makes a model anew, for its table with columns that it did not
	// have; nil if no model evolves.
	Rebuild func(ctx context.Context, m Model, t *lakehouse.Table) (Model, error)
	// Confirm tells the broker how far tables are, for lag dashboards; its
	// failure is logged and forgotten (invariant 2).
	Confirm func(ctx context.Context, positions []record.Position) error
	// Observe is told of every epoch that was committed; nil if nobody looks.
	Observe   func(Report)
	Now       func() time.Time
	Logger    *slog.Logger
	Allocator memory.Allocator
}

// Pipeline carries records into tables, epoch by epoch.
type Pipeline struct {
	config     Config
	parts      Parts
	readers    []*reader
	last       int64            // number of the last epoch
	tables     map[string]int64 // last epoch by table
	recorded   time.Time        // when the last record was appended
	discovered time.Time
	requests   requests
	stats      stats
	probations map[string]*Probation // by reference
	refusals   map[string]tally      // of modules that are not on probation, by model

	keyed      []keyed // in the order in which they run
	watermarks watermarks
	state      *lakehouse.StateManifest // as the last record has it
	dry        bool                     // nothing is written: see DryReconcile
}

// New returns a pipeline that goes on where parts.Start ended.
func New(config Config, parts Parts) *Pipeline {
	now := parts.Now()
	p := &Pipeline{
		config: config, parts: parts, readers: newReaders(parts),
		last: parts.Start.Last, tables: maps.Clone(parts.Start.Epochs), recorded: now, discovered: now,
		requests: newRequests(parts), probations: checkProbations(parts), refusals: formerRefusals(parts),
		keyed: newKeyed(parts), watermarks: newWatermarks(parts), state: parts.Start.State,
	}
	for _, ref := range slices.Sorted(maps.Keys(p.probations)) {
		p.noteProbation(p.probations[ref])
	}
	return p
}

// Run carries records until Until is reached, ctx ends, or something cannot be
// handled. When ctx ends, what was taken so far is still committed. Whatever
// it returns, nothing that was taken is lost: what no epoch record names is
// read again.
func (p *Pipeline) Run(ctx context.Context) error {
	defer func() {
		for _, r := range p.readers {
			r.close()
		}
	}()
	for {
		if err := p.takeCandidates(); err != nil {
			return err
		}
		p.beginPlugins()
		e := p.begin()
		needed, err := p.take(ctx, e)
		if err != nil {
			if err := p.goBack(ctx, e, err); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return nil // the next start reads again what the former plugin is to take
			}
			continue
		}
		p.endProbations(e)
		if p.done() || ctx.Err() != nil {
			return nil
		}
		if needed != nil {
			if err := p.evolve(ctx, needed); err != nil && !p.spares(needed, err) {
				return err
			}
		}
		p.readers = joinReaders(p.readers)
		p.discover(ctx)
	}
}

// take fills an epoch and decides it. A change that a slice needs ends it before
// that slice. A stop while a keyed model takes in its inputs' tables drops it: of
// what these hold, a part was taken of which no record would tell.
func (p *Pipeline) take(ctx context.Context, e *epoch) (*neededChange, error) {
	var needed *neededChange
	if err := p.fill(ctx, e); err != nil && !errors.As(err, &needed) {
		e.abort()
		if stopped(ctx, err) {
			err = nil
		}
		return nil, err
	}
	return needed, p.finish(ctx, e)
}

// stopped tells whether an error is that a stop was asked for.
func stopped(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err())
}

// finish decides the epoch in hand. A stop asks to finish it, not to drop it,
// so it goes on after ctx has ended, for the grace at most.
func (p *Pipeline) finish(ctx context.Context, e *epoch) error {
	finishing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if p.config.StopGrace > 0 {
		stop := context.AfterFunc(ctx, func() {
			select {
			case <-time.After(p.config.StopGrace):
				cancel()
			case <-finishing.Done():
			}
		})
		defer stop()
	}
	return p.decide(finishing, e)
}

// fill takes steps until the epoch is due. What another command asked for comes
// first, for at most half of the epoch. A reader that began later goes
// first, for at most half of the epoch; when it reaches the first reader the
// epoch ends there, so that its record shows the two at one place.
func (p *Pipeline) fill(ctx context.Context, e *epoch) error {
	due, cancel := context.WithTimeout(ctx, p.config.Interval)
	defer cancel()
	if err := p.catchUpKeyed(ctx, e); err != nil {
		return err
	}
	if err := p.carryOut(ctx, due, e); err != nil {
		return err
	}
	for _, r := range p.readers[1:] {
		met, err := p.catchUp(due, e, r)
		if err != nil || met {
			return err
		}
	}
	for due.Err() == nil && e.bytes < p.config.MaxBytes && !p.ended(p.readers[0]) {
		if _, err := p.step(due, e, p.readers[0], p.config.Until); err != nil {
			return err
		}
	}
	return nil
}

// catchUp takes steps with a reader that is behind the first one, up to where
// that is.
func (p *Pipeline) catchUp(due context.Context, e *epoch, r *reader) (met bool, err error) {
	half, cancel := context.WithTimeout(due, p.config.Interval/2)
	defer cancel()
	ends := p.readers[0].at.ends()
	dropped := false
	for half.Err() == nil && e.bytes < (p.config.MaxBytes+1)/2 && !r.at.reached(ends) { // rounded up: half of 1 is still a step
		cut, err := p.step(half, e, r, ends)
		if err != nil {
			return false, err
		}
		dropped = dropped || cut
	}
	if dropped {
		r.close() // its source is beyond where the reader is
	}
	return r.meets(p.readers[0]), nil
}

// step is the walk of a record: what one poll delivers goes from bytes to rows
// in data files. The sixth step, commit, is decide. Records at or beyond ends
// are dropped; the result tells whether there were any.
func (p *Pipeline) step(due context.Context, e *epoch, r *reader, ends map[record.TopicPartition]int64) (dropped bool, err error) {
	polled, err := r.poll(due, p.config.PollRecords) // 1 poll
	if err != nil && errors.Is(err, due.Err()) {
		return false, nil // the epoch is due, or a stop was asked for
	}
	if err != nil {
		return false, fmt.Errorf("poll: %w", err)
	}
	defer r.release()
	ctx := context.WithoutCancel(due) // what was polled is carried to its files
	taken, dropped := cut(polled, ends)
	outcomes, err := r.each(taken, func(m *Model, s *record.Slice) (outcome, error) {
		return m.carry(ctx, s, m.steps()) // 2 decode, 3 transform
	})
	defer release(outcomes)
	if err != nil {
		return dropped, err
	}
	for _, o := range outcomes {
		if err := e.feed(ctx, r, o); err != nil { // 4 keyed operators
			return dropped, err
		}
		if err := e.write(ctx, r, o); err != nil { // 5 write
			return dropped, fmt.Errorf("write rows of model %s: %w", o.model.Name, err)
		}
	}
	r.at.advance(taken)
	e.took(r, taken)
	p.stats.took(taken, outcomes)
	return dropped, nil
}

// ended tells whether a reader is at the offsets where the run ends.
func (p *Pipeline) ended(r *reader) bool {
	return p.config.Until != nil && r.at.reached(p.config.Until)
}

// done tells whether all readers are, and nothing that was asked for is left.
func (p *Pipeline) done() bool {
	return !p.requests.pending && !p.dueKeyed(p.parts.Now().UnixMicro()) && !slices.ContainsFunc(p.readers, func(r *reader) bool { return !p.ended(r) })
}

// discover takes in partitions that topics have got since it last looked.
func (p *Pipeline) discover(ctx context.Context) {
	now := p.parts.Now()
	if p.config.DiscoverEvery == 0 || now.Sub(p.discovered) < p.config.DiscoverEvery {
		return
	}
	p.discovered = now
	topics, err := p.parts.Discover(ctx)
	if err != nil {
		p.parts.Logger.Warn("topics not looked up; it is tried again later", "error", err)
		return
	}
	for _, r := range p.readers {
		if added := r.extend(topics); len(added) > 0 {
			p.parts.Logger.Info("new partitions", "reader", r.name, "partitions", fmt.Sprint(added))
		}
	}
}
