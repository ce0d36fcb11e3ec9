package pipeline_test

import (
	"fmt"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// place is a record in the eyes of a model.
type place struct {
	record.TopicPartition
	offset int64
}

// check proves from the tables alone, and from what the broker holds, that
// nothing was lost and nothing written twice. It may be called whenever no
// epoch is between its record and its commit.
func (w *world) check() error {
	tail, err := w.log()
	if err != nil {
		return err
	}
	if tail.Last() == 0 {
		return nil
	}
	audit, err := w.auditRows()
	if err != nil {
		return err
	}
	letters, err := w.deadLetters()
	if err != nil {
		return err
	}
	for _, m := range w.models {
		if w.altered[staging(m.name)] {
			continue // rows are gone that the audit counts
		}
		c := checker{world: w, model: m, buried: map[place]int{}, found: map[place]int{}, settled: map[place]bool{}, later: map[record.TopicPartition]int64{}, replayed: map[record.TopicPartition]bool{}}
		if err := c.read(letters); err != nil {
			return fmt.Errorf("model %s: %w", m.name, err)
		}
		if err := c.check(audit); err != nil {
			return fmt.Errorf("model %s: %w", m.name, err)
		}
	}
	for _, c := range w.censuses {
		if err := w.checkCensus(c); err != nil {
			return err
		}
	}
	if w.windows {
		if err := w.checkWindows(); err != nil {
			return err
		}
	}
	if w.star {
		return w.checkStar()
	}
	return nil
}

// checker compares one model's table with its audit rows and with the topic.
type checker struct {
	world  *world
	model  modelSpec
	found  map[place]int // rows
	buried map[place]int // dead letters
	// settled are records that a replay took, replayed the TopicPartitions of
	// which one did.
	settled  map[place]bool
	replayed map[record.TopicPartition]bool
	later    map[record.TopicPartition]int64 // dead letters that came up in replays
}

// read counts rows and dead letters by record; each row must be there once.
func (c *checker) read(letters []row) error {
	var rows []row
	if !c.model.ephemeral {
		var err error
		if rows, err = c.world.rows(c.model.definition().ID); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	for _, r := range rows {
		if r.Topic == foreignTopic {
			continue
		}
		position := fmt.Sprintf("row %s@%d.%d", r.TopicPartition, r.offset, r.ordinal)
		if seen[position] {
			return fmt.Errorf("%s is there twice", position)
		}
		seen[position] = true
		c.found[place{r.TopicPartition, r.offset}]++
	}
	for _, r := range letters {
		if r.text("model") != c.model.name {
			continue
		}
		if outcome := lakehouse.Outcome(r.text("resolution")); outcome != "" {
			if outcome == lakehouse.Replayed || outcome == lakehouse.Filtered {
				c.settled[place{r.TopicPartition, r.offset}] = true
			}
			continue
		}
		if seen[r.text("letter_id")] {
			return fmt.Errorf("dead letter of %s@%d is there twice", r.TopicPartition, r.offset)
		}
		seen[r.text("letter_id")] = true
		if r.text("reader") == lakehouse.ReplayReader {
			c.later[r.TopicPartition]++
			continue
		}
		c.buried[place{r.TopicPartition, r.offset}]++
	}
	return nil
}

// check walks the audit rows, which must take each TopicPartition's offsets
// without a gap, and holds their counts against what is in the tables.
func (c *checker) check(audit []row) error {
	next := map[record.TopicPartition]int64{}
	if err := c.checkSums(audit); err != nil {
		return err
	}
	for _, a := range audit {
		if a.text("model") != c.model.name || a.text("reader") == lakehouse.ReplayReader {
			continue
		}
		from, to := a.offset, a.number("to_offset")
		if from != next[a.TopicPartition] || to <= from {
			return fmt.Errorf("epoch %d takes %s [%d,%d), the epochs before end at %d", a.number("epoch"), a.TopicPartition, from, to, next[a.TopicPartition])
		}
		next[a.TopicPartition] = to
		var counted [2]int64
		for offset := from; offset < to; offset++ {
			counted[0] += int64(c.found[place{a.TopicPartition, offset}])
			counted[1] += int64(c.buried[place{a.TopicPartition, offset}])
		}
		if sum := a.number("with_rows") + a.number("dead") + a.number("filtered"); sum != a.number("delivered") {
			return fmt.Errorf("epoch %d, %s: %d records have a fate, %d were delivered", a.number("epoch"), a.TopicPartition, sum, a.number("delivered"))
		}
		if c.replayed[a.TopicPartition] {
			continue // rows of its ranges are of later epochs
		}
		if !c.model.ephemeral && counted[0] != a.number("rows") || counted[1] != a.number("dead_letters") {
			return fmt.Errorf("epoch %d, %s [%d,%d): the tables hold %d rows and %d dead letters, the audit says %d and %d",
				a.number("epoch"), a.TopicPartition, from, to, counted[0], counted[1], a.number("rows"), a.number("dead_letters"))
		}
	}
	return c.compare(next)
}

// checkSums holds the sums of a TopicPartition's audit rows, those of replays
// included, against the tables.
func (c *checker) checkSums(audit []row) error {
	type sums struct{ rows, letters, fates, delivered int64 }
	all := map[record.TopicPartition]sums{}
	for _, a := range audit {
		if a.text("model") != c.model.name {
			continue
		}
		if a.text("reader") == lakehouse.ReplayReader {
			c.replayed[a.TopicPartition] = true
		}
		s := all[a.TopicPartition]
		s.rows += a.number("rows")
		s.letters += a.number("dead_letters")
		s.fates += a.number("with_rows") + a.number("dead") + a.number("filtered")
		s.delivered += a.number("delivered")
		all[a.TopicPartition] = s
	}
	for tp, s := range all {
		rows, letters := int64(0), c.later[tp]
		for at, n := range c.found {
			if at.TopicPartition == tp {
				rows += int64(n)
			}
		}
		for at, n := range c.buried {
			if at.TopicPartition == tp {
				letters += int64(n)
			}
		}
		if !c.model.ephemeral && rows != s.rows || letters != s.letters || s.fates != s.delivered {
			return fmt.Errorf("%s holds %d rows and %d dead letters, the audit says %+v", tp, rows, letters, s)
		}
	}
	return nil
}

// fate is what must have become of a record: by the model as it was when the
// record was read, if it was changed since, unless a replay took it.
func (c *checker) fate(at place, r record.Record) (rows, letters int) {
	rows, letters = c.model.fate(r)
	for former := c.model.former; former != nil && c.buried[at] != letters; former = former.former {
		before, refused := former.fate(r)
		if letters = refused; !c.settled[at] {
			rows = before
		}
	}
	return rows, letters
}

// compare holds the tables against the records that the broker still has: up
// to where the audit ends each must have its fate, and beyond none.
func (c *checker) compare(next map[record.TopicPartition]int64) error {
	t := c.world.broker.topics[c.model.topic]
	for i, p := range t.partitions {
		tp := record.TopicPartition{Topic: c.model.topic, Partition: int32(i)}
		for _, r := range p.records {
			if t.again {
				continue // not the records that were read
			}
			rows, letters := 0, 0
			if r.Offset < next[tp] {
				rows, letters = c.fate(place{tp, r.Offset}, r)
			}
			if c.model.ephemeral {
				rows = 0
			}
			at := place{tp, r.Offset}
			if c.found[at] != rows || c.buried[at] != letters {
				return fmt.Errorf("record %s@%d has %d rows and %d dead letters, want %d and %d", tp, r.Offset, c.found[at], c.buried[at], rows, letters)
			}
		}
	}
	for at := range c.found {
		if at.offset >= next[at.TopicPartition] {
			return fmt.Errorf("there are rows of %s@%d, the audit ends at %d", at.TopicPartition, at.offset, next[at.TopicPartition])
		}
	}
	return nil
}
