package pipeline_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/record"
)

// Windows count the rows of two staging models in windows of event time, those of
// the records. A window has a row when the watermark has reached its end; what
// comes to it later is late. Either topic may be silent.
var windowsID = catalog.Identifier{Namespace: "marts", Name: "windows"}

const windowLength = 10 // µs

func windowsModels(m modelSpec) []modelSpec {
	clicks, views := m, m
	clicks.name, clicks.topic, views.name, views.topic = "clicks", "clicks", "views", "views"
	return []modelSpec{clicks, views}
}

func windowsDefinition() lakehouse.Definition {
	return lakehouse.Definition{ID: windowsID, Key: []string{"window"}, Schema: arrow.NewSchema([]arrow.Field{
		{Name: "window", Type: arrow.PrimitiveTypes.Int64},
		{Name: "rows", Type: arrow.PrimitiveTypes.Int64},
		{Name: "sum_of_ids", Type: arrow.PrimitiveTypes.Int64},
	}, nil)}
}

func buildWindows(t *lakehouse.Table, s *censusState) pipeline.KeyedModel {
	o := &windows{state: s.star(windowsID.Name)}
	o.Discard()
	return pipeline.KeyedModel{Name: windowsID.Name, Inputs: []string{"clicks", "views"}, Table: t, Definition: "windows 1", Operator: o}
}

// window is what is known of one.
type window struct{ Rows, Sum int64 }

// windowAt is the window of an event time, endOf where one ends.
func windowAt(at int64) int64 { return at / windowLength }
func endOf(window int64) int64 {
	return (window + 1) * windowLength
}

// windows implements pipeline.Operator.
type windows struct {
	state   starState
	touched map[int64]window // in the epoch in hand
	ended   int64            // the watermark of the last End
}

func (o *windows) Discard() { o.touched, o.ended = map[int64]window{}, record.NoTime }

func (o *windows) ready(watermark int64) error {
	if watermark < o.ended {
		return fmt.Errorf("BUG: watermark %d after %d", watermark, o.ended)
	}
	return nil
}

func (o *windows) Take(_ context.Context, _ string, rows record.Batch, watermark int64) ([]record.Reject, error) {
	if err := o.ready(watermark); err != nil {
		return nil, err
	}
	ids, ordinals := rows.Rows.Column(0).(*array.Int64), rows.RowOrdinals()
	var rejects []record.Reject
	for i, index := range rows.Records {
		at := windowAt(rows.Source.Records[index].Timestamp)
		if endOf(at) <= watermark {
			rejects = append(rejects, record.Reject{Record: index, OfRow: true, Row: ordinals[i], Code: record.CodeLate, Message: "the window has ended"})
			continue
		}
		w, held := o.touched[at]
		if !held {
			o.state.get(strconv.FormatInt(at, 10), &w)
		}
		w.Rows++
		w.Sum += ids.Value(i)
		o.touched[at] = w
	}
	return rejects, nil
}

func (o *windows) Follow(context.Context, string, record.Changelog, int64) error {
	return fmt.Errorf("BUG: %s reads no keyed model", windowsID)
}

func (o *windows) End(_ context.Context, watermark int64) (record.Changelog, error) {
	if err := o.ready(watermark); err != nil {
		return record.Changelog{}, err
	}
	o.ended = watermark
	for at, w := range o.touched {
		o.state.put(strconv.FormatInt(at, 10), w)
	}
	clear(o.touched)
	b := array.NewRecordBuilder(memory.DefaultAllocator, windowsDefinition().Schema)
	defer b.Release()
	var out record.Changelog
	for _, key := range slices.Sorted(maps.Keys(o.state)) {
		at, err := strconv.ParseInt(key, 10, 64)
		if err != nil {
			return record.Changelog{}, err
		}
		if endOf(at) > watermark {
			continue
		}
		var w window
		o.state.get(key, &w)
		delete(o.state, key)
		out.Ops = append(out.Ops, record.OpCreate)
		for i, n := range []int64{at, w.Rows, w.Sum} {
			b.Field(i).(*array.Int64Builder).Append(n)
		}
	}
	if len(out.Ops) > 0 {
		out.Rows = b.NewRecordBatch()
	}
	return out, nil
}

// checkWindows compares the windows with the staged rows that were not late,
// counted anew: those have a row that end by the watermark that the operator saw
// last.
func (w *world) checkWindows() error {
	seen, err := w.windowsWatermark()
	if err != nil {
		return err
	}
	late, err := w.lateRows()
	if err != nil {
		return err
	}
	want := map[int64]window{}
	for _, m := range w.models {
		staged, err := w.rows(staging(m.name))
		if err != nil {
			return err
		}
		for _, r := range staged {
			at := windowAt(w.timeOf(place{r.TopicPartition, r.offset}))
			if late[place{r.TopicPartition, r.offset}] || endOf(at) > seen.Seen {
				continue
			}
			counted := want[at]
			want[at] = window{counted.Rows + 1, counted.Sum + r.number("id")}
		}
	}
	rows, err := w.rows(windowsID)
	if err != nil {
		return err
	}
	got := map[int64]window{}
	for _, r := range rows {
		got[r.number("window")] = window{r.number("rows"), r.number("sum_of_ids")}
	}
	if len(got) != len(rows) || !maps.Equal(got, want) {
		return fmt.Errorf("at watermark %d %s holds %v, its rows are %v", seen.Seen, windowsID, got, want)
	}
	return nil
}

// timeOf is the event time of a record.
func (w *world) timeOf(at place) int64 {
	for _, r := range w.broker.topics[at.Topic].partitions[at.Partition].records {
		if r.Offset == at.offset {
			return r.Timestamp
		}
	}
	panic(fmt.Sprintf("BUG: there is no record %s@%d", at.TopicPartition, at.offset))
}

// lateRows are those that the windows refused.
func (w *world) lateRows() (map[place]bool, error) {
	letters, err := w.deadLetters()
	if err != nil {
		return nil, err
	}
	late := map[place]bool{}
	for _, r := range letters {
		if r.text("model") == windowsID.Name {
			late[place{r.TopicPartition, r.offset}] = true
		}
	}
	return late, nil
}

// windowsWatermark is how far the windows have come by the log.
func (w *world) windowsWatermark() (lakehouse.Reached, error) {
	tail, err := w.log()
	if err != nil {
		return lakehouse.Reached{}, err
	}
	keyed := tail.Floor.Keyed
	if n := len(tail.Epochs); n > 0 {
		keyed = tail.Epochs[n-1].Keyed
	}
	for _, k := range keyed {
		if k.Name == windowsID.Name && k.Watermark != nil {
			return *k.Watermark, nil
		}
	}
	return lakehouse.Reached{At: record.NoTime, Seen: record.NoTime}, nil
}
