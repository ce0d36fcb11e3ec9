package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/record"
)

// lake is the pipeline's lake for a command that only looks, or asks.
func (w *world) lake() *lakehouse.Lake {
	config := lakehouse.Config{Pipeline: pipelineName, Nonce: "command", Logger: slog.New(slog.DiscardHandler)}
	return lakehouse.New(config, w.store, w.catalog)
}

// request replay|discard id=ID [model=M] [reason=CODE]: another command asks.
func request(w *world, a arguments) ([]string, error) {
	r := lakehouse.LetterRequest{Version: lakehouse.RequestVersion, Kind: lakehouse.RequestKind(a.next()), ID: a.text("id", "")}
	r.Filter.Models, r.Filter.Reasons = a.all("model"), a.all("reason")
	return nil, w.lake().Requests().Put(context.Background(), r)
}

// withdraw id=ID removes the object of a request.
func withdraw(w *world, a arguments) ([]string, error) {
	return nil, w.lake().Requests().Remove(context.Background(), a.text("id", ""))
}

// showRequests lists the requests whose objects are there.
func (w *world) showRequests() ([]string, error) {
	ids, err := w.lake().Requests().List(context.Background())
	if len(ids) == 0 {
		ids = []string{"none"}
	}
	return ids, err
}

// verify proves the lake from its tables.
func (w *world) verify() ([]string, error) {
	var models []lakehouse.ModelTable
	for _, m := range w.models {
		table := lakehouse.ModelTable{Model: m.name}
		if !m.ephemeral {
			table.Table = m.definition().ID.String()
		}
		models = append(models, table)
	}
	v, err := w.lake().Verify(context.Background(), models)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, c := range v.CounterExamples {
		lines = append(lines, c.String())
	}
	if v.Proven {
		lines = append(lines, fmt.Sprintf("proven up to epoch %d", v.Epochs))
	}
	return lines, nil
}

// replayTale has letters of whole records and of rows, of two models that are
// changed then, and a request that takes several epochs beside new records.
func replayTale(separate bool) tale {
	s := shortTale(separate)
	s.models = []modelSpec{{name: "by_kind", topic: "events", plugin: true, strict: true}, {name: "all", topic: "events", maxBytes: 12}}
	s.records = [][]string{
		{`{"id":1}`, `{"id":2,"kind":"split"}`, `no json`, `{"id":3,"kind":"split-all"}`, `{"id":4,"kind":"reject"}`},
		{`{"id":5,"kind":"reject"}`, `{"id":6}`, `{"id":7,"kind":"drop"}`, `{"kind":"no id"}`},
	}
	s.options.maxBytes = 320 // of which a request has half: three epochs for the first
	s.prepare = func(w *world) error {
		o := s.options
		o.maxBytes, o.poll = 1<<20, 100 // in one epoch
		if err := w.play(o); err != nil {
			return err
		}
		w.models = slices.Clone(w.models)
		for i := range w.models {
			former := w.models[i]
			w.models[i].former, w.models[i].strict, w.models[i].maxBytes = &former, false, 0
		}
		p := w.broker.topics["events"].partitions[1]
		for i, line := range []string{`{"id":8}`, `{"id":9,"kind":"split"}`} {
			p.append(nil, []byte(line))
			p.records[len(p.records)-1].Timestamp = int64(100 + i)
		}
		r := lakehouse.LetterRequest{Version: lakehouse.RequestVersion, Kind: lakehouse.RequestReplay, ID: "r1"}
		if err := w.lake().Requests().Put(context.Background(), r); err != nil {
			return err
		}
		r.Kind, r.ID, r.Filter.Models = lakehouse.RequestDiscard, "r2", []string{"all"}
		return w.lake().Requests().Put(context.Background(), r)
	}
	return s
}

// TestReplayCrashesAtEveryPoint crashes a run that carries out requests before
// and after every write, and loses the reply of each: every letter must be
// replayed, or discarded, once.
func TestReplayCrashesAtEveryPoint(t *testing.T) {
	for _, separate := range []bool{false, true} {
		name := map[bool]string{false: "one transaction", true: "table by table"}[separate]
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := replayTale(separate)
				calls, want := s.trace(t)
				s.mustBeProven(t)
				all := points(calls)
				tried := distinct(all)
				t.Logf("%d calls, %d points, %d of them leave different worlds", len(calls), len(all), len(tried))
				s.tryAll(t, want, tried)
			})
		})
	}
}

// mustBeProven runs the tale without a fault and proves what it leaves.
func (s tale) mustBeProven(t *testing.T) {
	w := s.world(t)
	defer w.close()
	if err := w.play(s.options); err != nil {
		t.Fatal(err)
	}
	if err := w.check(); err != nil {
		t.Error(err)
	}
	lines, err := w.verify()
	if err != nil || len(lines) != 1 {
		t.Errorf("not proven: %q (%v)", lines, err)
	}
	if left, err := w.showRequests(); err != nil || left[0] != "none" {
		t.Errorf("requests %q are still there (%v)", left, err)
	}
}

// TestRequestThatComesUpAgain: a request whose PUT comes up again after it was
// carried out is not carried out again, as long as the log knows it; and later it
// finds that it has taken all that it was meant for, whatever has died since.
func TestRequestThatComesUpAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := replayTale(false)
		w := s.world(t)
		defer w.close()
		if err := w.play(s.options); err != nil {
			t.Fatal(err)
		}
		again := lakehouse.LetterRequest{Version: lakehouse.RequestVersion, Kind: lakehouse.RequestReplay, ID: "r1"}
		for _, after := range []time.Duration{time.Minute, 72 * time.Hour} {
			time.Sleep(after)
			for range 3 { // dead letters, and epochs after which the log is pruned
				w.broker.topics["events"].partitions[0].append(nil, []byte("no json"))
				if err := w.play(s.options); err != nil {
					t.Fatal(err)
				}
			}
			before, err := w.contents()
			if err != nil {
				t.Fatal(err)
			}
			if err := w.lake().Requests().Put(t.Context(), again); err != nil {
				t.Fatal(err)
			}
			if err := w.play(s.options); err != nil {
				t.Fatal(err)
			}
			lines, err := w.verify()
			if err != nil || len(lines) != 1 {
				t.Errorf("not proven: %q (%v)", lines, err)
			}
			got, err := w.contents()
			if err != nil {
				t.Fatal(err)
			}
			if d := difference(got, before); d != "" {
				t.Errorf("after %s: %s", after, d)
			}
			if left, err := w.showRequests(); err != nil || left[0] != "none" {
				t.Errorf("requests %q are still there (%v)", left, err)
			}
		}
	})
}

func TestEpochWithARequestIsNotDerivedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := &rederiver{world: newWorld(t)}
		defer w.close()
		w.models = []modelSpec{{name: "orders", topic: "orders", maxBytes: 10}}
		w.broker.create("orders", 1)
		w.produce("orders", 0, `{"id":1,"kind":"long"}`)
		w.runOnce()
		w.models[0].maxBytes = 0
		r := lakehouse.LetterRequest{Version: lakehouse.RequestVersion, Kind: lakehouse.RequestReplay, ID: "r1"}
		if err := w.lake().Requests().Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		w.runOnce()
		err := w.rederive(2, nil)
		if !errors.Is(err, lakehouse.ErrNotReproduced) || !strings.Contains(err.Error(), "request r1") {
			t.Errorf("got %v, want ErrNotReproduced naming the request", err)
		}
	})
}

func TestNoReaderOfAModelHasAReservedName(t *testing.T) {
	at := lakehouse.Range{ClusterID: "c", TopicID: "t", Topic: "orders", To: 5}
	start := &lakehouse.Start{Readers: []lakehouse.Reader{{Name: pipeline.MainReader, Models: []string{"orders"}, Ranges: []lakehouse.Range{at}}}}
	topics := []pipeline.Topic{{Name: "orders", Origin: record.Origin{ClusterID: "c", TopicID: "t"}, Partitions: []pipeline.Partition{{End: 5}}}}
	for name, want := range map[string]string{"added": "added", "replay": "replay-model", "main": "main-model"} {
		readers, err := pipeline.Resume(start, []pipeline.Wanted{{Name: "orders", Topic: "orders"}, {Name: name, Topic: "orders"}}, topics, pipeline.Fail)
		if err != nil || len(readers) != 2 || readers[1].Name != want {
			t.Errorf("model %s begins in readers %+v (%v), want the second called %s", name, readers, err, want)
		}
	}
}

// checkTaken: no request took a letter twice, and none took a closed one.
func (w *world) checkTaken() error {
	letters, err := w.deadLetters()
	if err != nil {
		return err
	}
	taken, closed := map[string]bool{}, map[string]bool{}
	for _, r := range letters {
		outcome := lakehouse.Outcome(r.text("resolution"))
		if outcome == "" {
			continue
		}
		id := r.text("letter_id")
		by := id + " " + r.text("request_id")
		if taken[by] {
			return fmt.Errorf("letter %s was taken twice by request %s", id, r.text("request_id"))
		}
		taken[by] = true
		if outcome != lakehouse.Refused {
			if closed[id] {
				return fmt.Errorf("letter %s was closed twice", id)
			}
			closed[id] = true
		}
	}
	return nil
}
