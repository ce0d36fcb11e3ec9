package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/kafka"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record"
)

// Status is where a pipeline is, as its epoch log, its tables and its broker
// tell. No process of it needs to run.
type Status struct {
	Pipeline    string         `json:"pipeline"`
	At          time.Time      `json:"at"` // when it was looked
	Epoch       *EpochStatus   `json:"epoch,omitempty"`
	Broker      BrokerStatus   `json:"broker"`
	Models      []ModelStatus  `json:"models"`            // of the project, in the order in which they run
	Sources     []SourceStatus `json:"sources,omitempty"` // with freshness
	DeadLetters []LetterStatus `json:"dead_letters"`      // open ones
}

// EpochStatus is the last epoch of the log.
type EpochStatus struct {
	Number     int64      `json:"number"`
	DecidedAt  *time.Time `json:"decided_at,omitempty"`
	AgeSeconds *float64   `json:"age_seconds,omitempty"`
	Writer     string     `json:"writer,omitempty"` // the nonce of its process
	Host       string     `json:"host,omitempty"`
	// Uncommitted are tables that do not show it yet: its writer is at it, or the
	// next start completes it.
	Uncommitted []string `json:"uncommitted,omitempty"`
}

// BrokerStatus tells whether lag could be asked for.
type BrokerStatus struct {
	Answers bool   `json:"answers"`
	Problem string `json:"problem,omitempty"`
}

// ModelStatus is one model. Times and counts that are not known are absent.
type ModelStatus struct {
	Model            string     `json:"model"`
	Kind             string     `json:"kind"`
	Table            string     `json:"table,omitempty"`
	Rows             *int64     `json:"rows,omitempty"` // of the table
	Watermark        *time.Time `json:"watermark,omitempty"`
	NewestEvent      *time.Time `json:"newest_event,omitempty"`
	FreshnessSeconds *float64   `json:"freshness_seconds,omitempty"` // age of the newest event
	OpenSessions     *int64     `json:"open_sessions,omitempty"`
	// BackfilledTo is set while the model takes in what its inputs' tables held
	// when it began: the last epoch of theirs that it has taken in.
	BackfilledTo *int64            `json:"backfilled_to,omitempty"`
	Lag          *int64            `json:"lag,omitempty"` // of all partitions
	Partitions   []PartitionStatus `json:"partitions,omitempty"`
}

// PartitionStatus is a TopicPartition that a model reads.
type PartitionStatus struct {
	Topic       string     `json:"topic"`
	Partition   int32      `json:"partition"`
	Reader      string     `json:"reader,omitempty"`
	Position    *int64     `json:"position,omitempty"` // the next offset; absent if no epoch has it yet
	End         *int64     `json:"end,omitempty"`      // of the partition
	Lag         *int64     `json:"lag,omitempty"`
	NewestEvent *time.Time `json:"newest_event,omitempty"`
	Idle        bool       `json:"idle,omitempty"` // holds no watermark back

	topicID string
}

// SourceStatus compares a source with its freshness, as far as was read of it.
type SourceStatus struct {
	Source     string    `json:"source"`
	Table      string    `json:"table"`
	Topic      string    `json:"topic"`
	State      string    `json:"state"` // fresh, warn or error
	Newest     time.Time `json:"newest"`
	AgeSeconds float64   `json:"age_seconds"`
}

// LetterStatus counts the open dead letters of a model with one reason.
type LetterStatus struct {
	Model  string `json:"model"`
	Reason string `json:"reason"`
	Open   int64  `json:"open"`
}

// StatusConfig is what a status is made with.
type StatusConfig struct {
	Now    func() time.Time
	Logger *slog.Logger
	// Topics describes topics as they are now; nil asks the project's broker.
	Topics func(ctx context.Context, names ...string) ([]kafka.Topic, error)
}

// ReadStatus tells where a project's pipeline is. A broker that does not answer
// is part of the answer; a log or catalog that cannot be read is an error.
func ReadStatus(ctx context.Context, p *project.Project, c StatusConfig) (*Status, error) {
	r := &statusReader{project: p, now: c.Now().UTC(), status: &Status{Pipeline: p.Name, DeadLetters: []LetterStatus{}}}
	r.status.At = r.now
	if !catalogUnused(p) {
		if err := r.readLake(ctx, c.Logger); err != nil {
			return nil, err
		}
	}
	r.models()
	r.sources()
	r.askBroker(ctx, c)
	return r.status, nil
}

// statusReader puts a status together.
type statusReader struct {
	project *project.Project
	now     time.Time
	status  *Status
	last    lastEpoch
	tables  map[string]lakehouse.Summary
}

// lastEpoch is what the log says of the last epoch, its record pruned or not.
type lastEpoch struct {
	number, decidedAt int64
	writer, host      string
	readers           []lakehouse.Reader
	watermarks        map[string]record.Watermark
	keyed             map[string]lakehouse.KeyedModel
	changes           []lakehouse.TableChange // none if the record is pruned
}

func lastOf(tail lakehouse.Tail) lastEpoch {
	f := tail.Floor
	last := lastEpoch{number: f.Number, decidedAt: f.DecidedAt, writer: f.Writer, host: f.Host, readers: f.Positions, watermarks: f.Watermarks}
	keyed := f.Keyed
	if n := len(tail.Epochs); n > 0 {
		e := tail.Epochs[n-1]
		last = lastEpoch{number: e.Number, decidedAt: e.DecidedAt, writer: e.Writer, host: e.Host, readers: e.Readers, watermarks: e.Watermarks, changes: e.Changes}
		keyed = e.Keyed
	}
	last.keyed = map[string]lakehouse.KeyedModel{}
	for _, k := range keyed {
		last.keyed[k.Name] = k
	}
	return last
}

// readLake reads the epoch log and the tables.
func (r *statusReader) readLake(ctx context.Context, logger *slog.Logger) error {
	opened, err := OpenLakehouse(ctx, r.project, logger)
	if err != nil {
		return err
	}
	defer closeAndLog(logger, "catalog", opened.Close)
	lake := newLake(r.project, opened, logger)
	tail, err := lake.Log().Read(ctx)
	if err != nil {
		return fmt.Errorf("read epoch log: %w", err)
	}
	r.last = lastOf(tail)
	if r.tables, err = r.summaries(ctx, opened); err != nil {
		return err
	}
	r.epoch()
	list, err := lake.ListLetters(ctx, lakehouse.ListQuery{})
	if err != nil {
		return fmt.Errorf("count dead letters: %w", err)
	}
	r.letters(list)
	return nil
}

// summaries are those of the tables of the project and of the last epoch that
// are there.
func (r *statusReader) summaries(ctx context.Context, opened *Lakehouse) (map[string]lakehouse.Summary, error) {
	names := map[string]bool{}
	for i := range r.project.Models {
		if m := &r.project.Models[i]; m.Materialized == project.MaterializedTable {
			names[tableID(m).String()] = true
		}
	}
	for _, change := range r.last.changes {
		names[change.Table] = true
	}
	tables := map[string]lakehouse.Summary{}
	for name := range names {
		id, err := catalog.ParseIdentifier(name)
		if err != nil {
			return nil, err
		}
		s, err := opened.ShowTable(ctx, id)
		if errors.Is(err, catalog.ErrNoSuchTable) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look at table %s: %w", name, err)
		}
		tables[name] = s
	}
	return tables, nil
}

// epoch says how far the log is, and which tables are not there yet.
func (r *statusReader) epoch() {
	if r.last.number == 0 {
		return
	}
	e := &EpochStatus{Number: r.last.number, Writer: r.last.writer, Host: r.last.host, DecidedAt: timeAt(r.last.decidedAt)}
	if r.last.decidedAt == 0 {
		e.DecidedAt = nil
	}
	e.AgeSeconds = r.age(e.DecidedAt)
	for _, change := range r.last.changes {
		if r.tables[change.Table].Epoch < e.Number {
			e.Uncommitted = append(e.Uncommitted, change.Table)
		}
	}
	r.status.Epoch = e
}

// letters sums up groups, which tell columns apart too.
func (r *statusReader) letters(list *lakehouse.LetterList) {
	all := r.status.DeadLetters
	for _, g := range list.Groups {
		if g.Open == 0 {
			continue
		}
		if n := len(all); n > 0 && all[n-1].Model == g.Model && all[n-1].Reason == g.Reason {
			all[n-1].Open += g.Open
			continue
		}
		all = append(all, LetterStatus{g.Model, g.Reason, g.Open})
	}
	r.status.DeadLetters = all
}

// age is how long ago something was, in seconds.
func (r *statusReader) age(at *time.Time) *float64 {
	if at == nil {
		return nil
	}
	age := r.now.Sub(*at).Seconds()
	return &age
}

// timeAt is the time of µs since 1970, nil for none.
func timeAt(at int64) *time.Time {
	if at == record.NoTime {
		return nil
	}
	t := time.UnixMicro(at).UTC()
	return &t
}
