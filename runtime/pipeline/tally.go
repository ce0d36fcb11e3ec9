package pipeline

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/calvelake/calve/runtime/record"
)

// ErrPluginErrs: in its first epoch a plugin refuses a larger share of a model's
// records than the model allows.
var ErrPluginErrs = errors.New("the plugin refuses too many records")

// tally counts the records that came to a model's plugin, and those of which
// it, or what is behind it, refused something.
type tally struct {
	records, refused int64
	first            string // refusal, for messages
}

func (t *tally) add(other tally) {
	t.records += other.records
	t.refused += other.refused
	if t.first == "" {
		t.first = other.first
	}
}

// share is the part that is refused. Fewer records than say anything count as
// many: one refusal among three is no verdict, a hundred are.
func (t tally) share() float64 {
	return float64(t.refused) / float64(max(t.records, fewestDelivered))
}

// trial follows what a batch's records meet from the model's plugin on.
type trial struct {
	begun  bool
	given  record.Batch // its rows are released by then
	before int          // rejects that are of earlier steps
}

func (t *trial) begin(made Applied) {
	t.begun, t.before = true, len(made.Rejects)
	t.given = record.Batch{Records: made.Rows.Records, Source: made.Rows.Source}
}

// blame says that the plugin's rows are at fault, from the plugin on.
func (t *trial) blame(err error) error {
	if t.begun {
		return &pluginError{error: err}
	}
	return err
}

// tally counts the records; nil if none came to a plugin.
func (t *trial) tally(rejects []record.Reject) *tally {
	if !t.begun {
		return nil
	}
	counted := &tally{}
	last := int32(-1)
	for _, r := range t.given.Records { // they never decrease
		if r != last {
			counted.records++
			last = r
		}
	}
	seen := map[int32]bool{}
	for _, r := range rejects[t.before:] {
		if seen[r.Record] {
			continue
		}
		if len(seen) == 0 {
			counted.first = refusalText(t.given.Source, r)
		}
		seen[r.Record] = true
		counted.refused++
	}
	return counted
}

// tally adds what a slice's records met.
func (e *epoch) tally(o outcome) {
	if o.tally == nil {
		return
	}
	sum := e.tallies[o.model.Name]
	sum.add(*o.tally)
	e.tallies[o.model.Name] = sum
}

// checkTallies refuses an epoch in which a plugin on probation refuses more of a
// model's records than the former did and the model allows. Replays do not
// count: what they bring was refused before.
func (e *epoch) checkTallies() error {
	for _, ref := range slices.Sorted(maps.Keys(e.p.probations)) {
		for _, m := range e.p.modelsOf(ref) {
			t, former := e.tallies[m.Name], e.p.refusals[m.Name]
			if t.share() <= former.share()+m.MaxErrorRatio {
				continue
			}
			return t.tooMany(ref, m.Name, former, m.MaxErrorRatio)
		}
		for _, k := range e.p.keyedOf(ref) {
			t, former := e.tallies[k.Name], e.p.refusals[k.Name]
			if t.share() > former.share()+k.MaxErrorRatio {
				return t.tooMany(ref, k.Name, former, k.MaxErrorRatio)
			}
		}
	}
	return nil
}

func (t tally) tooMany(ref, model string, former tally, allowed float64) error {
	return &pluginError{ref, fmt.Errorf("%w: %d of %d of model %s (share %.3f, the former module's is %.3f, plugin.max_error_ratio allows %s more); the first: %s",
		ErrPluginErrs, t.refused, t.records, model, t.share(), former.share(), strconv.FormatFloat(allowed, 'f', -1, 64), t.first)}
}

// tallyKeyed counts the rows that came to a keyed model's plugin: those that its
// operator did not refuse itself.
func (e *epoch) tallyKeyed(k *keyed, rows record.Batch, rejects []record.Reject) {
	if k.Plugin == nil {
		return
	}
	counted := tally{records: int64(len(rows.Records) - len(rejects))}
	for _, r := range rejects {
		if !r.ByPlugin {
			continue
		}
		if counted.refused == 0 {
			counted.first = refusalText(rows.Source, r)
		}
		counted.records++
		counted.refused++
	}
	sum := e.tallies[k.Name]
	sum.add(counted)
	e.tallies[k.Name] = sum
}

// refusalText is a refusal for messages.
func refusalText(source *record.Slice, r record.Reject) string {
	return fmt.Sprintf("%s at offset %d, %s: %s", source.TopicPartition, source.Records[r.Record].Offset, r.Code, r.Message)
}

// formerRefusals is what the last record tells of the modules that it names:
// dead letters of every reason, for it does not tell them apart.
func formerRefusals(parts Parts) map[string]tally {
	all := map[string]tally{}
	for model, c := range parts.Start.Counts {
		all[model] = tally{records: c.In, refused: c.Dead}
	}
	return all
}
