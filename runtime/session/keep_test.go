package session

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
)

// shown is the rows of a table, as Keep is told of them.
func (w *world) shown(tb table) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(w.op.fixed(), nil))
	defer b.Release()
	for _, key := range slices.Sorted(maps.Keys(tb)) {
		for i, name := range w.op.KeepColumns() {
			text := tb[key][name]
			switch field := b.Field(i).(type) {
			case *array.StringBuilder:
				field.Append(text)
			case *array.Int64Builder:
				n, _ := strconv.ParseInt(text, 10, 64)
				field.Append(n)
			case *array.TimestampBuilder:
				n, _ := strconv.ParseInt(text, 10, 64)
				field.Append(arrow.Timestamp(n))
			}
		}
	}
	return b.NewRecordBatch()
}

// earliest is, for each visit of which the table had rows, the key of the first.
func (w *world) earliest(tb table) map[int]string {
	starts, keys := map[int]int64{}, map[int]string{}
	for key, row := range tb {
		start, _ := strconv.ParseInt(row[ColumnStart], 10, 64)
		for i, v := range w.visits() {
			if v[0].key() != fmt.Sprintf("%s/%s", row["user_id"], row["device"]) || start < v.start() || v.end() < start {
				continue
			}
			if at, ok := starts[i]; !ok || start < at {
				starts[i], keys[i] = start, key
			}
		}
	}
	return keys
}

// TestSessionsMadeAnewKeepTheirKeys takes events as they come, late ones not, and
// then all of them again at no watermark, in any order: each session has the key
// of the earliest row that was shown of its events.
func TestSessionsMadeAnewKeepTheirKeys(t *testing.T) {
	kept, moved := 0, 0
	for seed := range uint64(300) {
		w := newWorld(t, seed)
		w.intact = false
		events := randomEvents(w.g)
		events = slices.DeleteFunc(events, func(e event) bool { return w.plugin && e.bytes == int64(refusedBytes) })
		if len(events) == 0 {
			continue
		}
		w.run(events)
		before := maps.Clone(w.table)
		w.table, w.state, w.at, w.taken = table{}, keyvaluetest.New(), record.NoTime, nil
		w.ever = map[string]map[string]string{}
		w.open()
		rows := w.shown(before)
		if err := w.op.Keep(rows); err != nil {
			t.Fatal(err)
		}
		rows.Release()
		again := slices.Clone(events)
		rand.New(rand.NewPCG(seed, 13)).Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		for len(again) > 0 {
			n := 1 + w.g.IntN(len(again))
			w.takeAll(again[:n])
			again = again[n:]
			w.anew()
		}
		w.at = math.MaxInt64
		w.anew()
		w.checkTable()
		visitOf := w.visitOf()
		for i, key := range w.earliest(before) {
			row, ok := w.table[key]
			if !ok && w.row(w.visits()[i], true) == nil {
				continue // the plugin gives it no row
			}
			if !ok || visitOf(row) != strconv.Itoa(i) {
				t.Fatalf("seed %d: the session of key %s has another", seed, key)
			}
			if kept++; before[key][ColumnStart] != row[ColumnStart] {
				moved++
			}
		}
		if err := w.op.Kept(); err != nil {
			t.Fatal(err)
		}
		if n := w.state.Len(string(rune(spaceNames))) + w.state.Len(string(rune(spaceKept))); n > 0 {
			t.Fatalf("seed %d: %d kept keys are left", seed, n)
		}
	}
	if kept == 0 || moved == 0 {
		t.Errorf("%d keys were kept, %d of them with another start; want some", kept, moved)
	}
}

// anew ends an epoch of sessions that are made anew.
func (w *world) anew() {
	changes, failed := end(w.t, w.op, w.at)
	w.table.apply(w.t, changes)
	w.checkFailed(failed)
	if w.g.IntN(4) == 0 {
		w.open()
	}
}
