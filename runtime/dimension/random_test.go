package dimension

import (
	"cmp"
	"fmt"
	"iter"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/keyvalue/keyvaluetest"
	"github.com/calvelake/calve/runtime/record/recordtest"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// run delivers everything in some order and in some epochs, at watermarks at which
// nothing is late, and lets facts ask in between.
func (w *world) run(t *testing.T) (recordtest.Table, *Operator) {
	s, tb := keyvaluetest.New(), recordtest.Table{}
	o := w.open(t, s)
	left := slices.Clone(w.events)
	w.r.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
	if w.r.IntN(2) == 0 { // nearly in order, so that things are forgotten on the way
		slices.SortStableFunc(left, func(a, b *event) int { return compareHappenings(a.happening, b.happening) })
		for range 2 {
			if len(left) > 1 && w.r.IntN(2) == 0 {
				i := w.r.IntN(len(left) - 1)
				left[i], left[i+1] = left[i+1], left[i]
			}
		}
	}
	watermark := int64(record.NoTime)
	for len(left) > 0 || w.r.IntN(3) > 0 {
		highest := int64(2000)
		for _, e := range left {
			highest = min(highest, e.at+w.lateness()-1)
		}
		if w.late {
			highest = max(watermark, 0) + 1 + w.r.Int64N(40)
		}
		if w.r.IntN(3) > 0 && highest > watermark {
			watermark = max(watermark, highest-w.r.Int64N(30)*w.r.Int64N(2))
		}
		n := w.r.IntN(min(len(left), 1+w.r.IntN(5)) + 1)
		epoch := left[:n]
		left = left[n:]
		before := s.Clone()
		if w.r.IntN(6) == 0 {
			w.giveUp(t, o, watermark, epoch)
			*s = *before.Clone()
			o.Discard()
		}
		w.tell(t, o, watermark, epoch)
		for _, e := range epoch {
			name := memberName(e.id, e.sub)
			if e.refused {
				continue
			}
			w.told[name] = append(w.told[name], e.happening)
		}
		log, _, err := o.End(t.Context(), watermark)
		if err != nil {
			t.Fatal(err)
		}
		apply(t, tb, o, log)
		w.wantMoved(t, o, before, s)
		w.askSome(t, o)
		endInferred(t, o, tb, watermark)
		if w.r.IntN(3) == 0 {
			o = w.open(t, s)
		}
	}
	return tb, o
}

// giveUp begins an epoch that is to be done again.
func (w *world) giveUp(t *testing.T, o *Operator, watermark int64, epoch []*event) {
	t.Helper()
	w.tell(t, o, watermark, epoch)
	if w.r.IntN(2) == 0 {
		return
	}
	log, _, err := o.End(t.Context(), watermark)
	if err != nil {
		t.Fatal(err)
	}
	log.Release()
	resolve(t, o, []ask{{"ann", 7, 3}, {"bob", 7, 30}})
	if w.r.IntN(2) == 0 {
		endInferred(t, o, recordtest.Table{}, watermark)
	}
}

// wantMoved compares all lookups before and after an epoch.
func (w *world) wantMoved(t *testing.T, o *Operator, before, after *keyvaluetest.Memory) {
	t.Helper()
	probes := w.probes(before)
	old, now := resolve(t, w.open(t, before.Clone()), probes), resolve(t, w.open(t, after.Clone()), probes)
	for i, p := range probes {
		if covered := isMoved(o, p); !sameFound(old[i], now[i]) != covered {
			t.Fatalf("%+v: found %+v, and now %+v, moved: %v of %+v", p, old[i], now[i], covered, o.Moved())
		}
		others := old[i].Key != now[i].Key || old[i].Durable != now[i].Durable
		if told := slices.ContainsFunc(o.Moved(), func(m Moved) bool { return m.Keys && covers(m, p) }); told != others {
			t.Fatalf("%+v: found %+v, and now %+v, keys moved: %v of %+v", p, old[i], now[i], told, o.Moved())
		}
	}
}

func isMoved(o *Operator, a ask) bool {
	return slices.ContainsFunc(o.Moved(), func(m Moved) bool { return covers(m, a) })
}

func covers(m Moved, a ask) bool {
	return string(m.Member) == string(memberOf(a.id, a.sub)) && m.From <= a.at && a.at < m.To
}

// askSome lets new facts ask, and those whose answers have moved.
func (w *world) askSome(t *testing.T, o *Operator) {
	var again []int
	for i, a := range w.asks {
		if isMoved(o, a) {
			again = append(again, i)
		}
	}
	for range w.r.IntN(3) {
		a := ask{pick(w.r, "ann", "bob", "cec"), 7, w.someTime()}
		w.asks, w.found = append(w.asks, a), append(w.found, Found{})
		again = append(again, len(w.asks)-1)
	}
	var asks []ask
	for _, i := range again {
		asks = append(asks, w.asks[i])
	}
	for i, f := range resolve(t, o, asks) {
		w.found[again[i]] = f
	}
}

// want is the table by brute force.
func (w *world) want() []string {
	out := []string{w.unknownText()}
	for _, id := range []string{"ann", "bob", "cec"} {
		var asked []int64
		for _, a := range w.asks {
			if a.id == id {
				asked = append(asked, a.at)
			}
		}
		for _, v := range w.naive.all(w.told[memberName(id, 7)], asked) {
			out = append(out, w.naive.text(id, 7, &v))
		}
	}
	slices.Sort(out)
	return out
}

func (w *world) unknownText() string {
	to := "forever"
	if w.naive.spec.ValidToCurrent == ValidToEmpty {
		to = "(null)"
	}
	text := "customer_key=default_null_key durable_key=default_null_key id=(null) sub=(null)"
	for _, name := range w.naive.spec.Attributes {
		text += " " + name + "=(null)"
	}
	return text + " valid_from=begin valid_to=" + to + " changed_at=(null) is_current=true is_deleted=false is_inferred=false kafka_timestamp=(null) ingested_at=(null)"
}

// wantFound compares answers with those of brute force.
func (w *world) wantFound(t *testing.T, o *Operator, asks []ask, found []Found) {
	t.Helper()
	for i, a := range asks {
		v := w.naive.find(w.told[memberName(a.id, a.sub)], a.at)
		key, durable := UnknownKey, UnknownKey
		values := map[string]any{}
		if v != nil {
			key, durable = w.naive.keys(a.id, a.sub, v)
			values = v.values
		}
		rows, err := rowcodec.Batch(o.Attributes(), [][]byte{found[i].Row}, memory.DefaultAllocator)
		if err != nil {
			t.Fatal(err)
		}
		var got, want []string
		for c, f := range o.Attributes().Fields() {
			got = append(got, f.Name+"="+strings.Clone(rows.Column(c).ValueStr(0)))
			want = append(want, f.Name+"="+anyText(values[f.Name]))
		}
		rows.Release()
		if found[i].Key != key || found[i].Durable != durable || !slices.Equal(got, want) {
			t.Fatalf("%+v: got %s %s %v, want %s %s %v", a, found[i].Key, found[i].Durable, got, key, durable, want)
		}
	}
}

// wantPartition looks for gaps and overlaps between the versions of a member
// (invariant 9).
func (w *world) wantPartition(t *testing.T, tb recordtest.Table) {
	t.Helper()
	for _, id := range []string{"ann", "bob", "cec"} {
		type span struct{ from, to int64 }
		var spans []span
		for _, text := range tb.Texts() {
			if strings.Contains(text, " id="+id+" ") {
				spans = append(spans, span{timeIn(text, ColumnValidFrom), timeIn(text, ColumnValidTo)})
			}
		}
		slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
		gaps := w.naive.spec.HardDeletes == HardDeletesInvalidate
		for i, s := range spans {
			last := i == len(spans)-1
			switch {
			case s.from >= s.to, !last && s.to > spans[i+1].from, !gaps && !last && s.to != spans[i+1].from, !gaps && last && s.to != Forever:
				t.Fatalf("%s: the versions do not partition time: %v", id, spans)
			}
		}
	}
}

// timeIn is a time of a row's text; null is for ever.
func timeIn(text, column string) int64 {
	_, value, _ := strings.Cut(text, " "+column+"=")
	value, _, _ = strings.Cut(value, " ")
	switch value {
	case "begin":
		return Beginning
	case "forever", "(null)":
		return Forever
	}
	at, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		panic(err)
	}
	return at
}

func (w *world) check(t *testing.T, seed uint64) {
	t.Helper()
	defer func() {
		if t.Failed() {
			var all []string
			for _, e := range w.events {
				all = append(all, fmt.Sprintf("%+v", *e.happening))
			}
			slices.Sort(all)
			s := w.naive.spec
			t.Logf("seed %d: at %q types %v/%d %s deletes %s first %s where %v\n%s", seed, s.EffectiveAt, s.Types, s.DefaultType, s.Type1Scope, s.HardDeletes, s.FirstValidFrom, s.Where, strings.Join(all, "\n"))
		}
	}()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	w.naive.spec.Allocator = mem
	tb, o := w.run(t)
	w.wantPartition(t, tb)
	got, want := tb.Texts(), w.want()
	if !slices.Equal(got, want) {
		t.Fatalf("seed %d: got\n%s\nwant\n%s", seed, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	w.wantFound(t, o, w.asks, w.found)
	probes := w.probes(o.store.(*keyvaluetest.Memory))
	w.wantFound(t, o, probes, resolve(t, o, probes))
}

func TestAnyOrderAndAnyEpochsGiveTheRowsOfBruteForce(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			for seed := range seeds(t, 60) {
				newWorld(t, v, seed, false).check(t, seed)
			}
		})
	}
}

// TestLateChangesAreRefusedOrDoNotMatter lets time pass while changes are on their
// way: those that are not refused give the rows of brute force.
func TestLateChangesAreRefusedOrDoNotMatter(t *testing.T) {
	for _, v := range variants {
		if v.keyed {
			continue // there is no refusing its changes
		}
		t.Run(v.name, func(t *testing.T) {
			for seed := range seeds(t, 40) {
				newWorld(t, v, seed, true).check(t, seed)
			}
		})
	}
}

// seeds are some, and where CALVE_SOAK gives a time, more until it has passed.
func seeds(t *testing.T, some uint64) iter.Seq[uint64] {
	t.Helper()
	soak := time.Duration(0)
	if text := os.Getenv("CALVE_SOAK"); text != "" {
		var err error
		if soak, err = time.ParseDuration(text); err != nil {
			t.Fatalf("CALVE_SOAK: %v", err)
		}
	}
	return func(yield func(uint64) bool) {
		began := time.Now()
		for seed := uint64(0); seed < some || time.Since(began) < soak; seed++ {
			if !yield(seed) {
				return
			}
		}
	}
}
