package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/record"
)

// pluginRef is what all models of scenarios refer to that have a plugin.
const pluginRef = "by_kind"

// channel is the registry of a world: where its one channel was, and what
// became of that. It outlives processes.
type channel struct {
	mu       sync.Mutex
	modules  map[string]*module
	promoted []string     // digests, one a promotion
	refused  map[int]bool // promotions that the pipeline fell back from
	forgets  bool         // that it fell back, as when a process dies before it tells
}

// module is a version of the plugin. What it does is one of
//
//	marks           kind is the digest, where it is null
//	stops:ID        it fails on the row with that id
//	refuses:ID,…    it refuses those rows; refuses:all all
//	says:KIND       kind is KIND
//	misfits         it returns a column of another type
//	breaks          it cannot be opened
type module struct {
	digest, does string
	yanked       bool
	epochs       int // that a keyed model's plugin was told of
}

func (m *module) plugin(strict bool) pipeline.Transformer {
	return versioned{kindPlugin{strict: strict}, m}
}

// versioned is kindPlugin of some version.
type versioned struct {
	kindPlugin
	module *module
}

func (v versioned) Digest() string { return v.module.digest }

func (v versioned) Transform(ctx context.Context, batch record.Batch) (record.Batch, []record.Reject, error) {
	what, with, _ := strings.Cut(v.module.does, ":")
	ids := batch.Rows.Column(0).(*array.Int64)
	refused := func(id int64) bool {
		return with == "all" || slices.Contains(strings.Split(with, ","), strconv.FormatInt(id, 10))
	}
	var keep []int
	var rejects []record.Reject
	for i, origin := range batch.Records {
		switch {
		case what == "stops" && refused(ids.Value(i)):
			return record.Batch{}, nil, fmt.Errorf("row with id %s stops it", with)
		case what == "refuses" && refused(ids.Value(i)):
			rejects = append(rejects, record.Reject{Record: origin, Code: "refused", Message: fmt.Sprintf("%s refuses id %d", v.module.digest, ids.Value(i))})
		default:
			keep = append(keep, i)
		}
	}
	left, err := batch.Select(keep, memory.DefaultAllocator)
	if err != nil {
		return record.Batch{}, nil, err
	}
	defer left.Release()
	out, more, err := v.kindPlugin.Transform(ctx, left)
	if err != nil {
		return out, nil, err
	}
	switch what {
	case "marks":
		out.Rows = withKinds(out.Rows, func(kind string) string {
			if kind == "" {
				return v.module.digest
			}
			return kind
		})
	case "says":
		out.Rows = withKinds(out.Rows, func(string) string { return with })
	case "misfits":
		out.Rows = array.NewRecordBatch(arrow.NewSchema([]arrow.Field{modelColumns[0], {Name: "kind", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil),
			[]arrow.Array{out.Rows.Column(0), out.Rows.Column(0)}, out.Rows.NumRows())
	}
	return out, append(rejects, more...), nil
}

// withKinds is rows with another column kind.
func withKinds(rows arrow.RecordBatch, kind func(string) string) arrow.RecordBatch {
	defer rows.Release()
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	was := rows.Column(1).(*array.String)
	for i := range was.Len() {
		text := ""
		if was.IsValid(i) {
			text = was.Value(i)
		}
		b.Append(kind(text))
	}
	column := b.NewArray()
	defer column.Release()
	return array.NewRecordBatch(rows.Schema(), []arrow.Array{rows.Column(0), column}, rows.NumRows())
}

// head is the last promotion, and its module; nil before the first.
func (c *channel) head() (int, *module) {
	if len(c.promoted) == 0 {
		return 0, nil
	}
	return len(c.promoted), c.modules[c.promoted[len(c.promoted)-1]]
}

// promote DIGEST [does=WHAT]: the channel names a module.
func promote(w *world, a arguments) ([]string, error) {
	w.channel.promote(a.next(), a.text("does", ""))
	return nil, nil
}

func (c *channel) promote(digest, does string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.modules == nil {
		c.modules, c.refused = map[string]*module{}, map[int]bool{}
	}
	if c.modules[digest] == nil {
		c.modules[digest] = &module{digest: digest, does: does}
	}
	c.promoted = append(c.promoted, digest)
}

// yank DIGEST: a start does not use the module any more.
func yank(w *world, a arguments) ([]string, error) {
	w.channel.mu.Lock()
	defer w.channel.mu.Unlock()
	w.channel.modules[a.next()].yanked = true
	return nil, nil
}

// plugIn gives models the module that their reference means at a start, as the
// daemon does.
func (p *process) plugIn(start *lakehouse.Start, models []pipeline.Model, keyed []pipeline.KeyedModel) ([]pipeline.Probation, *candidates, error) {
	c := &p.world.channel
	c.mu.Lock()
	defer c.mu.Unlock()
	number, head := c.head()
	if head == nil {
		return nil, nil, nil
	}
	all := &candidates{process: p, seen: number, running: head.digest}
	recorded := c.modules[start.Plugins[pluginRef]]
	if recorded == nil || recorded == head {
		p.world.plugins(models, keyed, head)
		return nil, all, nil
	}
	if c.refused[number] || head.does == "breaks" {
		p.say("%s goes on with %s, not %s", p.nonce, recorded.digest, head.digest)
		p.world.plugins(models, keyed, recorded)
		all.running = recorded.digest
		return nil, all, nil
	}
	probation := pipeline.Probation{FormerDigest: recorded.digest, Gone: fmt.Errorf("%s is yanked", recorded.digest)}
	if !recorded.yanked {
		probation.Former, probation.Gone = p.world.plugins(models, keyed, recorded), nil
	}
	probation.Candidate = pipeline.Candidate{Ref: pluginRef, Digest: head.digest, Plugins: p.world.plugins(models, keyed, head)}
	all.running, all.trying = recorded.digest, number
	return []pipeline.Probation{probation}, all, nil
}

// plugins opens a module for all models that have a plugin, and gives it to
// them.
func (w *world) plugins(models []pipeline.Model, keyed []pipeline.KeyedModel, m *module) map[string]pipeline.Plugin {
	all := map[string]pipeline.Plugin{}
	for i := range models {
		spec := w.models[slices.IndexFunc(w.models, func(s modelSpec) bool { return s.name == models[i].Name })]
		if spec.plugin {
			models[i].Plugin = m.plugin(spec.strict)
			all[spec.name] = models[i].Plugin
		}
	}
	if !w.plugged {
		return all
	}
	for _, c := range w.censuses {
		all[c.name()] = &censusPlugin{module: m}
	}
	if w.star {
		all[starDimensionID.Name] = &censusPlugin{module: m}
	}
	for i := range keyed {
		k := &keyed[i]
		plugin, ok := all[k.Name].(*censusPlugin)
		if !ok {
			continue // the fact of a star
		}
		k.Plugin, k.PluginRef, k.MaxErrorRatio = plugin, pluginRef, w.maxErrorRatio
		if err := k.Operator.(pipeline.Swapper).Swap(plugin); err != nil {
			panic(err)
		}
	}
	return all
}

// candidates are those of a world's channel for one process. They are ready at
// once.
type candidates struct {
	process *process
	running string // digest
	seen    int    // promotion
	trying  int    // promotion that is on probation, 0 if none
}

func (c *candidates) Take() []pipeline.Candidate {
	w := c.process.world
	w.channel.mu.Lock()
	defer w.channel.mu.Unlock()
	number, head := w.channel.head()
	if c.trying != 0 || number == c.seen {
		return nil
	}
	c.seen = number
	switch {
	case head.digest == c.running || w.channel.refused[number]:
		return nil
	case head.does == "breaks":
		c.process.say("%s cannot be opened", head.digest)
		return nil
	}
	c.trying = number
	models := make([]pipeline.Model, len(w.models))
	for i, spec := range w.models {
		models[i].Name = spec.name
	}
	c.process.say("%s takes %s", c.process.nonce, head.digest)
	return []pipeline.Candidate{{Ref: pluginRef, Digest: head.digest, Plugins: w.plugins(models, nil, head)}}
}

func (c *candidates) Kept(kept pipeline.Candidate) {
	c.process.say("%s keeps %s", c.process.nonce, kept.Digest)
	c.running, c.seen, c.trying = kept.Digest, c.trying, 0
}

func (c *candidates) Refused(r pipeline.Refusal) {
	c.process.say("%s refuses %s in epoch %d, %s again: %s", c.process.nonce, r.Digest, r.Epoch, r.Former, r.Reason)
	if r.Former != c.running {
		c.process.say("BUG: %s ran before", c.running)
	}
	w := c.process.world
	w.channel.mu.Lock()
	defer w.channel.mu.Unlock()
	if !w.channel.forgets {
		w.channel.refused[c.trying] = true
	}
	c.seen, c.trying = c.trying, 0
}

// showModules tells by which module ranges were taken, as the audit table has
// it, and the log's records, which must agree.
func (w *world) showModules() ([]string, error) {
	tail, err := w.log()
	if err != nil {
		return nil, err
	}
	recorded := map[int64]string{}
	var lines []string
	for _, e := range tail.Epochs {
		recorded[e.Number] = e.Plugins[pluginRef]
		lines = append(lines, fmt.Sprintf("epoch %d: %s", e.Number, e.Plugins[pluginRef]))
	}
	rows, err := w.auditRows()
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		epoch, digest := r.number("epoch"), r.text("plugin_digest")
		if digest == "" {
			continue
		}
		if is, ok := recorded[epoch]; ok && is != digest {
			return nil, errors.New("the audit table names " + digest + ", the record " + is)
		}
		lines = append(lines, fmt.Sprintf("%s %s [%d,%d): %s", r.text("model"), r.TopicPartition, r.offset, r.number("to_offset"), digest))
	}
	return lines, nil
}

// contains tells whether a text has all parts.
func contains(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
