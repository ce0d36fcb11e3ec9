package lakehouse

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
)

// A writer that sleeps between record and commit wakes up behind a successor
// that has finished its epoch and gone on. Nothing is wrong with the tables.
func TestWriterWhoseSuccessorWentOnIsFenced(t *testing.T) {
	for _, pruned := range []bool{false, true} {
		w := newWorld(t)
		sleeper, successor := w.lake("w1"), w.lake("w2")
		first := w.epoch(sleeper, w.start(sleeper), "staging.a", "staging.b")
		s := w.start(successor) // completes the sleeper's epoch
		second := w.epoch(successor, s, "staging.a")
		w.commit(successor, second)
		if pruned {
			if err := successor.Log().Prune(t.Context(), second); err != nil {
				t.Fatal(err)
			}
		}

		err := sleeper.Commit(t.Context(), first)
		if !errors.Is(err, ErrFenced) || errors.Is(err, ErrForeign) {
			t.Errorf("pruned %v: got %v, want ErrFenced alone", pruned, err)
		}
		if !pruned && !strings.Contains(err.Error(), "w2") {
			t.Errorf("got %q, want the other writer's name in it", err)
		}
		w.expectIDs("staging.a", 1, 2)
		w.expectIDs("staging.b", 1)
	}
}

// busyCatalog lets another writer work just before a table is loaded.
type busyCatalog struct {
	Catalog
	work func()
}

func (c *busyCatalog) Load(ctx context.Context, id catalog.Identifier) (*table.Table, error) {
	if work := c.work; work != nil {
		c.work = nil
		work()
	}
	return c.Catalog.Load(ctx, id)
}

// A start that overlaps with another writer's epochs finds the tables beyond
// the log that it read. The log is not lost: it is longer by now.
func TestStartBesideAWorkingWriterGoesOnBehindIt(t *testing.T) {
	for _, epochs := range []int{0, 1, 2} { // before the start
		w := newWorld(t)
		working := w.lake("w1")
		s := w.start(working)
		write := func() { w.commit(working, w.epoch(working, s, "staging.a", "staging.b")) }
		for range epochs {
			write()
		}
		starting := w.lake("w2")
		starting.catalog = &busyCatalog{Catalog: starting.catalog, work: func() { write(); write() }}

		got, err := starting.Start(t.Context(), testDefinitions())
		if err != nil {
			t.Fatalf("after %d epochs: %v", epochs, err)
		}
		want := int64(epochs) + 2
		if got.Last != want || got.Epochs["staging.a"] != want {
			t.Errorf("after %d epochs: got a start behind epoch %d, staging.a at %d, want %d", epochs, got.Last, got.Epochs["staging.a"], want)
		}
	}
}
