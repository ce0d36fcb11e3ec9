package pipeline

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/watermark"
)

// EventTime is how time passes for a staging model.
type EventTime struct {
	Column string // of the model's rows, a timestamptz; "" for the records' own timestamps
	Policy watermark.Policy
}

// watermarks follows the event time of all staging models.
type watermarks struct {
	models   []Model
	trackers map[string]*watermark.Tracker
	recorded map[string]record.Watermark
	ends     map[record.TopicPartition]int64
}

func newWatermarks(parts Parts) watermarks {
	w := watermarks{models: parts.Models, trackers: map[string]*watermark.Tracker{}, recorded: parts.Start.Watermarks, ends: parts.Ends}
	for _, m := range parts.Models {
		w.trackers[m.Name] = watermark.New(m.EventTime.Policy, w.state(m.Name))
	}
	return w
}

func (w *watermarks) state(model string) *record.Watermark {
	if s, ok := w.recorded[model]; ok {
		return &s
	}
	return nil
}

// at is a model's watermark as the last record has it.
func (w *watermarks) at(model string) int64 {
	if t, ok := w.trackers[model]; ok {
		return t.At()
	}
	return record.NoTime
}

// observe takes in the event times of a slice's rows.
func (w *watermarks) observe(o outcome, times []int64) {
	if t, ok := w.trackers[o.model.Name]; ok && len(o.rows.Source.Records) > 0 {
		t.Observe(o.rows.Source.TopicPartition, times, o.rows.Source.IngestedAt)
	}
}

// eventTimes are those of a batch's rows that have one: of a column of theirs, or
// of the database's changes, else of the records.
func eventTimes(b record.Batch, column string) []int64 {
	times := make([]int64, 0, len(b.Records))
	for _, rows := range []arrow.RecordBatch{b.Rows, b.Changes} {
		if rows == nil || !rows.Schema().HasField(column) {
			continue
		}
		values := rows.Column(rows.Schema().FieldIndices(column)[0]).(*array.Timestamp)
		for i, v := range values.Values() {
			if values.IsValid(i) {
				times = append(times, int64(v))
			}
		}
		return times
	}
	for _, i := range b.Records {
		times = append(times, b.Source.Records[i].Timestamp)
	}
	return times
}

// next is what the record of an epoch decided now says.
func (w *watermarks) next(readers []*reader, decided int64) map[string]record.Watermark {
	states := make(map[string]record.Watermark, len(w.trackers))
	for _, r := range readers {
		for _, m := range r.models {
			states[m.Name] = w.trackers[m.Name].Next(r.assigned(m.Topic, w.ends), decided)
		}
	}
	return states
}

// moved tells whether a watermark moves to what a record would say.
func (w *watermarks) moved(states map[string]record.Watermark) bool {
	for model, next := range states {
		if next.At != w.trackers[model].At() {
			return true
		}
	}
	return false
}

// settled tells whether operators have seen all watermarks as they are.
func (w *watermarks) settled() bool {
	for _, t := range w.trackers {
		if !t.Settled() {
			return false
		}
	}
	return true
}

// committed takes over what a record says.
func (w *watermarks) committed(states map[string]record.Watermark) {
	w.recorded = states
	w.discard()
}

// discard forgets what came after the last record.
func (w *watermarks) discard() {
	for model, t := range w.trackers {
		t.Restore(w.state(model))
	}
}

// assigned lists the TopicPartitions of a topic; ends are where they ended when
// the pipeline began.
func (r *reader) assigned(topic string, ends map[record.TopicPartition]int64) []watermark.Assigned {
	var all []watermark.Assigned
	for _, position := range r.at.sorted() {
		if position.Topic == topic {
			all = append(all, watermark.Assigned{TopicPartition: position.TopicPartition, Behind: position.Offset < ends[position.TopicPartition]})
		}
	}
	return all
}
