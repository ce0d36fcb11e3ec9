package daemon_test

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go/table"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/kafka"
	"github.com/calvelake/calve/runtime/project"
	"github.com/calvelake/calve/runtime/record"
)

// The model of the mixed topic, as it was first written; with what can be put
// right in JSON put right; and for all that is no such JSON at all.
const (
	strictClicks = `where: event is distinct from 'heartbeat'
derive: {per_item: price / items}
data_tests: [{expression_is_true: {expression: "price >= 0", severity: quarantine}}]
columns:
  - {name: record_key, data_type: long, from: kafka.key, nullable: false}
  - {name: id, data_type: string, nullable: false}
  - {name: method, data_type: string, data_tests: [{accepted_values: {values: [GET, HEAD, POST, OPTIONS], severity: quarantine}}]}
  - {name: status, data_type: int, data_tests: [{accepted_range: {min_value: 100, max_value: 599, severity: quarantine}}]}
  - {name: bytes, data_type: int}
  - {name: price, data_type: "decimal(10,2)"}
` + otherClickColumns
	relaxedClicks = `where: event is distinct from 'heartbeat'
derive: {per_item: "price / nullif(items, 0)"}
columns:
  - {name: record_key, data_type: long, from: kafka.key, nullable: false}
  - {name: id, data_type: string}
  - {name: method, data_type: string}
  - {name: status, data_type: int}
  - {name: bytes, data_type: long}
  - {name: price, data_type: "decimal(12,2)"}
` + otherClickColumns
	otherClickColumns = `  - {name: event, data_type: string}
  - {name: seq, data_type: long}
  - {name: at, data_type: timestamptz}
  - {name: day, data_type: date}
  - {name: client, data_type: string}
  - {name: path, data_type: string}
  - {name: agent, data_type: string}
  - {name: items, data_type: int}
  - {name: latency, data_type: double}
  - {name: secure, data_type: boolean}
  - {name: country, data_type: string, from: geo.country}
  - {name: tags, data_type: "list<string>"}
  - {name: props, data_type: "map<string, string>"}
  - {name: token, data_type: binary}
  - {name: origin, data_type: string, from: kafka.header.origin}
`
	bytesClicks = `columns:
  - {name: record_key, data_type: long, from: kafka.key, nullable: false}
  - {name: body, data_type: binary, from: kafka.value}
`
)

// mixed is a project over a topic of clicks.
type mixed struct {
	testing.TB
	dir     string
	clicks  *clicks
	records int64
	want    wanted
	wrong   int // records
}

// wrongRecord tells of a record, up to a number that says enough.
func (m *mixed) wrongRecord(i int64, format string, arguments ...any) {
	m.Helper()
	if m.wrong++; m.wrong > 20 {
		m.FailNow()
	}
	m.Errorf("record %d (%s): %s", i, kindOf(i).name, fmt.Sprintf(format, arguments...))
}

// wanted is what is to become of the records.
type wanted struct {
	kinds    map[string]int64            // records by kind, of those that are broken
	codes    map[string]int64            // dead letters by reason code
	relaxed  map[lakehouse.Outcome]int64 // of the letters under the relaxed model
	letters  int64
	filtered int64 // by the strict model
}

func newMixed(tb testing.TB, records int64) *mixed {
	tb.Helper()
	m := &mixed{TB: tb, dir: tb.TempDir(), records: records}
	var err error
	if m.clicks, err = newClicks(); err != nil {
		tb.Fatal(err)
	}
	w := wanted{kinds: map[string]int64{}, codes: map[string]int64{}, relaxed: map[lakehouse.Outcome]int64{}}
	for i := range records {
		switch k := kindOf(i); {
		case k.code != "":
			w.kinds[k.name]++
			w.codes[k.code]++
			w.relaxed[k.relaxed]++
			w.letters++
		case k.left:
			w.filtered++
		}
	}
	m.want = w
	return m
}

// project makes or changes the project.
func (m *mixed) project(source, model string) *project.Project {
	m.Helper()
	for name, text := range map[string]string{
		"calve.yaml":                 "name: shop\nconfig_version: 1\nmodels:\n  staging: {namespace: staging}\nconnections:\n  kafka: " + embeddedBroker + "\n",
		"models/sources.yaml":        "sources:\n  - name: shop\n    tables:\n      - {name: clicks, topic: clicks, " + source + "}\n",
		"models/staging/clicks.yaml": "name: clicks\nkind: staging\nfrom: source.shop.clicks\n" + model,
	} {
		file := filepath.Join(m.dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			m.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			m.Fatal(err)
		}
	}
	p, err := project.Load(m.dir, func(string) (string, bool) { return "", false })
	if err != nil {
		m.Fatal(err)
	}
	return p
}

// produce writes the topic.
func (m *mixed) produce(p *project.Project) {
	m.Helper()
	broker, err := daemon.OpenBroker(m.Context(), p, quiet)
	if err != nil {
		m.Fatal(err)
	}
	n, err := broker.Produce(m.Context(), kafka.ProduceConfig{Topic: "clicks", CreateTopic: true, Partitions: 4}, m.all())
	if err != nil || n != m.records {
		m.Fatalf("produced %d records of %d: %v", n, m.records, err)
	}
	if err := broker.Close(); err != nil {
		m.Fatal(err)
	}
}

func (m *mixed) all() iter.Seq2[kafka.ProduceRecord, error] {
	return func(yield func(kafka.ProduceRecord, error) bool) {
		for i := range m.records {
			r := kafka.ProduceRecord{Key: strconv.AppendInt(nil, i, 10), Value: m.clicks.value(i)}
			switch i % 3 {
			case 0:
				r.Headers = []record.Header{{Key: "origin", Value: []byte("web")}}
			case 1:
				r.Headers = []record.Header{{Key: "origin"}}
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// scan reads columns of a table.
func (m *mixed) scan(p *project.Project, id catalog.Identifier, columns []string, visit func(arrow.RecordBatch)) {
	m.Helper()
	lake, err := daemon.OpenLakehouse(m.Context(), p, quiet)
	if err != nil {
		m.Fatal(err)
	}
	defer lake.Close() //nolint:errcheck // only read from
	tbl, err := lake.Catalog.Load(m.Context(), id)
	if err != nil {
		m.Fatal(err)
	}
	_, batches, err := tbl.Scan(table.WithSelectedFields(columns...)).ToArrowRecords(m.Context())
	if err != nil {
		m.Fatal(err)
	}
	for batch, err := range batches {
		if err != nil {
			m.Fatal(err)
		}
		visit(batch)
		batch.Release()
	}
}

func columnNamed[T arrow.Array](m *mixed, batch arrow.RecordBatch, name string) T {
	m.Helper()
	at := batch.Schema().FieldIndices(name)
	if len(at) != 1 {
		m.Fatalf("%d columns %s", len(at), name)
	}
	column, ok := batch.Column(at[0]).(T)
	if !ok {
		m.Fatalf("column %s is a %T", name, batch.Column(at[0]))
	}
	return column
}

// wantLetters checks each dead letter, and those that a request refused.
func (m *mixed) wantLetters(p *project.Project, request string) {
	m.Helper()
	kinds, codes := map[string]int64{}, map[string]int64{}
	seen := make([]bool, m.records)
	m.scan(p, lakehouse.DeadLettersDefinition(p.Name).ID, []string{"kafka_offset", "record_key", "record_value", "reason_code", "resolution", "request_id", "letter_id"}, func(batch arrow.RecordBatch) {
		keys, values := columnNamed[*array.Binary](m, batch, "record_key"), columnNamed[*array.Binary](m, batch, "record_value")
		reasons, outcomes := columnNamed[*array.String](m, batch, "reason_code"), columnNamed[*array.String](m, batch, "resolution")
		requests := columnNamed[*array.String](m, batch, "request_id")
		for i := range int(batch.NumRows()) {
			if outcomes.IsValid(i) {
				if requests.Value(i) == request && lakehouse.Outcome(outcomes.Value(i)) == lakehouse.Refused {
					codes[reasons.Value(i)]++
				}
				continue
			}
			index, err := strconv.ParseInt(string(keys.Value(i)), 10, 64)
			if err != nil {
				m.Fatal(err)
			}
			k := kindOf(index)
			if seen[index] || k.code == "" {
				m.wrongRecord(index, "has a dead letter %s; there already: %t", reasons.Value(i), seen[index])
			}
			seen[index] = true
			kinds[k.name]++
			if request == "" {
				codes[reasons.Value(i)]++
			}
			if got := reasons.Value(i); got != k.code {
				m.wrongRecord(index, "reason %s, want %q", got, k.code)
			}
			want := m.clicks.value(index)
			if values.IsNull(i) != (want == nil) || !bytes.Equal(values.Value(i), want) {
				m.wrongRecord(index, "the letter has %q, want %q", values.Value(i), want)
			}
		}
	})
	if !maps.Equal(kinds, m.want.kinds) {
		m.Errorf("dead letters by kind: got %v, want %v", kinds, m.want.kinds)
	}
	if want := m.codes(request != ""); !maps.Equal(codes, want) {
		m.Errorf("dead letters by reason: got %v, want %v", codes, want)
	}
}

// codes counts letters by reason, all or those that the relaxed model refuses.
func (m *mixed) codes(refusedAgain bool) map[string]int64 {
	if !refusedAgain {
		return m.want.codes
	}
	codes := map[string]int64{}
	for _, k := range brokenKinds {
		if n := m.want.kinds[k.name]; k.relaxed == refused && n > 0 {
			codes[k.code] += n
		}
	}
	return codes
}

// proof is what verify proves of the model.
type proof struct{ delivered, withRows, dead, filtered, rows int64 }

func (m *mixed) wantProven(p *project.Project, want proof) {
	m.Helper()
	v, err := daemon.Verify(m.Context(), p, quiet)
	if err != nil {
		m.Fatal(err)
	}
	for _, c := range v.CounterExamples {
		m.Errorf("counter-example: %s", c)
	}
	i := slices.IndexFunc(v.Models, func(p lakehouse.ModelProof) bool { return p.Model == "clicks" })
	if !v.Proven || i < 0 {
		m.Fatalf("not proven: %+v", v)
	}
	got := v.Models[i]
	if got := (proof{got.Delivered, got.WithRows, got.Dead, got.Filtered, got.Rows}); got != want {
		m.Errorf("proven are %+v, want %+v", got, want)
	}
}

// replay runs the project over all letters, and tells how many are open then.
func (m *mixed) replay(p *project.Project) replayOutcome {
	m.Helper()
	r := replayAll(m, p)
	if r.records != 0 {
		m.Errorf("the replay read %d records of the topic", r.records)
	}
	return r
}

// wantRows checks that each record that no model leaves out has one row, of its
// own values.
func (m *mixed) wantRows(p *project.Project) {
	m.Helper()
	const afterBytes = "body"
	seen := make([]bool, m.records)
	bodies := int64(0)
	m.scan(p, catalog.Identifier{Namespace: "staging", Name: "clicks"}, []string{"record_key", "seq", afterBytes}, func(batch arrow.RecordBatch) {
		keys, seqs := columnNamed[*array.Int64](m, batch, "record_key"), columnNamed[*array.Int64](m, batch, "seq")
		body := columnNamed[*array.Binary](m, batch, afterBytes)
		for i, key := range keys.Int64Values() {
			if seen[key] {
				m.wrongRecord(key, "has two rows")
			}
			seen[key] = true
			if seqs.IsValid(i) && seqs.Value(i) != key {
				m.wrongRecord(key, "the row has seq %d", seqs.Value(i))
			}
			if k := kindOf(key); k.relaxed != refused {
				continue
			}
			bodies++
			if want := m.clicks.value(key); body.IsNull(i) != (want == nil) || !bytes.Equal(body.Value(i), want) {
				m.wrongRecord(key, "the row has %q, want %q", body.Value(i), want)
			}
		}
	})
	for i, has := range seen {
		k := kindOf(int64(i))
		if want := !k.left && k.relaxed != lakehouse.Filtered; has != want {
			m.wrongRecord(int64(i), "has a row: %t, want %t", has, want)
		}
	}
	if want := m.want.relaxed[refused]; bodies != want {
		m.Errorf("%d rows are bytes, want %d", bodies, want)
	}
}

// heapPeak samples the bytes of live and unswept objects until it is stopped.
func heapPeak() (stop func() uint64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	var peak uint64
	var sampling sync.WaitGroup
	done := make(chan struct{})
	sampling.Go(func() {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			metrics.Read(sample)
			peak = max(peak, sample[0].Value.Uint64())
			select {
			case <-done:
				return
			case <-ticker.C:
			}
		}
	})
	return func() uint64 {
		close(done)
		sampling.Wait()
		return peak
	}
}

func (w wanted) String() string {
	var b bytes.Buffer
	for _, code := range slices.Sorted(maps.Keys(w.codes)) {
		fmt.Fprintf(&b, " %s %d", code, w.codes[code])
	}
	return fmt.Sprintf("%d kinds:%s", len(w.kinds), b.String())
}
