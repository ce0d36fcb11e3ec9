package lakehouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/runtime/record"
)

// ModelTable says which table a model's rows are in; Table is "" for a model
// without one.
type ModelTable struct {
	Model string
	Table string
	// Keyed: the model's rows are not those of single records; its table, if it
	// has one, is keyed. Its audit rows count rows of its input.
	Keyed bool
}

// Verification is what the tables of a pipeline prove about it.
type Verification struct {
	Pipeline string       `json:"pipeline"`
	Proven   bool         `json:"proven"` // no counter-example was found
	Epochs   int64        `json:"epochs"` // the last one that the audit table shows
	Models   []ModelProof `json:"models"`
	Tables   []TableProof `json:"tables"`
	// CounterExamples has, of each check that fails and each model, the first
	// in order of position, and how many there are. Empty if Proven.
	CounterExamples []CounterExample `json:"counter_examples"`
}

// ModelProof is what a model read and what became of it: its audit rows, with
// which its table and dead letters agree if the verification is Proven.
type ModelProof struct {
	Model       string        `json:"model"`
	Table       string        `json:"table,omitempty"`
	TableGone   bool          `json:"table_gone,omitempty"` // a former model's table was dropped: its audit rows alone were checked
	Delivered   int64         `json:"delivered"`            // = with_rows + dead + filtered
	WithRows    int64         `json:"with_rows"`
	Dead        int64         `json:"dead"`
	Filtered    int64         `json:"filtered"`
	Rows        int64         `json:"rows"`
	DeadLetters int64         `json:"dead_letters"`
	Sources     []SourceProof `json:"sources"`
}

// SourceProof is what a model read of one TopicPartition: offsets [From, To)
// without a gap, but for accepted losses.
type SourceProof struct {
	ClusterID string     `json:"cluster_id"`
	TopicID   string     `json:"topic_id"`
	Topic     string     `json:"topic"`
	Partition int32      `json:"partition"`
	From      int64      `json:"from"`
	To        int64      `json:"to"`
	Epochs    int64      `json:"epochs"` // audit rows
	Lost      []Interval `json:"lost,omitempty"`
}

// TableProof is how far a table is, and how far the audit table says that it
// is.
type TableProof struct {
	Table    string `json:"table"`
	Epoch    int64  `json:"epoch"`
	Expected int64  `json:"expected"`
	Rows     int64  `json:"rows"`
}

// settleAttempts bounds how often Verify loads the tables again while a writer
// commits.
const settleAttempts = 6

// Verify proves from tables alone, without the epoch log and without Kafka,
// that every record that was read has exactly one fate in every model that
// reads it (invariants 1 and 6): the audit ranges of each TopicPartition follow
// on one another; rows are unique by position and ordinal and lie in audited
// ranges; in the range of each epoch there are as many positions with rows,
// dead ones, rows and dead letters as its audit row says; and every table is at
// the last epoch that touched it. Of a keyed table every row can be read, none
// has a null in its key, and no two have the same. models are those of the
// project; those that the audit table alone knows are checked as well.
//
// It may run beside a writer: it reads the tables as of one epoch. Memory is
// one bit for each offset and ordinal that has a row, and one for each that has
// a dead letter, in pages of 4096 offsets: 12.5 MB for 10^8 records with a row
// each, at most about 600 bytes a record where a topic keeps fewer than one in
// 4096; and 23 bytes for each row of a keyed table, one table at a time.
//
// A lake that fails is no error; see Verification.Proven. An error means that
// the tables could not be read.
func (l *Lake) Verify(ctx context.Context, models []ModelTable) (*Verification, error) {
	tables, err := l.settledTables(ctx, models)
	if err != nil {
		return nil, err
	}
	v := &verifier{lake: l, tables: tables, models: map[string]*modelProof{}, found: map[findingKey]*CounterExample{}, touched: map[string]int64{}}
	for _, m := range models {
		v.models[m.Model] = newModelProof(m.Model, m.Table)
		v.models[m.Model].current, v.models[m.Model].keyed = true, m.Keyed || v.isKeyed(m.Table)
	}
	audit := tables[AuditDefinition(l.pipeline).ID.String()]
	steps := []func(context.Context) error{
		func(ctx context.Context) error { return v.readRanges(ctx, audit) },
		v.loadFormer,
		v.readLetters,
		v.readRows,
		func(ctx context.Context) error { return v.account(ctx, audit) },
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, err
		}
		if audit.broken {
			return v.result(), nil // nothing to compare the others with
		}
	}
	v.checkProgress()
	return v.result(), nil
}

// verifiedTable is a table as one verification sees it.
type verifiedTable struct {
	name     string
	table    *table.Table
	progress Progress
	problem  error // why there is no progress
	rows     int64
	broken   bool // a data file is missing: its rows cannot be counted
}

// settledTables loads the project's tables so that no commit lies between
// them: until the audit table, which is committed last, stays as it was and no
// other is ahead of it. A commit that was left half done never settles, and is
// found as a counter-example.
func (l *Lake) settledTables(ctx context.Context, models []ModelTable) (map[string]*verifiedTable, error) {
	audit := AuditDefinition(l.pipeline).ID.String()
	names := []string{DeadLettersDefinition(l.pipeline).ID.String()}
	for _, m := range models {
		if m.Table != "" {
			names = append(names, m.Table)
		}
	}
	for attempt := 0; ; attempt++ {
		before, err := l.verifiedTable(ctx, audit)
		if err != nil {
			return nil, err
		}
		tables := map[string]*verifiedTable{audit: before}
		for _, name := range names {
			if tables[name], err = l.verifiedTable(ctx, name); err != nil {
				return nil, err
			}
		}
		after, err := l.verifiedTable(ctx, audit)
		if err != nil {
			return nil, err
		}
		if sameHead(before, after) && (attempt+1 >= settleAttempts || !ahead(tables, before)) {
			return tables, nil
		}
		if err := l.pause(ctx, attempt); err != nil {
			return nil, fmt.Errorf("wait for a commit to end: %w", err)
		}
	}
}

func sameHead(a, b *verifiedTable) bool {
	if a.table == nil || b.table == nil {
		return a.table == b.table
	}
	return a.table.MetadataLocation() == b.table.MetadataLocation()
}

func ahead(tables map[string]*verifiedTable, audit *verifiedTable) bool {
	for _, t := range tables {
		if t.progress.Epoch > audit.progress.Epoch {
			return true
		}
	}
	return false
}

// verifiedTable loads a table; its table is nil if there is none.
func (l *Lake) verifiedTable(ctx context.Context, name string) (*verifiedTable, error) {
	t := &verifiedTable{name: name}
	loaded, err := l.loadNamed(ctx, name)
	if errors.Is(err, catalog.ErrNoSuchTable) {
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	t.table = loaded
	t.progress, t.problem = ReadProgress(name, loaded.Metadata())
	if t.problem == nil && t.progress.Epoch != 0 && t.progress.Pipeline != l.pipeline {
		t.problem = fmt.Errorf("%w: its epochs are those of pipeline %q, not %q", ErrOtherPipeline, t.progress.Pipeline, l.pipeline)
	}
	return t, nil
}

// verifier collects what the tables show.
type verifier struct {
	lake    *Lake
	tables  map[string]*verifiedTable
	models  map[string]*modelProof
	touched map[string]int64 // by table: the last epoch that the audit table says touched it
	last    int64            // epoch of the audit table's newest row
	found   map[findingKey]*CounterExample
}

// modelProof is what is known of one model.
type modelProof struct {
	ModelProof
	current bool // of the project
	keyed   bool
	crowded []func() // checks of audit rows that hold unless it is keyed
	sources map[record.TopicPartition]*sourceProof
}

func newModelProof(model, tableName string) *modelProof {
	return &modelProof{ModelProof: ModelProof{Model: model, Table: tableName}, sources: map[record.TopicPartition]*sourceProof{}}
}

// loadFormer loads the tables of models that the project no longer has. No
// writer touches them; one that was dropped with its model is no loss.
func (v *verifier) loadFormer(ctx context.Context) error {
	for _, m := range v.sorted() {
		if m.Table == "" || v.tables[m.Table] != nil {
			continue
		}
		t, err := v.lake.verifiedTable(ctx, m.Table)
		if err != nil {
			return err
		}
		m.TableGone = t.table == nil
		if !m.TableGone {
			v.tables[m.Table] = t
		}
		m.keyed = v.isKeyed(m.Table)
	}
	for _, m := range v.sorted() {
		for _, check := range m.crowded {
			if !m.keyed {
				check()
			}
		}
	}
	return nil
}

// isKeyed tells whether a table that was loaded is keyed.
func (v *verifier) isKeyed(name string) bool {
	t := v.tables[name]
	if t == nil || t.table == nil {
		return false
	}
	_, keyed := t.table.Properties()[PropertyKey]
	return keyed
}

// checkProgress compares each table's epoch with the last that the audit table
// says touched it.
func (v *verifier) checkProgress() {
	v.touched[AuditDefinition(v.lake.pipeline).ID.String()] = v.last
	for _, name := range slices.Sorted(maps.Keys(v.tables)) {
		t := v.tables[name]
		expected := v.touched[name]
		at := finding{check: CheckProgress, table: name, epoch: expected}
		switch {
		case t.table == nil && expected != 0:
			at.check = CheckMissingTable
			v.note(at, fmt.Sprintf("the table that epoch %d wrote", expected), "no such table")
		case t.problem != nil:
			v.note(at, fmt.Sprintf("the table at epoch %d", expected), t.problem.Error())
		case v.isKeyed(name):
			v.checkKeyedProgress(at, t)
		case t.progress.Epoch != expected:
			v.note(at, fmt.Sprintf("the table at epoch %d, the last that the audit table says touched it", expected), fmt.Sprintf("epoch %d", t.progress.Epoch))
		}
	}
}

// checkKeyedProgress: a keyed table changes in epochs that read nothing too, as
// time goes on, of which no audit row tells. It is not behind one that does.
func (v *verifier) checkKeyedProgress(at finding, t *verifiedTable) {
	if t.progress.Epoch < at.epoch {
		v.note(at, fmt.Sprintf("the table at epoch %d, the last that the audit table says touched it, or later", at.epoch), fmt.Sprintf("epoch %d", t.progress.Epoch))
	}
}

func (v *verifier) sorted() []*modelProof {
	return slices.SortedFunc(maps.Values(v.models), func(a, b *modelProof) int { return cmp.Compare(a.Model, b.Model) })
}

func (v *verifier) result() *Verification {
	out := &Verification{
		Pipeline: v.lake.pipeline, Epochs: v.last, Models: []ModelProof{}, Tables: []TableProof{},
		CounterExamples: v.counterExamples(),
	}
	out.Proven = len(out.CounterExamples) == 0
	for _, m := range v.sorted() {
		proof := m.ModelProof
		proof.Sources = []SourceProof{}
		for _, tp := range slices.SortedFunc(maps.Keys(m.sources), record.TopicPartition.Compare) {
			proof.Sources = append(proof.Sources, m.sources[tp].proof())
		}
		out.Models = append(out.Models, proof)
	}
	for _, name := range slices.Sorted(maps.Keys(v.tables)) {
		if t := v.tables[name]; t.table != nil {
			out.Tables = append(out.Tables, TableProof{Table: name, Epoch: t.progress.Epoch, Expected: v.touched[name], Rows: t.rows})
		}
	}
	return out
}
