package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/calvelake/calve/examples"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/kafka"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
)

// patience bounds what a test waits for; no result depends on it.
const patience = 30 * time.Second

// openExample lays an example out with its plugins and data, as calve demo
// does, and returns how many records it has.
func openExample(t *testing.T, name string) (*project.Project, int64) {
	t.Helper()
	example, files, ok := examples.Find(name)
	if !ok {
		t.Fatalf("there is no example %s", name)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	for module, source := range example.Plugins {
		if err := os.Remove(dir + "/" + module); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		install(t, "../../examples/"+name+"/"+source, dir, baseName(module))
	}
	p, err := project.Load(dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	p.Connections.Kafka.Embedded.Listen = "127.0.0.1:0"
	broker, err := daemon.OpenBroker(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close() //nolint:errcheck // what was acknowledged is on disk
	var total int64
	for _, topic := range example.Topics {
		file, err := files.Open(topic.File)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close() //nolint:errcheck // only read from
		n, err := broker.Produce(t.Context(), kafka.ProduceConfig{Topic: topic.Name, CreateTopic: true, Partitions: topic.Partitions}, kafka.Lines(file, ""))
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	return p, total
}

func TestWeblogExampleLosesAndRepeatsNothing(t *testing.T) {
	p, total := openExample(t, "weblog")
	if total != 10_000 {
		t.Fatalf("the example has %d lines, want 10000", total)
	}
	stats := mustRun(t, p)
	if stats.Records != total || stats.Rows+stats.Letters != total || stats.Letters == 0 || stats.Filtered != 0 {
		t.Errorf("got %d records, %d rows, %d dead letters, %d filtered; want rows and dead letters to be %d", stats.Records, stats.Rows, stats.Letters, stats.Filtered, total)
	}
	if again := mustRun(t, p); again.Records != 0 || again.Rows != 0 || again.Epochs != 0 {
		t.Errorf("the second run took %d records in %d epochs, want none", again.Records, again.Epochs)
	}
	lake, err := daemon.OpenLakehouse(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer lake.Close() //nolint:errcheck // only read from
	tables, err := lake.ListTables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int64{}
	for _, table := range tables {
		rows[table.Name] = table.Rows
	}
	letters := lakehouse.DeadLettersDefinition(p.Name).ID.String()
	if rows["staging.web_requests"] != stats.Rows || rows[letters] != stats.Letters {
		t.Errorf("the tables hold %v rows, the run wrote %d and %d dead letters", rows, stats.Rows, stats.Letters)
	}
	days, err := lake.CountByDay(t.Context(), definitionID(t, "staging.web_requests"), "requested_at")
	if err != nil {
		t.Fatal(err)
	}
	var counted int64
	for _, day := range days {
		counted += day.Rows
	}
	if counted != stats.Rows {
		t.Errorf("rows by day sum to %d, want %d", counted, stats.Rows)
	}
}

// following runs a project without end beside the test.
type following struct {
	t       *testing.T
	cancel  context.CancelFunc
	running chan *daemon.Running
	done    chan error
	stats   pipeline.Stats
}

func follow(t *testing.T, p *project.Project) *following {
	return followWith(t, p, daemon.RunOptions{Logger: quiet})
}

func followWith(t *testing.T, p *project.Project, options daemon.RunOptions) *following {
	ctx, cancel := context.WithCancel(t.Context())
	f := &following{t: t, cancel: cancel, running: make(chan *daemon.Running, 1), done: make(chan error, 1)}
	options.Watch = func(ctx context.Context, r *daemon.Running) {
		f.running <- r
		<-ctx.Done()
	}
	go func() {
		stats, err := daemon.Run(ctx, p, options)
		f.stats = stats
		f.done <- err
	}()
	t.Cleanup(cancel)
	return f
}

// started waits for the pipeline.
func (f *following) started() *daemon.Running {
	f.t.Helper()
	select {
	case r := <-f.running:
		return r
	case err := <-f.done:
		f.t.Fatalf("the run ended: %v", err)
	case <-time.After(patience):
		f.t.Fatal("the pipeline does not start")
	}
	return nil
}

// until waits for counts of the pipeline; it asks again and again, for they
// change with a broker's answers.
func (f *following) until(r *daemon.Running, what string, reached func(pipeline.Stats) bool) {
	f.t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(patience)
	for !reached(r.Pipeline.Stats()) {
		select {
		case <-ticker.C:
		case err := <-f.done:
			f.t.Fatalf("the run ended before %s: %v", what, err)
		case <-timeout:
			f.t.Fatalf("not reached: %s; got %+v", what, r.Pipeline.Stats())
		}
	}
}

// stop asks the run to end, as SIGTERM does, and waits for it.
func (f *following) stop() pipeline.Stats {
	f.t.Helper()
	f.cancel()
	select {
	case err := <-f.done:
		if err != nil {
			f.t.Fatal(err)
		}
	case <-time.After(patience):
		f.t.Fatal("the run does not end")
	}
	return f.stats
}

func TestStopCommitsWhatWasTaken(t *testing.T) {
	p := setup{interval: "1h"}.load(t, t.TempDir())
	produce(t, p, "events", `{"id":1}`, `{"id":2}`, `{"id":3}`)
	f := follow(t, p)
	r := f.started()
	f.until(r, "3 records", func(s pipeline.Stats) bool { return s.Records == 3 })
	if s := r.Pipeline.Stats(); s.Epochs != 0 {
		t.Errorf("%d epochs before the first is due", s.Epochs)
	}
	if stats := f.stop(); stats.Epochs != 1 {
		t.Errorf("stopped after %d epochs, want 1", stats.Epochs)
	}
	wantAccounted(t, p, 3, counts{rows: 3})
}

func TestEpochsFollowEachOtherWhileRunning(t *testing.T) {
	p := setup{interval: "50ms"}.load(t, t.TempDir())
	produce(t, p, "events", `{"id":1}`)
	f := follow(t, p)
	r := f.started()
	for i := int64(1); i <= 3; i++ {
		f.until(r, fmt.Sprintf("epoch %d", i), func(s pipeline.Stats) bool { return s.Epochs == i })
		send(t, r.Broker.Client, "events", fmt.Sprintf(`{"id":%d}`, i+1))
	}
	f.until(r, "4 epochs", func(s pipeline.Stats) bool { return s.Epochs == 4 })
	if stats := f.stop(); stats.Epochs != 4 || stats.Rows != 4 {
		t.Errorf("got %d epochs with %d rows, want 4 of each", stats.Epochs, stats.Rows)
	}
	wantAccounted(t, p, 4, counts{rows: 4})
}
