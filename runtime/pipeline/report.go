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
	Keyed             bool  // the fates count rows of its input
	Changed           int64 // rows of a keyed model that changed
	Open              int64 // what its operator holds open (sessions)
}

// TableReport is what an epoch wrote to one table.
type TableReport struct {
	Table    string
	Files    int
	Bytes    int64
	Rows     int64
	Replaced int // files
}

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
	out := Report{Epoch: r.Number, Took: took}
	for i := range e.p.parts.Models {
		m := &e.p.parts.Models[i]
		out.Models = append(out.Models, e.modelReport(m.Name))
	}
	for i := range e.p.keyed {
		k := &e.p.keyed[i]
		report := e.modelReport(k.Name)
		report.Keyed, report.Changed, report.Watermark = true, e.changed[k.Name], e.p.watermark(k)
		if counter, ok := k.Operator.(interface{ Open() int64 }); ok {
			report.Open = counter.Open()
		}
		out.Models = append(out.Models, report)
	}
	for _, c := range r.Changes {
		t := TableReport{Table: c.Table, Files: len(c.Add), Replaced: len(c.Replace)}
		for _, f := range c.Add {
			t.Bytes += f.Bytes
			t.Rows += f.Rows
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
	if d := e.deaths[model]; d != nil {
		for reason, c := range d.reasons {
			m.Reasons[reason.code] += c.count
		}
	}
	return m
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
