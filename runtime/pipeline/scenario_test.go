package pipeline_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/arrow-go/v18/parquet/compress"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/record"
)

var update = flag.Bool("update", false, "rewrite the expected output of testdata/*.txt; read the diff before you commit it")

// TestScenarios plays the stories of testdata. Each has a world of its own and
// a clock of its own, which stands still while anybody works.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d scenarios, error %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { playFile(t, file) })
	}
}

func playFile(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := parseScript(string(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	inBubble(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		for i := range blocks {
			play(t, w, file, &blocks[i])
		}
		if err := w.check(); err != nil {
			t.Errorf("%s: at the end: %v", file, err)
		}
	})
	if *update {
		var out strings.Builder
		for _, b := range blocks {
			b.write(&out)
		}
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// inBubble runs a test on a clock of its own. The compression library keeps
// channels, in globals that it makes when they are first used and in pools, and
// a channel must not leave the bubble that it was made in: the globals are made
// before, and two collections empty every pool.
func inBubble(t *testing.T, test func(t *testing.T)) {
	zstd, err := compress.GetCodec(compress.Codecs.Zstd)
	if err != nil {
		t.Fatal(err)
	}
	packed := zstd.Encode(nil, []byte("text"))
	if text := zstd.Decode(make([]byte, 4), packed); string(text) != "text" {
		t.Fatalf("got %q back from the compression", text)
	}
	synctest.Test(t, func(t *testing.T) {
		test(t)
		runtime.GC()
		runtime.GC()
	})
}

// play runs one command and compares what it prints, or takes it over.
func play(t *testing.T, w *world, file string, b *block) {
	got, err := w.execute(b)
	if err != nil {
		t.Fatalf("%s:%d: %s: %v", file, b.line, b.command, err)
	}
	if len(got) == 0 {
		got = []string{"ok"}
	}
	if *update {
		b.expected = got
		return
	}
	if !slices.Equal(got, b.expected) {
		t.Errorf("%s:%d: %s\ngot:\n%s\nwant:\n%s", file, b.line, b.command, indent(got), indent(b.expected))
	}
}

func indent(lines []string) string { return "\t" + strings.Join(lines, "\n\t") }

// execute runs a command and returns what it prints.
func (w *world) execute(b *block) ([]string, error) {
	words := parseWords(b.command)
	writer := "main"
	name := words.next()
	if name == "writer" {
		writer, name = words.next(), words.next()
	}
	command, ok := commands[name]
	if !ok {
		return nil, fmt.Errorf("unknown command %q", name)
	}
	lines, err := command(w, arguments{words, b.input, writer})
	if err != nil {
		return nil, err
	}
	return lines, words.rest()
}

type arguments struct {
	*words
	input  []string
	writer string
}

// commands of the scenario language. Those that run a pipeline take "writer
// NAME" before them.
var commands = map[string]func(*world, arguments) ([]string, error){
	"catalog":      setCatalog,
	"topic":        makeTopic,
	"partitions":   addPartitions,
	"model":        makeModel,
	"census":       makeCensus,
	"remove":       removeModel,
	"produce":      produce,
	"hole":         alterPartition(func(p *partition, a arguments) { p.end += a.number("offsets", 1) }),
	"expire":       alterPartition(func(p *partition, a arguments) { p.expire(a.number("to", 0)) }),
	"truncate":     alterPartition(func(p *partition, a arguments) { p.truncate(a.number("to", 0)) }),
	"run":          run,
	"stop":         func(w *world, a arguments) ([]string, error) { return w.stop(a.writer) },
	"crash":        crash,
	"land":         func(w *world, _ arguments) ([]string, error) { return w.landLate(), nil },
	"clock":        clock,
	"append":       appendForeign,
	"delete":       deleteForeign,
	"alter":        alterForeign,
	"schema":       func(w *world, a arguments) ([]string, error) { return w.showSchema(a.next()) },
	"accept":       func(w *world, a arguments) ([]string, error) { return nil, w.acceptHead(staging(a.next())) },
	"roll-back":    func(w *world, a arguments) ([]string, error) { return nil, w.rollBack(staging(a.next())) },
	"table":        func(w *world, a arguments) ([]string, error) { return w.showTable(a.next()) },
	"snapshots":    func(w *world, a arguments) ([]string, error) { return w.showSnapshots(a.next()) },
	"log":          func(w *world, _ arguments) ([]string, error) { return w.showLog() },
	"audit":        func(w *world, _ arguments) ([]string, error) { return w.showAudit() },
	"dead-letters": func(w *world, _ arguments) ([]string, error) { return w.showDeadLetters() },
	"orphans":      func(w *world, _ arguments) ([]string, error) { return w.showOrphans() },
	"request":      request,
	"withdraw":     withdraw,
	"requests":     func(w *world, _ arguments) ([]string, error) { return w.showRequests() },
	"promote":      promote,
	"yank":         yank,
	"modules":      func(w *world, _ arguments) ([]string, error) { return w.showModules() },
	"verify":       func(w *world, _ arguments) ([]string, error) { return w.verify() },
	"check":        func(w *world, _ arguments) ([]string, error) { return nil, w.check() },
}

// catalog separate: it commits one table at a time.
func setCatalog(w *world, a arguments) ([]string, error) {
	w.separate = a.has("separate")
	return nil, nil
}

// topic NAME partitions=N: again, it is made anew.
func makeTopic(w *world, a arguments) ([]string, error) {
	w.broker.create(a.next(), int(a.number("partitions", 1)))
	return nil, nil
}

// partitions TOPIC to=N: partitions are added.
func addPartitions(w *world, a arguments) ([]string, error) {
	return nil, w.broker.grow(a.next(), int(a.number("to", 0)))
}

// model NAME topic=T [plugin] [strict] [ephemeral] [max-record-bytes=N]
// [column=(NAME TYPE)]... [on-schema-change=] [enforced] [stepped]: again, the
// model is changed.
func makeModel(w *world, a arguments) ([]string, error) {
	m := modelSpec{
		name: a.next(), topic: a.text("topic", ""), plugin: a.has("plugin"), strict: a.has("strict"), ephemeral: a.has("ephemeral"),
		maxBytes: a.number("max-record-bytes", 0), onChange: a.text("on-schema-change", ""), enforced: a.has("enforced"), stepped: a.has("stepped"),
	}
	for _, text := range a.all("column") {
		f, err := parseColumn(text)
		if err != nil {
			return nil, err
		}
		m.declared = append(m.declared, f)
	}
	w.models = append(slices.DeleteFunc(w.models, func(have modelSpec) bool {
		if have.name == m.name {
			m.former = &have
		}
		return have.name == m.name
	}), m)
	return nil, nil
}

// produce [topic=T] [p=N] [key=K] [tombstone] [size=BYTES] [count=N], with a
// record a line; size pads a record, count makes records with ids from 1.
func produce(w *world, a arguments) ([]string, error) {
	tp := a.topicPartition(w)
	key, tombstone, size := a.text("key", ""), a.has("tombstone"), a.number("size", 0)
	for i := range a.number("count", 0) {
		a.input = append(a.input, fmt.Sprintf(`{"id":%d}`, i+1))
	}
	return nil, w.broker.change(tp, func(p *partition) {
		var keyBytes []byte
		if key != "" {
			keyBytes = []byte(key)
		}
		if tombstone {
			p.append(keyBytes, nil)
		}
		for _, line := range a.input {
			if pad := int(size) - len(line) - len(keyBytes); pad > 0 {
				line += strings.Repeat(" ", pad)
			}
			p.append(keyBytes, []byte(line))
		}
	})
}

// topicPartition is what topic= and p= name: by default the first model's
// topic, and partition 0.
func (a arguments) topicPartition(w *world) record.TopicPartition {
	first := ""
	if len(w.models) > 0 {
		first = w.models[0].topic
	}
	return record.TopicPartition{Topic: a.text("topic", first), Partition: int32(a.number("p", 0))}
}

func alterPartition(alter func(*partition, arguments)) func(*world, arguments) ([]string, error) {
	return func(w *world, a arguments) ([]string, error) {
		return nil, w.broker.change(a.topicPartition(w), func(p *partition) { alter(p, a) })
	}
}

// run [once] [until=POINT] [for=DURATION] [interval=] [max-bytes=] [poll=RECORDS]
// [give-up=] [prune-every=EPOCHS] [heartbeat=] [discover=] [max-dead-ratio=] [record-loss] [fault=(…)] [quiet]:
// POINT is start, polled (nothing is left to poll), idle (and all is committed), end, a seam (behind it) or before-SEAM, with :DETAIL.
// With quiet only the last step is printed.
func run(w *world, a arguments) ([]string, error) {
	o := runOptions{once: a.has("once"), maxBytes: a.number("max-bytes", 1<<30), poll: int(a.number("poll", 1000))}
	until := "idle"
	if o.once {
		until = "end"
	}
	until = a.text("until", until)
	o.interval = a.duration("interval", 10*time.Second)
	o.giveUp = a.duration("give-up", 0)
	o.pruneEvery = a.number("prune-every", 0)
	if text := a.text("max-dead-ratio", ""); text != "" {
		ratio, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, err
		}
		o.maxDeadRatio = &ratio
	}
	o.heartbeat, o.discover = a.duration("heartbeat", 0), a.duration("discover", 0)
	if a.has("record-loss") {
		o.onDataLoss = pipeline.RecordLoss
	}
	patience, quiet := a.duration("for", time.Hour), a.has("quiet")
	var faults []*fault
	for _, text := range a.all("fault") {
		f, err := parseFault(text)
		if err != nil {
			return nil, err
		}
		faults = append(faults, f)
	}
	if a.err != nil {
		return nil, a.err
	}
	lines, err := w.run(a.writer, o, faults, until, patience)
	if quiet && len(lines) > 1 {
		lines = lines[len(lines)-1:]
	}
	return lines, err
}

func (w *words) duration(key string, otherwise time.Duration) time.Duration {
	text := w.text(key, "")
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		w.fail("%s=%s is no duration", key, text)
	}
	return d
}

// crash ends a writer where it stands.
func crash(w *world, a arguments) ([]string, error) {
	p := w.processes[a.writer]
	if p == nil || p.hasEnded() {
		return nil, fmt.Errorf("writer %s does not run", a.writer)
	}
	p.crash()
	p.said()
	return nil, nil
}

// clock +DURATION lets time pass.
func clock(_ *world, a arguments) ([]string, error) {
	d, err := time.ParseDuration(strings.TrimPrefix(a.next(), "+"))
	if err != nil {
		return nil, err
	}
	time.Sleep(d) // of the bubble's clock
	return nil, nil
}

// append MODEL id=N: another engine adds a row to the model's table.
func appendForeign(w *world, a arguments) ([]string, error) {
	return nil, w.foreignAppend(staging(a.next()), a.number("id", 0))
}

// delete MODEL id=N: another engine deletes the rows with that id.
func deleteForeign(w *world, a arguments) ([]string, error) {
	return nil, w.foreignDelete(staging(a.next()), a.number("id", 0))
}

// remove MODEL: it is taken out of the project; its table stays.
func removeModel(w *world, a arguments) ([]string, error) {
	name := a.next()
	w.models = slices.DeleteFunc(w.models, func(m modelSpec) bool { return m.name == name })
	return nil, nil
}

// staging is the table of a model.
func staging(model string) catalog.Identifier {
	return catalog.Identifier{Namespace: "staging", Name: model}
}
