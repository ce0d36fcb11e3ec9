package lakehouse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/lakehouse/storage"
	"github.com/calvelake/calve/runtime/record"
)

// ErrNothingToRecover: the epoch log is whole, or no epoch was ever committed.
var ErrNothingToRecover = errors.New("there is nothing to recover")

// ErrTablesDisagree: tables do not show the same last epoch, so that none of
// them tells where reading went on.
var ErrTablesDisagree = errors.New("the tables disagree about the last epoch")

// ErrUndecidable: the log has records that no recovery may pass over.
var ErrUndecidable = errors.New("the epoch log cannot be rebuilt as it is")

// Recovery is what Recover wrote: the floor from which the log goes on.
type Recovery struct {
	Location string `json:"location"`
	Floor    Floor  `json:"floor"`
}

// Recover rebuilds the start of a lost epoch log from the tables alone
// (invariant 2): the number is the highest epoch that a table shows, positions
// are those of the audit table, tables and their epochs are as the catalog has
// them. It writes one create-only floor, and only where the log is missing,
// older than the tables, or broken below their last epoch; a log that is whole
// is ErrNothingToRecover.
//
// first is the name of the reader that follows the ends of its topics. A model
// is with the reader that it was with when it last read anything. One that
// never did is new to the log, and a TopicPartition that delivered nothing yet
// has no position in the tables: both are read from the beginning.
//
// The state of keyed models is not in the tables, and the floor names none: when
// the pipeline starts they take their inputs' tables in again, by the epochs and
// watermarks of the audit table, and change what differs in their own.
//
// No other writer may be at work: only the log that is lost could fence it.
//
// Tables that do not agree are refused (ErrTablesDisagree): a commit table by
// table may have stopped half way, and only the lost record knows the rest.
func (l *Lake) Recover(ctx context.Context, definitions []Definition, first string) (*Recovery, error) {
	// Tables first, then the log: a writer at work then shows as a log that is
	// ahead of the tables, not as one that is lost.
	shown, err := l.shownProgress(ctx, definitions)
	if err != nil {
		return nil, err
	}
	if err := shown.agree(); err != nil {
		return nil, err
	}
	floor := Floor{Number: shown.number(), Positions: shown.readers(first), Tables: shown.states(), Watermarks: shown.watermarks()}
	location, err := l.Log().rebuild(ctx, floor)
	if err != nil {
		return nil, err
	}
	l.logger.Info("epoch log rebuilt from tables", "epoch", floor.Number, "floor", location)
	return &Recovery{Location: location, Floor: floor}, nil
}

// shownProgress is what the tables tell of a pipeline's progress.
type shownProgress struct {
	audit   string // its name
	tables  map[string]*verifiedTable
	keyed   map[string]bool  // tables that are, or should be
	touched map[string]int64 // by table: the last epoch that the audit table says touched it
	last    int64            // the audit table's last epoch
	models  map[string]*modelEnd
}

// modelEnd is how far a model got, and with which reader.
type modelEnd struct {
	reader string
	epoch  int64 // of its newest audit row
	// watermark is the highest of its audit rows, µs.
	watermark int64
	at        map[record.TopicPartition]auditEnd
}

// auditEnd is the newest audit row of a model and TopicPartition.
type auditEnd struct {
	epoch int64
	at    Range
}

func (l *Lake) shownProgress(ctx context.Context, definitions []Definition) (*shownProgress, error) {
	s := &shownProgress{
		audit:  AuditDefinition(l.pipeline).ID.String(),
		tables: map[string]*verifiedTable{}, keyed: map[string]bool{}, touched: map[string]int64{}, models: map[string]*modelEnd{},
	}
	any := false
	for _, d := range definitions {
		t, err := l.verifiedTable(ctx, d.ID.String())
		if err != nil {
			return nil, err
		}
		if t.problem != nil {
			return nil, t.problem
		}
		s.tables[t.name], s.keyed[t.name] = t, d.Key != nil
		any = any || t.progress.Epoch != 0
	}
	if !any {
		return nil, fmt.Errorf("%w: no table of pipeline %q shows an epoch; calve run begins anew", ErrNothingToRecover, l.pipeline)
	}
	audit := s.tables[s.audit]
	if audit == nil || audit.table == nil {
		return nil, fmt.Errorf("%w: the audit table %s is gone, and it alone knows the positions; restore it, or restore the epoch log", ErrTablesDisagree, s.audit)
	}
	if err := scanAudit(ctx, audit, func(r AuditRow) { s.take(r, DeadLettersDefinition(l.pipeline).ID.String()) }); err != nil {
		return nil, err
	}
	s.touched[s.audit] = s.last
	return s, nil
}

func (s *shownProgress) take(r AuditRow, letters string) {
	s.last = max(s.last, r.Epoch)
	if r.Fate.Rows > 0 && r.Table != "" {
		s.touched[strings.Clone(r.Table)] = max(s.touched[r.Table], r.Epoch)
	}
	if r.Fate.Letters > 0 || r.Replays() { // a replay resolves letters
		s.touched[letters] = max(s.touched[letters], r.Epoch)
	}
	if r.Replays() || s.keyed[r.Table] {
		return // it has no position, or that of the models that it reads
	}
	m := s.models[r.Model]
	if m == nil {
		m = &modelEnd{at: map[record.TopicPartition]auditEnd{}, watermark: record.NoTime}
		s.models[strings.Clone(r.Model)] = m
	}
	if r.Epoch > m.epoch {
		m.epoch, m.reader = r.Epoch, strings.Clone(r.Reader)
	}
	if w := r.Range.Watermark; w != nil {
		m.watermark = max(m.watermark, *w)
	}
	tp := record.TopicPartition{Topic: r.Range.Topic, Partition: r.Range.Partition}
	if m.at[tp].epoch < r.Epoch {
		tp.Topic = strings.Clone(tp.Topic)
		r.Range.Topic, r.Range.ClusterID, r.Range.TopicID = tp.Topic, strings.Clone(r.Range.ClusterID), strings.Clone(r.Range.TopicID)
		m.at[tp] = auditEnd{epoch: r.Epoch, at: r.Range}
	}
}

// agree requires each table to be at the epoch that the audit table says
// touched it last, and says of each that is not what can be done.
func (s *shownProgress) agree() error {
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(s.tables)) {
		t := s.tables[name]
		expected, shown := s.touched[name], t.progress.Epoch
		switch {
		case s.keyed[name]:
			// Whatever it shows, it is made anew; see number.
		case t.table == nil && expected > 0:
			problems = append(problems, fmt.Sprintf("%s is gone, epoch %d wrote it: restore it", name, expected))
		case shown < expected:
			problems = append(problems, fmt.Sprintf("%s is at epoch %d, the audit table says that epoch %d touched it: restore the table as of epoch %d", name, shown, expected, expected))
		case shown > expected:
			problems = append(problems, fmt.Sprintf("%s is at epoch %d, the audit table knows it at %d: %s", name, shown, expected, wayBack(t.table.Metadata(), expected)))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("%w: the audit table ends at epoch %d; %s; or restore the epoch log, from which calve run completes the epoch",
		ErrTablesDisagree, s.last, strings.Join(problems, "; "))
}

// number is the last epoch that any table shows. Keyed ones may show epochs that
// took nothing, of which the audit table does not tell; or one whose commit, table
// by table, stopped before the others: that is taken again, and as their models
// begin anew it is of no account what they have of it.
func (s *shownProgress) number() int64 {
	last := s.last
	for name, t := range s.tables {
		if s.keyed[name] {
			last = max(last, t.progress.Epoch)
		}
	}
	return last
}

// watermarks are those of staging models after their last epoch, as far as the
// audit table tells, if any model keeps state.
func (s *shownProgress) watermarks() map[string]record.Watermark {
	if !slices.Contains(slices.Collect(maps.Values(s.keyed)), true) {
		return nil
	}
	all := map[string]record.Watermark{}
	for name, m := range s.models {
		if m.watermark != record.NoTime {
			all[name] = record.Watermark{At: m.watermark, Seen: m.watermark}
		}
	}
	return all
}

// wayBack says how to undo an epoch of which only this table knows.
func wayBack(meta table.Metadata, epoch int64) string {
	if epoch == 0 {
		return "it had no epoch before: if no other writer put rows into it, drop it, and calve run makes it again"
	}
	for _, snapshot := range meta.Snapshots() {
		if snapshot.Summary == nil {
			continue
		}
		var p Progress
		if json.Unmarshal([]byte(snapshot.Summary.Properties[PropertyEpoch]), &p) == nil && p.Epoch == epoch {
			return fmt.Sprintf("roll it back to snapshot %d and set its property %s to %s", p.SnapshotID, PropertyEpoch, p.encode())
		}
	}
	return fmt.Sprintf("its snapshot of epoch %d has expired: restore the table as of that epoch", epoch)
}

// readers are the positions after the last epoch, with the reader called first
// in front.
func (s *shownProgress) readers(first string) []Reader {
	together := map[string]map[record.TopicPartition]auditEnd{}
	for _, m := range s.models {
		if together[m.reader] == nil {
			together[m.reader] = map[record.TopicPartition]auditEnd{}
		}
		for tp, end := range m.at {
			if end.epoch > together[m.reader][tp].epoch {
				together[m.reader][tp] = end
			}
		}
	}
	readers := []Reader{}
	for _, name := range slices.Sorted(maps.Keys(together)) {
		r := Reader{Name: name, Models: s.modelsOf(name, together[name]), Inputs: map[string]string{}}
		for _, m := range r.Models {
			for tp := range s.models[m].at {
				r.Inputs[m] = tp.Topic
			}
		}
		for _, tp := range slices.SortedFunc(maps.Keys(together[name]), record.TopicPartition.Compare) {
			r.Ranges = append(r.Ranges, together[name][tp].at)
		}
		readers = append(readers, r)
	}
	if i := slices.IndexFunc(readers, func(r Reader) bool { return r.Name == first }); i > 0 {
		r := readers[i]
		readers = slices.Insert(slices.Delete(readers, i, i+1), 0, r)
	}
	return positionsAfter(readers)
}

// modelsOf are a reader's models. One that stopped before the reader did (it
// was taken out of the project) is not among them: it would go on in the middle
// and lack what the others have read since.
func (s *shownProgress) modelsOf(reader string, together map[record.TopicPartition]auditEnd) []string {
	models := []string{}
	for _, name := range slices.Sorted(maps.Keys(s.models)) {
		m := s.models[name]
		behind := m.reader != reader
		for tp, end := range m.at {
			behind = behind || end.at.To != together[tp].at.To
		}
		if !behind {
			models = append(models, name)
		}
	}
	return models
}

func (s *shownProgress) states() []TableState {
	states := []TableState{}
	for _, name := range slices.Sorted(maps.Keys(s.tables)) {
		if t := s.tables[name]; t.table != nil {
			states = append(states, TableState{Table: name, UUID: t.table.Metadata().TableUUID(), Epoch: t.progress.Epoch})
		}
	}
	return states
}

// rebuild writes a floor under a log that is missing, or broken or behind below
// it. It passes over no record above: those stay, and must go on where the
// floor ends.
func (l *Log) rebuild(ctx context.Context, floor Floor) (location string, err error) {
	tail, err := l.Read(ctx)
	switch {
	case err == nil && tail.Last() >= floor.Number:
		return "", fmt.Errorf("%w: the log at %s ends at epoch %d, the tables at %d; calve run goes on from it", ErrNothingToRecover, l.dir, tail.Last(), floor.Number)
	case err != nil && !errors.Is(err, ErrHole) && !errors.Is(err, ErrCorrupt):
		return "", fmt.Errorf("read epoch log: %w", err)
	}
	location = l.location("floor", floor.Number)
	if err := l.checkAbove(ctx, floor); err != nil {
		return "", err
	}
	body, err := json.Marshal(floor)
	if err != nil {
		return "", fmt.Errorf("encode floor %d: %w", floor.Number, err)
	}
	if err := l.store.Put(ctx, location, body); err != nil {
		there, getErr := l.store.Get(ctx, location) // (invariant 5)
		if getErr != nil || !bytes.Equal(there, body) {
			return "", fmt.Errorf("write floor %s: %w", location, err)
		}
	}
	if tail, err = l.Read(ctx); err != nil {
		return "", fmt.Errorf("read the rebuilt log: %w", err)
	}
	if tail.Last() < floor.Number {
		return "", fmt.Errorf("read the rebuilt log: %w: it ends at %d, expected %d", ErrCorrupt, tail.Last(), floor.Number)
	}
	return location, nil
}

// checkAbove refuses a log whose objects above the floor-to-be cannot be
// carried on from: a record there may be decided and must not be lost
// (invariant 4).
func (l *Log) checkAbove(ctx context.Context, floor Floor) error {
	floors, err := l.numbers(ctx, "floor/")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUndecidable, err)
	}
	if n := len(floors); n > 0 && floors[n-1] >= floor.Number {
		location := l.location("floor", floors[n-1])
		if _, err := l.store.Get(ctx, location); !errors.Is(err, storage.ErrNotExist) {
			return fmt.Errorf("%w: %s exists, the tables end at epoch %d; restore it, or remove it if it is damaged", ErrUndecidable, location, floor.Number)
		}
	}
	numbers, err := l.numbers(ctx, "epochs/")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUndecidable, err)
	}
	above, err := l.readAbove(ctx, floor, numbers)
	if err != nil {
		return fmt.Errorf("%w: the tables end at epoch %d and there are records beyond: %w; restore them, since an epoch that is recorded is decided", ErrUndecidable, floor.Number, err)
	}
	if len(above.Epochs) == 0 {
		return nil
	}
	if err := goesOn(floor.Positions, above.Epochs[0]); err != nil {
		return fmt.Errorf("%w: record %d is beyond the tables and does not follow from them: %w", ErrUndecidable, above.Epochs[0].Number, err)
	}
	return nil
}

// goesOn checks that an epoch begins where positions are.
func goesOn(positions []Reader, e *Epoch) error {
	type place struct {
		reader, topic string
		partition     int32
	}
	at := map[place]int64{}
	for _, r := range positions {
		for _, g := range r.Ranges {
			at[place{r.Name, g.Topic, g.Partition}] = g.To
		}
	}
	for _, r := range e.Readers {
		for _, g := range r.Ranges {
			if to, ok := at[place{r.Name, g.Topic, g.Partition}]; ok && g.From != to {
				return fmt.Errorf("it takes %s/%d from offset %d, the tables end at %d", g.Topic, g.Partition, g.From, to)
			}
		}
	}
	return nil
}
