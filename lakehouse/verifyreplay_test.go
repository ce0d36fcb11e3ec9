package lakehouse

import (
	"slices"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/record"
)

// deadEpoch has records with rows (0, 1), with a row refused beside others (1),
// dead as a whole (2, 3, 4), dead row by row (5), and filtered ones.
var deadEpoch = []taken{{
	from: 0, to: 10, filtered: 4,
	rows: [][2]int64{{0, 0}, {1, 0}, {1, 2}},
	dead: [][2]int64{{1, 1}, {2, -1}, {3, -1}, {4, -1}, {5, 0}, {5, 1}},
}}

// letterAt is a letter of deadEpoch; row -1 stands for the whole record.
func letterAt(offset int64, row int32) Letter {
	return Letter{
		Epoch: 1, Model: "events", Reader: "main", Origin: record.Origin{ClusterID: "cluster", TopicID: "topic"},
		TopicPartition: record.TopicPartition{Topic: "orders"}, Record: record.Record{Offset: offset},
		OfRow: row >= 0, Row: max(row, 0), Reason: record.CodeMalformed,
	}
}

func resolved(epoch int64, outcome Outcome, offset int64, row int32) Resolution {
	return Resolution{Letter: letterAt(offset, row), Epoch: epoch, Request: "r", Outcome: outcome}
}

func replayRow(epoch int64, f record.Fate) AuditRow {
	return AuditRow{
		Epoch: epoch, Writer: "w1", Reader: ReplayReader, Model: "events", Table: "staging.events",
		Range: Range{ClusterID: "cluster", TopicID: "topic", Topic: "orders", LeaderEpoch: -1}, Fate: f,
	}
}

// goodReplays are two epochs after deadEpoch: the first replays a row, a record
// of which one row is refused then, and a row of a record without any; it
// filters a record and is refused another. The second takes what is left.
func goodReplays() []*contents {
	again := DeadLetter{
		Epoch: 2, Model: "events", Reader: ReplayReader, Origin: record.Origin{ClusterID: "cluster", TopicID: "topic"}, RecordRows: 2,
		Source: &record.Slice{TopicPartition: record.TopicPartition{Topic: "orders"}, Records: []record.Record{{Offset: 2}}},
		Reject: record.Reject{OfRow: true, Row: 1, Code: record.CodeTest},
	}
	return []*contents{
		{
			rows:    [][3]int64{{0, 1, 1}, {0, 2, 0}, {0, 2, 2}, {0, 5, 0}},
			letters: []DeadLetter{again},
			resolutions: []Resolution{
				resolved(2, Replayed, 1, 1), resolved(2, Replayed, 2, -1), resolved(2, Filtered, 3, -1), resolved(2, Refused, 4, -1), resolved(2, Replayed, 5, 0),
			},
			audit: []AuditRow{replayRow(2, record.Fate{WithRows: 2, Filtered: 1, Dead: -3, Rows: 4, Letters: 1})},
		},
		{
			rows:        [][3]int64{{0, 2, 1}, {0, 5, 1}},
			resolutions: []Resolution{resolved(3, Replayed, 2, 1), resolved(3, Replayed, 5, 1), resolved(3, Discarded, 4, -1)},
			audit:       []AuditRow{replayRow(3, record.Fate{Rows: 2})},
		},
	}
}

// replayedLake commits deadEpoch and replays.
func replayedLake(t *testing.T, replays []*contents) *world {
	t.Helper()
	w := lakeWith(t, deadEpoch)
	l := w.lake("w2")
	s, err := l.Start(t.Context(), eventDefinitions)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range replays {
		e := &Epoch{Number: s.Last + 1, Pipeline: "shop", Writer: l.nonce, Host: "h", Readers: positionsAfter(s.Readers)}
		e.Changes = w.files(l, s, e.Number, *c)
		w.commit(l, w.decide(l, s, e))
	}
	return w
}

func TestVerifyProvesReplays(t *testing.T) {
	w := replayedLake(t, goodReplays())
	v := w.verify()
	if !v.Proven || v.Epochs != 3 {
		t.Fatalf("not proven up to epoch %d: %v", v.Epochs, v.CounterExamples)
	}
	m := v.Models[0]
	if m.Delivered != 10 || m.WithRows != 4 || m.Dead != 1 || m.Filtered != 5 || m.Rows != 9 || m.DeadLetters != 7 {
		t.Errorf("got %+v, want 10 delivered, 4 with rows, 1 dead, 5 filtered, 9 rows, 7 dead letters", m)
	}
	if s := m.Sources; len(s) != 1 || s[0].From != 0 || s[0].To != 10 || s[0].Epochs != 1 {
		t.Errorf("sources %+v, want [0,10) by one epoch", s)
	}
	w.compact("staging.events")
	if v := w.verify(); !v.Proven {
		t.Errorf("not proven after compaction: %v", v.CounterExamples)
	}
}

func TestVerifyFindsDamagedReplays(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(first, second *contents)
		check  Check
		says   string
	}{
		"a row replayed twice": {func(_, second *contents) { second.rows = append(second.rows, [3]int64{0, 2, 0}) },
			CheckDuplicateRow, "offset 2 row 0: expected the row once"},
		"a record replayed twice": {func(_, second *contents) {
			second.resolutions = append(second.resolutions, resolved(3, Replayed, 2, -1))
		},
			CheckResolution, "epoch 3: expected one resolution that closes the letter, found another one"},
		"a discarded letter replayed": {func(first, _ *contents) { first.resolutions[3].Outcome = Discarded },
			CheckResolution, "offset 4 row 0, epoch 3: expected one resolution"},
		"a resolution without its row": {func(first, _ *contents) { first.rows = first.rows[1:] },
			CheckResolution, "offset 1 row 1: expected the row that was replayed, as a resolution says, found none"},
		"a resolution without the record's rows": {func(first, second *contents) {
			first.rows = slices.Delete(first.rows, 1, 3)
			first.letters, first.audit[0].Fate = nil, record.Fate{WithRows: 2, Filtered: 1, Dead: -3, Rows: 2}
			second.rows, second.resolutions, second.audit[0].Fate.Rows = second.rows[1:], second.resolutions[1:], 1
		}, CheckResolution, "offset 2 row 0: expected rows of a record that was replayed, as a resolution says, found none"},
		"a row without its resolution": {func(first, _ *contents) { first.resolutions = first.resolutions[1:] },
			CheckUnresolved, "offset 1 row 1: expected no row of what is a dead letter that no request replayed"},
		"a record's rows without a resolution": {func(_, second *contents) { second.rows = append(second.rows, [3]int64{0, 4, 0}) },
			CheckUnresolved, "offset 4 row 0"},
		"a row of a replayed record lost": {func(first, _ *contents) { first.rows = slices.Delete(first.rows, 2, 3) },
			CheckReplay, "epoch 2: expected +2 records with rows, -3 dead, +1 filtered, 4 rows, 1 dead letters, as the audit row says, found +2 records with rows, -3 dead, +1 filtered, 3 rows"},
		"a record too many with rows": {func(_, second *contents) { second.audit[0].Fate.WithRows, second.audit[0].Fate.Dead = 1, -1 },
			CheckReplay, "epoch 3: expected +1 records with rows, -1 dead, +0 filtered, 2 rows"},
		"a filtered record not counted": {func(first, _ *contents) { first.audit[0].Fate.Filtered, first.audit[0].Fate.Dead = 0, -2 },
			CheckReplay, "epoch 2: expected +2 records with rows, -2 dead, +0 filtered"},
		"a new letter not counted": {func(first, _ *contents) { first.audit[0].Fate.Letters = 0 },
			CheckReplay, "found +2 records with rows, -3 dead, +1 filtered, 4 rows, 1 dead letters"},
		"no audit row": {func(first, _ *contents) { first.audit = []AuditRow{} },
			CheckReplay, "epoch 2: expected one audit row for 5 resolutions and 1 new dead letters, found 0"},
		"two audit rows": {func(_, second *contents) { second.audit = append(second.audit, second.audit[0]) },
			CheckReplay, "epoch 3: expected one audit row for 3 resolutions and 0 new dead letters, found 2"},
		"an audit row without resolutions": {func(_, second *contents) { *second = contents{audit: []AuditRow{replayRow(3, record.Fate{})}} },
			CheckReplay, "epoch 3: expected resolutions of dead letters, as the audit row says, found none"},
		"an audit row that does not add up": {func(first, _ *contents) { first.audit[0].Fate.Dead = -2 },
			CheckAuditRow, "epoch 2: expected a replay to move records from dead to others, as many, found +2 with rows, -2 dead, +1 filtered"},
		"an audit row that takes offsets": {func(_, second *contents) { second.audit[0].Range.To = 5 },
			CheckAuditRow, "epoch 3: expected a replay to take no offsets"},
		"a resolution of no letter": {func(_, second *contents) {
			second.resolutions = append(second.resolutions, resolved(3, Discarded, 0, -1))
		},
			CheckResolution, "offset 0 row 0: expected the dead letter that was resolved, found none"},
		"a resolution of no row's letter": {func(_, second *contents) { second.resolutions = append(second.resolutions, resolved(3, Refused, 5, 2)) },
			CheckResolution, "offset 5 row 2: expected the dead letter that was resolved, found none"},
		"an unknown resolution": {func(_, second *contents) { second.resolutions[2].Outcome = "forgotten" },
			CheckResolution, `expected replayed, filtered, refused or discarded, found "forgotten"`},
		"a replay of another topic": {func(first, _ *contents) { first.audit[0].Range.TopicID = "older" },
			CheckSource, "epoch 2: expected cluster cluster and topic id topic"},
		"a new letter of a record that was not replayed": {func(first, _ *contents) { first.letters[0].Source.Records[0].Offset = 6 },
			CheckLetter, "offset 6 row 0: expected a dead letter of a replay to be of a record that was replayed"},
		"a new letter of a whole record": {func(first, _ *contents) { first.letters[0].Reject.OfRow = false },
			CheckLetter, "expected a replay to leave a record's letter as it is"},
	} {
		t.Run(name, func(t *testing.T) {
			replays := goodReplays()
			c.damage(replays[0], replays[1])
			v := replayedLake(t, replays).verify()
			if v.Proven || len(v.CounterExamples) == 0 {
				t.Fatal("proven")
			}
			i := slices.IndexFunc(v.CounterExamples, func(found CounterExample) bool {
				return found.Check == c.check && strings.Contains(found.String(), c.says)
			})
			if i < 0 {
				t.Errorf("got %v\nwant %q saying %q", v.CounterExamples, c.check, c.says)
			}
		})
	}
}

func TestRecoverAfterReplays(t *testing.T) {
	w := replayedLake(t, goodReplays())
	w.loseLog()
	r, err := w.recover()
	if err != nil {
		t.Fatal(err)
	}
	if r.Floor.Number != 3 || len(r.Floor.Positions) != 1 || r.Floor.Positions[0].Name != "main" || r.Floor.Positions[0].Ranges[0].To != 10 {
		t.Errorf("floor %+v, want number 3 and reader main at offset 10", r.Floor)
	}
	w.goOn(10)
}
