package lakehouse

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/calvelake/calve/runtime/record"
)

// bytesLake is a lake with letters whose records have every kind of bytes.
func bytesLake(t *testing.T) (*world, []record.Record) {
	t.Helper()
	w := newWorld(t)
	l := w.lake("w1")
	s, err := l.Start(t.Context(), eventDefinitions)
	if err != nil {
		t.Fatal(err)
	}
	records := []record.Record{
		{Offset: 3, Timestamp: 7, Key: nil, Value: nil, LeaderEpoch: -1},
		{Offset: 4, Timestamp: 8, Key: []byte{}, Value: []byte{}, LeaderEpoch: -1, Headers: []record.Header{{Key: "", Value: nil}, {Key: "a", Value: []byte{}}, {Key: "a", Value: []byte{0, 255}}}},
		{Offset: 5, Timestamp: -9, Key: []byte{0xff, 0}, Value: []byte("text"), LeaderEpoch: -1},
	}
	slice := &record.Slice{TopicPartition: record.TopicPartition{Topic: "orders"}, Records: records, IngestedAt: 1_000_000}
	origin := record.Origin{ClusterID: "cluster", TopicID: "topic"}
	letter := func(index int32, reject record.Reject) DeadLetter {
		reject.Record = index
		return DeadLetter{Epoch: 1, Model: "events", Reader: "main", Origin: origin, Source: slice, Reject: reject, PluginDigest: "digest"}
	}
	e := &Epoch{Number: 1, Pipeline: "shop", Writer: l.nonce, Host: "h", Readers: []Reader{}}
	audit := taken{from: 3, to: 6}.auditRow(1)
	audit.Fate = record.Fate{Delivered: 3, Dead: 3, Letters: 4}
	audit.Range.Delivered = 3
	e.Changes = w.files(l, s, 1, contents{letters: []DeadLetter{
		letter(0, record.Reject{Code: record.CodeTombstone, Message: "m0"}),
		letter(1, record.Reject{Code: record.CodeMalformed, Message: "m1", Column: "c"}),
		letter(2, record.Reject{OfRow: true, Row: 0, Code: record.CodeTest, Message: "m2"}),
		letter(2, record.Reject{OfRow: true, Row: 1, Code: record.CodeTest, Message: "m3"}),
	}, audit: []AuditRow{audit}})
	w.commit(l, w.decide(l, s, e))
	return w, records
}

// readAll takes all open letters in chunks of n.
func readAll(t *testing.T, o *OpenLetters, n int) (all []Letter, chunks int) {
	t.Helper()
	err := o.Read(t.Context(), ChunkLimit{Letters: n, Bytes: 1 << 20, Payload: true}, func(letters []Letter) (bool, error) {
		if len(letters) > n {
			t.Errorf("%d letters at once, at most %d were asked for", len(letters), n)
		}
		all, chunks = append(all, letters...), chunks+1
		return true, nil
	})
	if err != nil || o.Len() != 0 {
		t.Fatalf("%d letters are left, error %v", o.Len(), err)
	}
	return all, chunks
}

func TestLettersKeepTheirRecordsBytes(t *testing.T) {
	w, records := bytesLake(t)
	o, err := w.lake("reader").OpenLetters(t.Context(), LetterQuery{Request: "r", Before: 2})
	if err != nil {
		t.Fatal(err)
	}
	got, chunks := readAll(t, o, 3)
	if len(got) != 4 || chunks != 2 {
		t.Fatalf("%d letters in %d chunks, want 4 in 2", len(got), chunks)
	}
	for i, want := range []record.Record{records[0], records[1], records[2], records[2]} {
		if !reflect.DeepEqual(got[i].Record, want) {
			t.Errorf("letter %d\n%#v, want\n%#v", i, got[i].Record, want)
		}
		if got[i].IngestedAt != 1_000_000 || got[i].Reason == "" || got[i].Message != fmt.Sprintf("m%d", i) || got[i].PluginDigest != "digest" {
			t.Errorf("letter %d is %+v", i, got[i])
		}
	}
	if got[0].OfRow || !got[3].OfRow || got[3].Row != 1 || got[1].Column != "c" {
		t.Errorf("letters %+v", got)
	}
}

func TestTakeThatFailsKeepsItsLetters(t *testing.T) {
	w, _ := bytesLake(t)
	o, err := w.lake("reader").OpenLetters(t.Context(), LetterQuery{Request: "r", Before: 2})
	if err != nil {
		t.Fatal(err)
	}
	no := errors.New("no")
	err = o.Read(t.Context(), ChunkLimit{Letters: 3, Bytes: 1 << 20}, func([]Letter) (bool, error) { return true, no })
	if !errors.Is(err, no) || o.Len() != 4 {
		t.Errorf("%d letters are left, error %v; want all 4 and the error", o.Len(), err)
	}
	err = o.Read(t.Context(), ChunkLimit{Letters: 3, Bytes: 1 << 20}, func([]Letter) (bool, error) { return false, nil })
	if err != nil || o.Len() != 1 {
		t.Errorf("%d letters are left, error %v; want 1", o.Len(), err)
	}
}

func TestOpenLetters(t *testing.T) {
	w := replayedLake(t, goodReplays()[:1])
	lake := w.lake("reader")
	for name, c := range map[string]struct {
		query LetterQuery
		want  []Letter
		done  RequestResult
	}{
		"another request takes what is open, refused ones too": {
			LetterQuery{Request: "other", Before: 3},
			[]Letter{letterAt(2, 1), letterAt(4, -1), letterAt(5, 1)}, RequestResult{},
		},
		"the same request takes what it has not taken, and nothing newer than its first epoch": {
			LetterQuery{Request: "r", Before: 3},
			[]Letter{letterAt(5, 1)}, RequestResult{Replayed: 3, Filtered: 1, Refused: 1},
		},
		"letters of later epochs are not meant": {
			LetterQuery{Request: "other", Before: 2},
			[]Letter{letterAt(4, -1), letterAt(5, 1)}, RequestResult{},
		},
		"by reason": {
			LetterQuery{Request: "other", Before: 3, Filter: LetterFilter{Reasons: []string{record.CodeTest}}},
			[]Letter{letterAt(2, 1)}, RequestResult{},
		},
		"by id": {
			LetterQuery{Request: "other", Before: 3, Filter: LetterFilter{Letters: []string{idOf(4, -1), idOf(2, -1)}}},
			[]Letter{letterAt(4, -1)}, RequestResult{},
		},
		"by time": {LetterQuery{Request: "other", Before: 3, Filter: LetterFilter{Since: 1}}, nil, RequestResult{}},
		"by another model": {
			LetterQuery{Request: "other", Before: 3, Filter: LetterFilter{Models: []string{"orders"}}}, nil, RequestResult{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := lake.OpenLetters(t.Context(), c.query)
			if err != nil {
				t.Fatal(err)
			}
			if o.Done() != c.done {
				t.Errorf("done %+v, want %+v", o.Done(), c.done)
			}
			got, _ := readAll(t, o, 100)
			if !slices.EqualFunc(got, c.want, func(a, b Letter) bool { return a.ID() == b.ID() }) {
				t.Errorf("got %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func idOf(offset int64, row int32) string {
	l := letterAt(offset, row)
	return l.ID().String()
}

func TestOpenLettersOfModelsThatAreGone(t *testing.T) {
	w := replayedLake(t, nil)
	o, err := w.lake("reader").OpenLetters(t.Context(), LetterQuery{Request: "r", Before: 2, Models: []string{"orders"}})
	if err != nil || o.Len() != 0 || o.Done().NoModel != 6 {
		t.Errorf("%d letters, %+v (%v); want none, and 6 without a model", o.Len(), o.Done(), err)
	}
}

func TestRecordsOfRefusedRowsKnowTheirRows(t *testing.T) {
	w := replayedLake(t, goodReplays()[:1])
	o, err := w.lake("reader").OpenLetters(t.Context(), LetterQuery{Request: "other", Before: 3})
	if err != nil {
		t.Fatal(err)
	}
	if l := letterAt(5, 1); !o.HasRows(&l) {
		t.Errorf("letter %+v: its record has a row, which was replayed", l)
	}
	all, _ := readAll(t, o, 100)
	if !o.HasRows(&all[0]) || all[0].Record.Offset != 2 {
		t.Errorf("letter %+v: its record had rows when it was written", all[0])
	}
	if o.HasRows(&all[1]) {
		t.Errorf("letter %+v: its record has none", all[1])
	}
}

func TestListLetters(t *testing.T) {
	w := replayedLake(t, goodReplays())
	list, err := w.lake("reader").ListLetters(t.Context(), ListQuery{All: true, Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	at := time.UnixMicro(0).UTC()
	want := []LetterGroup{
		{Model: "events", Reason: record.CodeMalformed, Replayed: 4, Filtered: 1, Discarded: 1, First: at, Last: at},
		{Model: "events", Reason: record.CodeTest, Replayed: 1, First: at, Last: at},
	}
	if !slices.Equal(list.Groups, want) {
		t.Errorf("groups %+v\nwant %+v", list.Groups, want)
	}
	if len(list.Letters) != 2 || list.More != 5 || list.Letters[0].Offset != 1 || *list.Letters[0].Row != 1 || list.Letters[0].State != string(Replayed) {
		t.Errorf("letters %+v and %d more, want the first 2 of 7", list.Letters, list.More)
	}
	if list, err = w.lake("reader").ListLetters(t.Context(), ListQuery{Limit: 2}); err != nil || len(list.Groups)+len(list.Letters) != 0 {
		t.Errorf("got %+v (%v), want no open letter", list, err)
	}
	if list, err = newWorld(t).lake("reader").ListLetters(t.Context(), ListQuery{}); err != nil || len(list.Groups) != 0 {
		t.Errorf("of a lake that never ran: %+v (%v), want none", list, err)
	}
}

func TestLetterWithItsHistory(t *testing.T) {
	w := replayedLake(t, goodReplays())
	lake := w.lake("reader")
	h, err := lake.Letter(t.Context(), idOf(4, -1))
	if err != nil {
		t.Fatal(err)
	}
	if h.Record.Offset != 4 || h.Epoch != 1 || h.OfRow || len(h.Resolutions) != 2 ||
		h.Resolutions[0].Outcome != Refused || h.Resolutions[0].Refusal == nil || h.Resolutions[1].Outcome != Discarded || h.Resolutions[1].Epoch != 3 {
		t.Errorf("got %+v, want the record at offset 4, refused and then discarded", h)
	}
	if _, err := lake.Letter(t.Context(), idOf(9, -1)); !errors.Is(err, ErrNoSuchLetter) {
		t.Errorf("got %v, want ErrNoSuchLetter", err)
	}
}

func TestOpenLettersOfALakeThatNeverRan(t *testing.T) {
	o, err := newWorld(t).lake("reader").OpenLetters(t.Context(), LetterQuery{Before: math.MaxInt64})
	if err != nil || o.Len() != 0 {
		t.Errorf("%d letters (%v), want none", o.Len(), err)
	}
}
