package pipeline_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/record"
)

// censusPlugin is the plugin of a census: what its module does is one of
//
//	stops:ID       it fails on the row with that id
//	refuses:ID,…   it refuses those rows; refuses:all all
//	fails:KIND     it makes no row of that kind
//	anything else  nothing
type censusPlugin struct {
	module *module
	called bool
}

func (p *censusPlugin) Digest() string { return p.module.digest }

func (p *censusPlugin) NextEpoch() {
	p.called = false
	p.module.epochs++
}

func (p *censusPlugin) Called() bool { return p.called }

// does is what is to be done, and with what.
func (p *censusPlugin) does() (what, with string) {
	what, with, _ = strings.Cut(p.module.does, ":")
	return what, with
}

// judge is asked for each row.
func (p *censusPlugin) judge(rows record.Batch, row int) (*record.Reject, error) {
	if p == nil {
		return nil, nil
	}
	p.called = true
	id := strconv.FormatInt(rows.Rows.Column(0).(*array.Int64).Value(row), 10)
	what, with := p.does()
	switch meant := with == "all" || slices.Contains(strings.Split(with, ","), id); {
	case what == "stops" && meant:
		return nil, pipeline.PluginFault(fmt.Errorf("row with id %s stops %s", id, p.module.digest))
	case what == "refuses" && meant:
		return &record.Reject{
			Record: rows.Records[row], OfRow: true, Row: rows.RowOrdinals()[row], ByPlugin: true,
			Code: "refused", Message: fmt.Sprintf("%s refuses id %s", p.module.digest, id),
		}, nil
	}
	return nil, nil
}

// finish is asked for each kind of which a row is to be made.
func (p *censusPlugin) finish(kind string) error {
	if p == nil {
		return nil
	}
	p.called = true
	if what, with := p.does(); what == "fails" && with == kind {
		return pipeline.PluginFault(fmt.Errorf("%s makes no row of kind %s", p.module.digest, kind))
	}
	return nil
}

// Swap implements pipeline.Swapper.
func (c *census) Swap(next pipeline.KeyedPlugin) error {
	plugin, ok := next.(*censusPlugin)
	if !ok {
		return fmt.Errorf("BUG: a census is given %T", next)
	}
	if len(c.touched) > 0 {
		return fmt.Errorf("BUG: %s comes within an epoch", next.Digest())
	}
	c.plugin = plugin
	return nil
}

// census MODEL [plugin]: a keyed model over a staging one.
func makeCensus(w *world, a arguments) ([]string, error) {
	w.censuses = append(w.censuses, censusOf(a.next()))
	w.plugged = w.plugged || a.has("plugin")
	return nil, nil
}

// keyedSwapTale has a module of a keyed model's plugin promoted between two runs.
func keyedSwapTale(does string, forgets bool) tale {
	s := shortTale(false)
	s.models, s.censuses, s.plugged = s.models[1:], []censusOf{"all"}, true
	s.records = [][]string{
		{`{"id":1,"kind":"a"}`, `{"id":2,"kind":"b"}`, `{"id":3}`},
		{`{"id":4,"kind":"b"}`, `no json`},
	}
	s.prepare = func(w *world) error {
		w.channel.promote("v1", "counts")
		if err := w.play(s.options); err != nil {
			return err
		}
		for number, lines := range [][]string{
			{`{"id":5,"kind":"a"}`, `{"id":6}`, `{"id":7,"kind":"c"}`},
			{`{"id":8,"kind":"b"}`, `{"id":9,"kind":"a"}`},
		} {
			p := w.broker.topics["events"].partitions[number]
			for _, line := range lines {
				p.append(nil, []byte(line))
			}
			for i := range p.records {
				p.records[i].Timestamp = int64(i)
			}
		}
		w.channel.promote("v2", does)
		w.channel.forgets = forgets
		return nil
	}
	return s
}

// TestCrashAtEveryPointOfAKeyedProbation does what
// TestCrashAtEveryPointOfAProbation does, with the plugin of a model that keeps
// state.
func TestCrashAtEveryPointOfAKeyedProbation(t *testing.T) {
	for _, c := range []struct {
		name, does string
		forgets    bool
		want       string // module of the second run's rows
	}{
		{"kept", "counts", false, "v2"},
		{"stops over a row", "stops:7", false, "v1"},
		{"makes no row", "fails:a", false, "v1"},
		{"stops, and that is forgotten", "stops:all", true, "v1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := keyedSwapTale(c.does, c.forgets)
				calls, want := s.trace(t)
				all := points(calls)
				tried := distinct(all)
				t.Logf("%d calls, %d points, %d of them leave different worlds", len(calls), len(all), len(tried))
				letters := slices.DeleteFunc(slices.Clone(want["calve_shop.dead_letters"]), func(row string) bool {
					return !contains(row, "model=census_of_all ", "kafka_offset=4 ")
				})
				if len(letters) != 1 || !contains(letters[0], "plugin_digest="+c.want+" ") {
					t.Errorf("the dead letters of id 6 are %q, want one of %s", letters, c.want)
				}
				s.tryAll(t, want, tried)
			})
		})
	}
}

// TestRefusedSharesOfAKeyedModel holds the share of rows that a new module
// refuses against what the model allows. What the operator refuses itself does
// not count.
func TestRefusedSharesOfAKeyedModel(t *testing.T) {
	for _, c := range []struct {
		records, refused, kindless int
		ratio                      float64
		kept                       bool
	}{
		{100, 0, 0, 0, true},
		{100, 1, 0, 0.01, true},
		{100, 2, 0, 0.01, false},
		{100, 0, 90, 0.01, true},
		{5, 1, 0, 0.01, true},
		{5, 2, 0, 0.01, false},
		{100, 100, 0, 1, true},
	} {
		t.Run(fmt.Sprintf("%d of %d, %v allowed, %d without a key", c.refused, c.records, c.ratio, c.kindless), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newQuickWorld(t)
				defer w.close()
				w.broker.create("events", 1)
				w.models, w.censuses, w.plugged, w.maxErrorRatio = []modelSpec{{name: "all", topic: "events"}}, []censusOf{"all"}, true, c.ratio
				o := runOptions{once: true, interval: 10e9, maxBytes: 1 << 20, poll: 1000}
				epoch := func(digest string, refused, kindless int) {
					ids := "none"
					for i := range c.records {
						line := fmt.Appendf(nil, `{"id":%d,"kind":"a"}`, i)
						if i >= c.records-kindless {
							line = fmt.Appendf(nil, `{"id":%d}`, i)
						}
						w.broker.topics["events"].partitions[0].append(nil, line)
						if i < refused {
							ids += fmt.Sprintf(",%d", i)
						}
					}
					w.channel.promote(digest, "refuses:"+ids)
					if err := w.play(o); err != nil {
						t.Fatal(err)
					}
				}
				epoch("v1", 0, 0)
				epoch("v2", c.refused, c.kindless)
				tail, err := w.log()
				if err != nil {
					t.Fatal(err)
				}
				if v1, v2 := w.channel.modules["v1"].epochs, w.channel.modules["v2"].epochs; v1 == 0 || v2 == 0 {
					t.Errorf("v1 was told of %d epochs and v2 of %d", v1, v2)
				}
				want := map[bool]string{true: "v2", false: "v1"}[c.kept]
				if got := tail.Epochs[len(tail.Epochs)-1].Plugins[pluginRef]; got != want {
					t.Errorf("the epoch is of %s, want %s", got, want)
				}
				if _, err := w.verify(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
