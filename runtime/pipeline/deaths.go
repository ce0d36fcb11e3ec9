package pipeline

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/calvelake/calve/runtime/record"
)

// ErrTooManyDead: more of a model's records would become dead letters than the
// project allows. Nothing of the epoch is committed.
var ErrTooManyDead = errors.New("too many dead letters")

// fewestDelivered is how many records of a model an epoch must have for their
// ratio to say anything.
const fewestDelivered = 100

// maxReasons bounds the reasons that are told apart: a plugin's codes are its
// own.
const maxReasons = 64

// deaths are the reasons for which an epoch refused a model's records.
type deaths struct{ reasons map[deathReason]*deathCount }

type deathReason struct{ code, column string }

type deathCount struct {
	count   int64
	at      record.TopicPartition // of the first
	offset  int64
	message string
}

func (e *epoch) countDeaths(o refused) {
	d := e.deaths[o.model]
	if d == nil {
		d = &deaths{reasons: map[deathReason]*deathCount{}}
		e.deaths[o.model] = d
	}
	for _, r := range o.rejects {
		reason := deathReason{r.Code, r.Column}
		c := d.reasons[reason]
		if c == nil && len(d.reasons) < maxReasons {
			source := o.rows.Source
			c = &deathCount{at: source.TopicPartition, offset: source.Records[r.Record].Offset, message: r.Message}
			d.reasons[reason] = c
		}
		if c != nil {
			c.count++
		}
	}
}

// checkDeaths refuses an epoch in which too many of a model's records are dead:
// a model that cannot read its topic at all would else turn all of it into dead
// letters. Replays do not count.
func (e *epoch) checkDeaths() error {
	limit := e.p.config.MaxDeadRatio
	if limit == nil {
		return nil
	}
	total := map[string]record.Fate{}
	for _, t := range e.slices {
		for key, f := range t.fates {
			sum := total[key.model]
			sum.Add(f)
			total[key.model] = sum
		}
	}
	for _, model := range slices.Sorted(maps.Keys(total)) {
		f := total[model]
		ratio := float64(f.Dead) / float64(max(f.Delivered, 1))
		if f.Delivered < fewestDelivered || ratio <= *limit {
			continue
		}
		err := fmt.Errorf("%w: model %s cannot take %d of %d records (ratio %.3f, limits.max_dead_ratio is %s); most often %s; fix the model or its source, or raise limits.max_dead_ratio to let them become dead letters",
			ErrTooManyDead, model, f.Dead, f.Delivered, ratio, strconv.FormatFloat(*limit, 'f', -1, 64), e.deaths[model].mostFrequent())
		if m := e.p.model(model); m != nil && m.Plugin != nil {
			return &pluginError{m.PluginRef, err}
		}
		if k := e.p.keyedModel(model); k != nil && k.Plugin != nil {
			return &pluginError{k.PluginRef, err}
		}
		return err
	}
	return nil
}

// mostFrequent describes the reason that was given most often.
func (d *deaths) mostFrequent() string {
	reasons := slices.SortedFunc(maps.Keys(d.reasons), func(a, b deathReason) int {
		return cmp.Or(cmp.Compare(d.reasons[b].count, d.reasons[a].count), cmp.Compare(a.code, b.code), cmp.Compare(a.column, b.column))
	})
	c := d.reasons[reasons[0]]
	return fmt.Sprintf("%s (%d times), as of %s at offset %d: %s", reasons[0].code, c.count, c.at, c.offset, c.message)
}
