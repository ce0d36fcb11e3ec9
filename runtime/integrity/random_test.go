package integrity_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/calvelake/calve/runtime/integrity"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
)

// table is a keyed model's rows by id.
type table map[int64]change

// mutate makes changes that the table can have had, one for each of its rows at
// most.
func (rows table) mutate(r *rand.Rand) []change {
	var all []change
	done := map[int64]bool{}
	for range r.IntN(5) {
		id := 1 + r.Int64N(8)
		if done[id] {
			continue
		}
		done[id] = true
		c := change{record.OpUpdate, id, r.Int64N(9), []string{"", "a", "b", "c", "d", "e", "f"}[r.IntN(7)]}
		switch _, have := rows[id]; {
		case have && r.IntN(3) == 0:
			c = rows[id]
			c.op = record.OpDelete
			delete(rows, id)
		case !have:
			c.op = record.OpCreate
			rows[id] = c
		default:
			rows[id] = c
		}
		all = append(all, c)
	}
	return all
}

func TestRandomChangesOfKeyedModels(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		unique, refs := keyvaluetest.New(), keyvaluetest.New()
		from, to := table{}, table{}
		for epoch := range 30 {
			u := newKit(t, integrity.Unique{Of: keyed("from"), Columns: []string{"name"}}, unique)
			k := newKit(t, integrity.Relationships{From: keyed("from"), Column: "ref", To: keyed("to"), Field: "id"}, refs)
			before := maps.Clone(from)
			changedFrom, changedTo := from.mutate(r), to.mutate(r)
			if len(changedFrom) > 0 {
				u.follow("from", changedFrom...)
				k.follow("from", changedFrom...)
			}
			if len(changedTo) > 0 {
				k.follow("to", changedTo...)
			}
			at := fmt.Sprintf("seed %d, epoch %d", seed, epoch)
			if got, want := u.end(true).Rows, duplicates(from, changedFrom); got != want {
				t.Fatalf("%s: got %d rows that are not unique, want %d", at, got, want)
			}
			if got, want := k.end(true).Rows, missing(before, from, to, changedFrom, changedTo); got != want {
				t.Fatalf("%s: got %d rows without a counterpart, want %d", at, got, want)
			}
		}
	}
}

// duplicates counts the changed rows that have the name of another.
func duplicates(rows table, changed []change) (n int64) {
	for _, c := range changed {
		if c.op == record.OpDelete || c.name == "" {
			continue
		}
		for id, other := range rows {
			if id != c.id && other.name == c.name {
				n++
				break
			}
		}
	}
	return n
}

// missing counts the rows that refer to nothing, where the epoch changed something
// about what they refer to.
func missing(before, from, to table, changedFrom, changedTo []change) (n int64) {
	touched := map[int64]bool{}
	for _, c := range changedFrom {
		touched[before[c.id].ref], touched[from[c.id].ref] = true, true
	}
	for _, c := range changedTo {
		touched[c.id] = true
	}
	for _, row := range from {
		if _, there := to[row.ref]; row.ref != 0 && !there && touched[row.ref] {
			n++
		}
	}
	return n
}

func TestRandomEventsWithinTheHorizon(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		state := keyvaluetest.New()
		newest := map[int32]int64{} // by ref, of those that were taken
		offset, watermark := int64(0), record.NoTime
		for epoch := range 30 {
			k := newKit(t, uniqueEvents, state)
			k.offset, k.watermark = offset, watermark
			var want int64
			for range r.IntN(4) {
				var batch []event
				for range r.IntN(4) {
					e := event{1 + r.Int32N(40), "x", int64(epoch*10) + r.Int64N(20)}
					if at, have := newest[e.ref]; have && (watermark == record.NoTime || seconds(at+60) > watermark) {
						want++
					} else {
						delete(newest, e.ref)
					}
					newest[e.ref] = max(newest[e.ref], e.at)
					batch = append(batch, e)
				}
				if len(batch) > 0 {
					k.take(batch...)
				}
			}
			if got := k.end(true).Rows; got != want {
				t.Fatalf("seed %d, epoch %d: got %d events that came twice, want %d", seed, epoch, got, want)
			}
			offset, watermark = k.offset, seconds(int64(epoch*10))
		}
	}
}
