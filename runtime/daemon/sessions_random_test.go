package daemon_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/project"
)

const (
	randomGap      = 30 * time.Minute
	randomLateness = 2 * time.Hour
	randomRuns     = 6
)

// wander is a random stream of visits, and the sessions that they must come to.
type wander struct {
	*rand.Rand
	events  []wandered
	high    time.Time // no event is newer
	decided time.Time // the newest event at the end of the last run that was not stopped
	wanted  []string  // the dead letters, as reasons shows them
}

type wandered struct {
	id      int
	visitor string
	at      time.Time
}

// next is an event within the lateness, or one that is beyond it.
func (w *wander) next() string {
	if w.IntN(3) > 0 {
		w.high = w.high.Add(time.Duration(w.IntN(50)) * time.Minute)
	}
	e := wandered{id: len(w.events) + len(w.wanted), visitor: string(rune('a' + w.IntN(4))), at: w.high}
	switch n := w.IntN(10); {
	case n < 4:
		e.at = w.high.Add(-time.Duration(w.Int64N(int64((randomGap+randomLateness)/time.Minute))) * time.Minute)
	case n < 5 && !w.decided.IsZero():
		e.at = w.decided.Add(-randomGap - randomLateness - time.Duration(w.IntN(60))*time.Minute)
		w.wanted = append(w.wanted, fmt.Sprintf("%d:late", e.id))
		return e.text()
	}
	w.events = append(w.events, e)
	return e.text()
}

// newest is the time of the newest event.
func (w *wander) newest() time.Time {
	return slices.MaxFunc(w.events, func(a, b wandered) int { return a.at.Compare(b.at) }).at
}

// end is an event after which all others are of sessions that are over.
func (w *wander) end() string {
	e := wandered{id: len(w.events) + len(w.wanted), visitor: "end", at: w.high.Add(24 * time.Hour)}
	w.events = append(w.events, e)
	return e.text()
}

func (e wandered) text() string {
	return fmt.Sprintf(`{"id":%d,"visitor":%q,"at":%q,"page":"p%d"}`, e.id, e.visitor, e.at.Format(time.RFC3339), e.id)
}

// sessions computes the sessions of all events at once, as rowsOf shows them.
func (w *wander) sessions(wanted func(visitor string) bool) string {
	slices.SortFunc(w.events, func(a, b wandered) int {
		return cmp.Or(cmp.Compare(a.visitor, b.visitor), a.at.Compare(b.at), cmp.Compare(a.id, b.id))
	})
	var lines []string
	for from := 0; from < len(w.events); {
		to, ids := from+1, w.events[from].id
		for to < len(w.events) && w.events[to].visitor == w.events[from].visitor && w.events[to].at.Sub(w.events[to-1].at) <= randomGap {
			ids += w.events[to].id
			to++
		}
		first, last := w.events[from], w.events[to-1]
		if wanted(first.visitor) {
			lines = append(lines, fmt.Sprint([]any{first.visitor, to - from, ids, fmt.Sprint("p", first.id), fmt.Sprint("p", last.id), int(last.at.Sub(first.at).Seconds())}))
		}
		from = to
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// Whatever order events come in, wherever runs are stopped, and whether or not
// the machine keeps its copy of the state, the table has the sessions of all
// events that are not late.
func TestSessionsAreThoseOfAllEventsWhateverStopsTheRuns(t *testing.T) {
	for seed, emit := range []string{"early", "on_close", "early"} {
		t.Run(fmt.Sprintf("%s/%d", emit, seed), func(t *testing.T) { wanderOnce(t, emit, uint64(seed)) })
	}
}

func wanderOnce(t *testing.T, emit string, seed uint64) {
	dir := t.TempDir()
	p := visits(t, dir, fmt.Sprintf(`gap: %s
allowed_lateness: %s
emit: %s
aggregates: {pages: count(), ids: sum(id), entry: first(page), exit: last(page)}
derive: {seconds: "seconds_between(session_start, session_end)"}
`, randomGap, randomLateness, emit))
	w := &wander{Rand: rand.New(rand.NewPCG(seed, 6)), high: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	for range randomRuns {
		var values []string
		for range 1 + w.IntN(20) {
			values = append(values, w.next())
		}
		produce(t, p, "events", values...)
		if w.IntN(3) == 0 {
			if err := os.RemoveAll(filepath.Join(dir, ".calve", "state")); err != nil {
				t.Fatal(err)
			}
		}
		if w.IntN(3) == 0 {
			runStopped(t, p, 1+w.Int64N(12))
			continue
		}
		mustRun(t, p)
		w.decided = w.newest()
	}
	produce(t, p, "events", w.end())
	mustRun(t, p)
	want := w.sessions(func(visitor string) bool { return emit == "early" || visitor != "end" })
	if got := rowsOf(t, p, "marts.visits", "visitor", "pages", "ids", "entry", "exit", "seconds"); got != want {
		t.Errorf("got sessions\n%s\nwant\n%s", got, want)
	}
	if got, want := reasons(t, p), strings.Join(w.wanted, " "); got != want {
		t.Errorf("got dead letters %s, want %s", got, want)
	}
	wantProven(t, p)
}

// runStopped runs a project until it has logged so many lines, if it comes to
// that.
func runStopped(t *testing.T, p *project.Project, lines int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stop := &stopper{cancel: cancel}
	stop.left.Store(lines)
	if _, err := daemon.Run(ctx, p, daemon.RunOptions{Once: true, Logger: slog.New(stop)}); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// stopper is a log that stops what writes it.
type stopper struct {
	left   atomic.Int64
	cancel context.CancelFunc
}

func (*stopper) Enabled(context.Context, slog.Level) bool { return true }

func (s *stopper) Handle(context.Context, slog.Record) error {
	if s.left.Add(-1) == 0 {
		s.cancel()
	}
	return nil
}

func (s *stopper) WithAttrs([]slog.Attr) slog.Handler { return s }

func (s *stopper) WithGroup(string) slog.Handler { return s }
