package pipeline

import (
	"fmt"
	"maps"
	"slices"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/record"
)

// Topic is a topic as the broker shows it now.
type Topic struct {
	Name       string
	Origin     record.Origin
	Partitions []Partition
}

// Partition is the readable range of a TopicPartition: offsets [Start, End).
type Partition struct {
	ID         int32
	Start, End int64
}

// Wanted is a model that is to run, for Resume.
type Wanted struct {
	Name  string
	Topic string
	Table string // "" for an ephemeral model
}

// OnDataLoss says what a start does about records that expired before they
// were read.
type OnDataLoss int

const (
	// Fail refuses to start: losing records is for a person to accept.
	Fail OnDataLoss = iota
	// RecordLoss goes on behind the loss and records it in the epoch log and
	// in the audit table as a lost range.
	RecordLoss
)

// Assignment is what one reader begins with.
type Assignment struct {
	Name      string
	Models    []string
	Positions []record.Position
	// Lost are accepted losses: the offsets between where the last epoch ended
	// and the position.
	Lost map[record.TopicPartition]lakehouse.Interval
}

// MainReader is the name of the reader that a project begins with.
const MainReader = "main"

// Resume decides what reads on from where: each recorded reader where its last
// epoch ended, new partitions at their beginning, and models that the log does
// not know in a reader of their own, from the beginning of their topic, unless
// no other model reads it. Readers that have met are one from here on.
//
// A source that is not the one that the epochs came from, or that no longer
// has what comes next, is refused (invariant 12): to go on regardless would
// lose or repeat records silently.
func Resume(start *lakehouse.Start, wanted []Wanted, topics []Topic, policy OnDataLoss) ([]Assignment, error) {
	r := resumption{start: start, wanted: wanted, topics: topics, policy: policy}
	var assignments []Assignment
	known := map[string]bool{}
	for _, recorded := range join(start.Readers) {
		for _, m := range recorded.Models {
			known[m] = true
		}
		a, err := r.recorded(recorded)
		if err != nil {
			return nil, err
		}
		if len(a.Models) > 0 {
			assignments = append(assignments, a)
		}
	}
	for _, w := range wanted {
		if known[w.Name] {
			continue
		}
		if err := r.checkNew(w); err != nil {
			return nil, err
		}
		assignments = r.addNew(assignments, w)
	}
	return assignments, nil
}

type resumption struct {
	start  *lakehouse.Start
	wanted []Wanted
	topics []Topic
	policy OnDataLoss
}

// join makes one of readers that are at the same place: a reader whose every
// position is the first reader's has caught up with it. The rule looks at the
// record alone, so that whoever reads it decides alike.
func join(readers []lakehouse.Reader) []lakehouse.Reader {
	if len(readers) == 0 {
		return nil
	}
	first := readers[0]
	first.Models = slices.Clone(first.Models)
	first.Inputs = maps.Clone(first.Inputs)
	if first.Inputs == nil {
		first.Inputs = map[string]string{}
	}
	at := map[record.TopicPartition]int64{}
	for _, g := range first.Ranges {
		at[record.TopicPartition{Topic: g.Topic, Partition: g.Partition}] = g.To
	}
	joined := []lakehouse.Reader{}
	for _, r := range readers[1:] {
		met := true
		for _, g := range r.Ranges {
			to, ok := at[record.TopicPartition{Topic: g.Topic, Partition: g.Partition}]
			met = met && ok && to == g.To
		}
		if met {
			first.Models = append(first.Models, r.Models...)
			maps.Copy(first.Inputs, r.Inputs)
		} else {
			joined = append(joined, r)
		}
	}
	return append([]lakehouse.Reader{first}, joined...)
}

// recorded goes on with a reader of the log, for those of its models that are
// still wanted.
func (r *resumption) recorded(reader lakehouse.Reader) (Assignment, error) {
	a := Assignment{Name: reader.Name, Lost: map[record.TopicPartition]lakehouse.Interval{}}
	reads := map[string]bool{}
	for _, w := range r.wanted {
		if slices.Contains(reader.Models, w.Name) {
			if topic, known := reader.Inputs[w.Name]; known && topic != w.Topic {
				return a, fmt.Errorf("model %q reads topic %s now, its table was filled from %s; give the topic back, or give the model another name to begin a table of its own",
					w.Name, w.Topic, topic)
			}
			a.Models = append(a.Models, w.Name)
			reads[w.Topic] = true
		}
	}
	ranges := map[record.TopicPartition]lakehouse.Range{}
	for _, g := range reader.Ranges {
		ranges[record.TopicPartition{Topic: g.Topic, Partition: g.Partition}] = g
	}
	for _, t := range r.topics {
		if !reads[t.Name] {
			continue
		}
		if err := r.place(&a, t, ranges); err != nil {
			return a, err
		}
	}
	return a, nil
}

// place finds where a reader goes on in a topic.
func (r *resumption) place(a *Assignment, t Topic, ranges map[record.TopicPartition]lakehouse.Range) error {
	present := map[record.TopicPartition]bool{}
	for _, p := range t.Partitions {
		tp := record.TopicPartition{Topic: t.Name, Partition: p.ID}
		present[tp] = true
		position := record.Position{Origin: t.Origin, TopicPartition: tp, Offset: p.Start, LeaderEpoch: -1}
		if g, known := ranges[tp]; known {
			if err := checkRange(g, t.Origin, p); err != nil {
				return err
			}
			position.Offset, position.LeaderEpoch = g.To, g.LeaderEpoch
			if g.To < p.Start {
				if r.policy != RecordLoss {
					return expired(g, p)
				}
				position.Offset = p.Start
				a.Lost[tp] = lakehouse.Interval{From: g.To, To: p.Start}
			}
		}
		a.Positions = append(a.Positions, position)
	}
	for tp, g := range ranges {
		if tp.Topic == t.Name && !present[tp] {
			return &SourceError{TopicPartition: tp, Problem: fmt.Sprintf("was read up to offset %d and the topic no longer has this partition; it was made again with fewer partitions: give it a new name, or restore it", g.To)}
		}
	}
	return nil
}

// checkNew refuses a model that the log does not know though its table has
// rows: it was taken out of the project and came back. From the beginning it
// would write them again, and where it stopped is not recorded any more.
func (r *resumption) checkNew(w Wanted) error {
	if epoch := r.start.Epochs[w.Table]; w.Table != "" && epoch > 0 {
		return fmt.Errorf("model %q was taken out of the project after epoch %d and its table %s has rows up to there; give the model another name, and it begins a table of its own",
			w.Name, epoch, w.Table)
	}
	return nil
}

// addNew lets a model that the log does not know begin: with the first reader
// if that does not read the model's topic, else in a reader of its own. Models
// that begin together on one topic share it.
func (r *resumption) addNew(assignments []Assignment, w Wanted) []Assignment {
	i := slices.IndexFunc(assignments, func(a Assignment) bool { return r.begins(a, w.Topic) })
	if i < 0 {
		name := w.Name
		switch {
		case len(assignments) == 0:
			name = MainReader
		case name == MainReader || name == lakehouse.ReplayReader:
			name += "-model" // no model has a name with a hyphen
		}
		assignments = append(assignments, Assignment{Name: name})
		i = len(assignments) - 1
	}
	a := &assignments[i]
	a.Models = append(a.Models, w.Name)
	for _, t := range r.topics {
		if t.Name != w.Topic || slices.ContainsFunc(a.Positions, func(p record.Position) bool { return p.Topic == t.Name }) {
			continue
		}
		for _, p := range t.Partitions {
			tp := record.TopicPartition{Topic: t.Name, Partition: p.ID}
			a.Positions = append(a.Positions, record.Position{Origin: t.Origin, TopicPartition: tp, Offset: p.Start, LeaderEpoch: -1})
		}
	}
	return assignments
}

// begins tells whether a reader can take on a model that begins with a topic:
// it does not read the topic yet, or begins with it too.
func (r *resumption) begins(a Assignment, topic string) bool {
	for _, recorded := range r.start.Readers {
		if recorded.Name == a.Name && slices.ContainsFunc(recorded.Ranges, func(g lakehouse.Range) bool { return g.Topic == topic }) {
			return false
		}
	}
	return true
}

// SourceError: a topic is not what the last epoch read, or has lost what comes
// next.
type SourceError struct {
	record.TopicPartition
	Problem string
}

func (e *SourceError) Error() string {
	return fmt.Sprintf("source %s: %s", e.TopicPartition, e.Problem)
}

func checkRange(g lakehouse.Range, origin record.Origin, p Partition) error {
	refuse := func(format string, args ...any) error {
		return &SourceError{TopicPartition: record.TopicPartition{Topic: g.Topic, Partition: g.Partition}, Problem: fmt.Sprintf(format, args...)}
	}
	switch {
	case g.ClusterID != origin.ClusterID:
		return refuse("belongs to cluster %s, the tables were filled from cluster %s; point the project at that cluster, or begin a project of another name", origin.ClusterID, g.ClusterID)
	case g.TopicID != origin.TopicID:
		return refuse("was deleted and made again (topic id %s, the tables were filled from %s); restore it, or read it under a new project name", origin.TopicID, g.TopicID)
	case g.To > p.End:
		return refuse("ends at offset %d, the tables hold records up to %d; the topic has lost records: restore it, or wait until the broker has recovered", p.End, g.To)
	}
	return nil
}

func expired(g lakehouse.Range, p Partition) error {
	return &SourceError{
		TopicPartition: record.TopicPartition{Topic: g.Topic, Partition: g.Partition},
		Problem: fmt.Sprintf("begins at offset %d, the next to read is %d: the records [%d,%d) expired before they were read; restore them and raise the topic's retention, or accept the loss with --on-data-loss=record-loss",
			p.Start, g.To, g.To, p.Start),
	}
}
