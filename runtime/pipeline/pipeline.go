package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/decode"
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

// Model is one model as the loop runs it.
type Model struct {
	Name      string
	Topic     string
	Decoder   *decode.Decoder
	Plugin    Transformer // nil without one
	PluginRef string
	Table     *lakehouse.Table // nil for an ephemeral model
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

// Parts is what a pipeline works on and with.
type Parts struct {
	Source    Source
	Lake      *lakehouse.Lake
	Start     *lakehouse.Start
	Positions []record.Position // where Source begins, one per TopicPartition
	Models    []Model
	// Confirm tells the broker how far tables are, for lag dashboards; its
	// failure is logged and forgotten (invariant 2).
	Confirm   func(ctx context.Context, positions []record.Position) error
	Now       func() time.Time
	Logger    *slog.Logger
	Allocator memory.Allocator
}

// Pipeline carries records into tables, epoch by epoch.
type Pipeline struct {
	config Config
	Parts
	last   int64            // number of the last epoch
	tables map[string]int64 // last epoch by table
	at     *positions
	stats  stats
}

// New returns a pipeline that goes on where parts.Start ended.
func New(config Config, parts Parts) *Pipeline {
	p := &Pipeline{config: config, Parts: parts, last: parts.Start.Last, tables: map[string]int64{}, at: newPositions(parts.Positions)}
	for name, epoch := range parts.Start.Epochs {
		p.tables[name] = epoch
	}
	return p
}

// Run carries records until Until is reached, ctx ends, or something cannot be
// handled. When ctx ends, what was taken so far is still committed. Whatever
// it returns, nothing that was taken is lost: what no epoch record names is
// read again.
func (p *Pipeline) Run(ctx context.Context) error {
	for {
		e := p.begin()
		if err := p.fill(ctx, e); err != nil {
			e.abort()
			return err
		}
		// A stop asks to finish the epoch in hand, not to drop it.
		if err := p.decide(context.WithoutCancel(ctx), e); err != nil {
			return err
		}
		if p.done() || ctx.Err() != nil {
			return nil
		}
	}
}

// fill takes steps until the epoch is due.
func (p *Pipeline) fill(ctx context.Context, e *epoch) error {
	due, cancel := context.WithTimeout(ctx, p.config.Interval)
	defer cancel()
	for due.Err() == nil && e.bytes < p.config.MaxBytes && !p.done() {
		if err := p.step(due, e); err != nil {
			return err
		}
	}
	return nil
}

// step is the walk of a record: what one poll delivers goes from bytes to rows
// in data files. The sixth step, commit, is decide.
func (p *Pipeline) step(due context.Context, e *epoch) error {
	slices, err := p.Source.Poll(due, p.config.PollRecords) // 1 poll
	if err != nil && due.Err() != nil {
		return nil // the epoch is due, or a stop was asked for
	}
	if err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	defer p.Source.Release()
	ctx := context.WithoutCancel(due) // what was polled is carried to its files
	slices = p.upTo(slices)
	outcomes, err := p.each(slices, func(m *Model, s *record.Slice) (outcome, error) {
		rows, rejects, err := m.Decoder.Decode(s) // 2 decode
		if err != nil {
			return outcome{}, fmt.Errorf("decode %s at %d: %w", s.TopicPartition, s.From, err)
		}
		rows, refused, err := m.transform(ctx, rows) // 3 transform
		if err != nil {
			return outcome{}, err
		}
		return newOutcome(m, rows, append(rejects, refused...)), nil
	})
	defer release(outcomes)
	if err != nil {
		return err
	}
	for _, o := range outcomes { // 4 keyed operators: none of the kinds that run so far keeps state
		if err := e.write(ctx, o); err != nil { // 5 write
			return fmt.Errorf("write rows of model %s: %w", o.model.Name, err)
		}
	}
	p.at.advance(slices)
	e.took(slices)
	p.stats.took(slices, outcomes)
	return nil
}

// upTo cuts slices at the offsets where the run ends.
func (p *Pipeline) upTo(slices []record.Slice) []record.Slice {
	if p.config.Until == nil {
		return slices
	}
	var kept []record.Slice
	for _, s := range slices {
		if s = cut(s, p.config.Until[s.TopicPartition]); s.From < s.To {
			kept = append(kept, s)
		}
	}
	return kept
}

// done tells whether the run has reached the offsets where it ends.
func (p *Pipeline) done() bool {
	return p.config.Until != nil && p.at.reached(p.config.Until)
}
