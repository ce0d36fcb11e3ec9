package lakehouse

import (
	"context"
	"errors"
	"fmt"

	"github.com/calvelake/calve/runtime/record"
)

// Start is where a pipeline goes on: the state that its last epoch left.
type Start struct {
	Last       int64    // number of the last epoch, 0 before the first
	Readers    []Reader // each Range ends where reading goes on
	State      *StateManifest
	Watermarks map[string]record.Watermark // by staging model
	Keyed      []KeyedModel
	ConfigHash string            // of the last epoch, "" before the first
	Plugins    map[string]string // of the last epoch: reference → SHA-256 of the module
	Counts     map[string]Counts // of the last epoch, by model; none if its record is pruned
	Tables     map[string]*Table // by "namespace.table", every table defined
	Epochs     map[string]int64  // by table: its last epoch, 0 if none
	Completed  bool              // the last epoch was decided but not committed; it is now
	Requests   []DoneRequest     // carried out by epochs of the log
}

// ErrLostLog: tables show epochs that the log does not have.
var ErrLostLog = errors.New("the epoch log is missing or older than the tables")

// ErrTakenOut: a table's model was taken out of the project and came back.
var ErrTakenOut = errors.New("model was taken out of the project before")

// Start opens every table, finishes an epoch that was decided and not
// committed, and checks that log and tables agree (invariant 2): the same
// table uuids, and each table at the epoch that the log says touched it last.
// What does not agree is refused, with the choices.
//
// A writer that is at work meanwhile takes the tables beyond what was read of
// the log. So a refusal counts only if the log is still as it was read; else
// Start begins again.
func (l *Lake) Start(ctx context.Context, definitions []Definition) (*Start, error) {
	for {
		tail, err := l.Log().Read(ctx)
		if err != nil {
			return nil, fmt.Errorf("read epoch log: %w", err)
		}
		s, err := l.startAfter(ctx, tail, definitions)
		if err == nil {
			return s, nil
		}
		now, readErr := l.Log().Read(ctx)
		switch {
		case readErr != nil: // then it is not known whether the refusal counts
			return nil, fmt.Errorf("read epoch log: %w", readErr)
		case now.Last() == tail.Last():
			return nil, err
		}
		l.logger.Info("another writer is at work, starting again behind it", "epoch", now.Last())
	}
}

// startAfter is Start with the log as it was read.
func (l *Lake) startAfter(ctx context.Context, tail Tail, definitions []Definition) (*Start, error) {
	var err error
	s := startOf(tail)
	if n := len(tail.Epochs); n > 0 {
		if s.Completed, err = l.complete(ctx, tail.Epochs[n-1]); err != nil {
			return nil, err
		}
	}
	recorded := recordedTables(tail)
	for _, state := range recorded {
		if err := l.checkRecorded(ctx, state); err != nil {
			return nil, err
		}
	}
	for _, d := range definitions {
		t, err := l.Ensure(ctx, d)
		if err != nil {
			return nil, err
		}
		name := d.ID.String()
		if _, ok := recorded[name]; !ok && t.Progress.Epoch != 0 {
			return nil, l.unrecorded(name, t.Progress, s.Last)
		}
		s.Tables[name] = t
		s.Epochs[name] = recorded[name].Epoch
	}
	return s, nil
}

func startOf(tail Tail) *Start {
	s := &Start{Tables: map[string]*Table{}, Epochs: map[string]int64{}}
	s.Last, s.Readers, s.State, s.Requests = tail.Floor.Number, tail.Floor.Positions, tail.Floor.State, doneRequests(tail)
	s.Plugins = tail.Floor.Plugins
	s.Watermarks, s.Keyed = tail.Floor.Watermarks, tail.Floor.Keyed
	if n := len(tail.Epochs); n > 0 {
		last := tail.Epochs[n-1]
		s.Watermarks, s.Keyed = last.Watermarks, last.Keyed
		s.Last, s.Readers, s.State, s.ConfigHash = last.Number, last.Readers, last.State, last.ConfigHash
		s.Plugins, s.Counts = last.Plugins, last.counts()
	}
	return s
}

func recordedTables(tail Tail) map[string]TableState {
	states := tail.Floor.Tables
	if n := len(tail.Epochs); n > 0 {
		states = tail.Epochs[n-1].Tables
	}
	recorded := map[string]TableState{}
	for _, state := range states {
		recorded[state.Table] = state
	}
	return recorded
}

// complete commits the newest record if a table lacks it. Older ones are
// committed: record n+1 is not written before n is (†).
func (l *Lake) complete(ctx context.Context, e *Epoch) (bool, error) {
	var lacking []*TableChange
	for i := range e.Changes {
		tbl, err := l.loadNamed(ctx, e.Changes[i].Table)
		if err != nil {
			return false, err
		}
		progress, err := ReadProgress(e.Changes[i].Table, tbl.Metadata())
		if err != nil {
			return false, err
		}
		switch {
		case progress.Epoch < e.Number:
			lacking = append(lacking, &e.Changes[i])
		case progress.Epoch > e.Number:
			return false, lostLog(e.Changes[i].Table, progress.Epoch, e.Number)
		}
	}
	if len(lacking) == 0 {
		return false, nil
	}
	if err := l.checkFiles(ctx, e.Number, lacking); err != nil {
		return false, err
	}
	l.logger.Info("completing epoch that was recorded before", "epoch", e.Number)
	return true, l.commit(ctx, e, &replans{looked: true})
}

func (l *Lake) checkRecorded(ctx context.Context, state TableState) error {
	tbl, err := l.loadNamed(ctx, state.Table)
	if err != nil {
		return err
	}
	meta := tbl.Metadata()
	if meta.TableUUID() != state.UUID {
		return fmt.Errorf("%w: %s was dropped and made again (uuid %s, the log knows %s); restore it, or give the model a new name",
			ErrForeign, state.Table, meta.TableUUID(), state.UUID)
	}
	progress, err := ReadProgress(state.Table, meta)
	if err != nil {
		return err
	}
	switch {
	case progress.Epoch > state.Epoch:
		return lostLog(state.Table, progress.Epoch, state.Epoch)
	case progress.Epoch < state.Epoch:
		return fmt.Errorf("%w: %s is at epoch %d, the log says %d touched it last; it was restored from an older copy: restore all tables and the log to one time",
			ErrForeign, state.Table, progress.Epoch, state.Epoch)
	case progress.Epoch != 0 && progress.Pipeline != l.pipeline:
		return fmt.Errorf("%w: %s is written by pipeline %q, this one is %q", ErrOtherPipeline, state.Table, progress.Pipeline, l.pipeline)
	}
	return nil
}

// unrecorded says why a table that shows an epoch is not in the log: the log is
// older than the table, or its model was taken out of the project since. Such a
// model cannot go on, for where it stopped is not recorded any more, nor begin
// again, for its rows are there and the audit table accounts for them.
func (l *Lake) unrecorded(name string, shown Progress, last int64) error {
	if shown.Epoch > last {
		return fmt.Errorf("%w: %s shows epoch %d of pipeline %q, the log at %s ends at %d; restore the log, or run calve recover",
			ErrLostLog, name, shown.Epoch, shown.Pipeline, l.Log().dir, last)
	}
	return fmt.Errorf("%w: %s has rows up to epoch %d and no model of epoch %d writes it; give the model another name, and it begins a table of its own",
		ErrTakenOut, name, shown.Epoch, last)
}

func lostLog(table string, shown, recorded int64) error {
	return fmt.Errorf("%w: %s is at epoch %d, the log says %d touched it last; restore the log, or run calve recover",
		ErrLostLog, table, shown, recorded)
}
