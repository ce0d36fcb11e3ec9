package pipeline

import (
	"time"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// Report is what one epoch did, for metrics.
type Report struct {
	Epoch  int64
	Took   EpochTimes
	Models []ModelReport // in the order in which they run
	Tables []TableReport // that it touched
	State  int64         // bytes of keyed state that it uploaded
	// Positions are where reading goes on, at the reader that is furthest behind.
	Positions map[record.TopicPartition]int64
	// Newest is the newest timestamp of the records that it read, by topic: µs
	// since 1970-01-01 UTC.
	Newest map[string]int64
}

// EpochTimes is where an epoch's time went.
type EpochTimes struct {
	Fill   time.Duration // from its begin to the first step of its end
	Files  time.Duration // keyed operators, data files, keyed state
	Record time.Duration // until the record was put
	Commit time.Duration // until every table showed it
}

// ModelReport is what one model did in an epoch.
type ModelReport struct {
	Model   string
	Fate    record.Fate
	Reasons map[string]int64 // dead letters by reason code
	// Newest is the newest event time that was written, Watermark how far event
	// time has come: µs since 1970-01-01 UTC, or record.NoTime.
	Newest, Watermark int64
	Keyed             bool   // the fates count rows of its input
	Changed           int64  // rows of a keyed model that changed
	Inferred          *int64 // members that facts inferred; nil for a model that is no dimension
	Open              *int64 // sessions that it holds open; nil for a model that has none
}

// TableReport is what an epoch wrote to one table.
type TableReport struct {
	Table    string
	Files    int
	Bytes    int64
	Rows     int64 // in them
	Replaced int   // files
	Changed  int64 // rows that are new, and of a keyed table those that changed or went
}

// OtherReasons stands for the reason codes of dead letters beyond those that an
// epoch tells apart.
const OtherReasons = "other"

// stopwatch tells how long the parts of something took.
type stopwatch struct {
	now  func() time.Time
	last time.Time
}

func newStopwatch(now func() time.Time, begun int64) *stopwatch {
	return &stopwatch{now: now, last: time.UnixMicro(begun)}
}

func (w *stopwatch) lap() time.Duration {
	now := w.now()
	took := now.Sub(w.last)
	w.last = now
	return took
}

// report puts together what a committed epoch did.
func (e *epoch) report(r *lakehouse.Epoch, took EpochTimes) Report {
	out := Report{Epoch: r.Number, Took: took, Positions: furthestBehind(r.Readers), Newest: e.heard}
	if s, ok := e.p.parts.State.(interface{ Uploaded() int64 }); ok {
		out.State = s.Uploaded()
	}
	for i := range e.p.parts.Models {
		m := &e.p.parts.Models[i]
		out.Models = append(out.Models, e.modelReport(m.Name))
	}
	for i := range e.p.keyed {
		k := &e.p.keyed[i]
		if k.Test != nil {
			continue
		}
		report := e.modelReport(k.Name)
		report.Keyed, report.Changed, report.Watermark = true, e.changed[k.Name], e.p.watermark(k)
		report.Open = k.open()
		if _, ok := k.Operator.(Inferrer); ok {
			inferred := e.inferred[k.Name]
			report.Inferred = &inferred
		}
		out.Models = append(out.Models, report)
	}
	for _, c := range r.Changes {
		t := TableReport{Table: c.Table, Files: len(c.Add), Replaced: len(c.Replace)}
		for _, f := range c.Add {
			t.Bytes += f.Bytes
			t.Rows += f.Rows
		}
		t.Changed = t.Rows
		if w, ok := e.changers[c.Table]; ok {
			s := w.Stats()
			t.Changed = s.Changed()
		}
		out.Tables = append(out.Tables, t)
	}
	return out
}

func (e *epoch) modelReport(model string) ModelReport {
	m := ModelReport{Model: model, Reasons: map[string]int64{}, Newest: e.newest[model], Watermark: e.p.watermarks.at(model)}
	if _, seen := e.newest[model]; !seen {
		m.Newest = record.NoTime
	}
	for _, t := range e.slices {
		for key, f := range t.fates {
			if key.model == model {
				m.Fate.Add(f)
			}
		}
	}
	told := int64(0)
	if d := e.deaths[model]; d != nil {
		for reason, c := range d.reasons {
			m.Reasons[reason.code] += c.count
			told += c.count
		}
	}
	if rest := m.Fate.Letters - told; rest > 0 {
		m.Reasons[OtherReasons] += rest
	}
	return m
}

// furthestBehind is where reading of each TopicPartition goes on after an epoch.
// Readers of models that were added later may be behind the others.
func furthestBehind(readers []lakehouse.Reader) map[record.TopicPartition]int64 {
	at := map[record.TopicPartition]int64{}
	for _, r := range readers {
		for _, g := range r.Ranges {
			tp := record.TopicPartition{Topic: g.Topic, Partition: g.Partition}
			if to, ok := at[tp]; !ok || g.To < to {
				at[tp] = g.To
			}
		}
	}
	return at
}

// open is how many sessions a model holds open, nil for a model that has none.
func (k *keyed) open() *int64 {
	counter, ok := k.Operator.(interface{ Open() int64 })
	if !ok {
		return nil
	}
	open := counter.Open()
	return &open
}

// hear takes in the timestamps of records that were polled.
func (e *epoch) hear(s *record.Slice) {
	for i := range s.Records {
		if newest, ok := e.heard[s.Topic]; !ok || s.Records[i].Timestamp > newest {
			e.heard[s.Topic] = s.Records[i].Timestamp
		}
	}
}

// sawTimes takes in the event times of a slice's rows.
func (e *epoch) sawTimes(o outcome) {
	times := eventTimes(o.rows, o.model.EventTime.Column)
	e.p.watermarks.observe(o, times)
	newest, seen := e.newest[o.model.Name]
	for _, at := range times {
		if !seen || at > newest {
			newest, seen = at, true
		}
	}
	if seen {
		e.newest[o.model.Name] = newest
	}
}
