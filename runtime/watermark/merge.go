package watermark

import "github.com/calvelake/calve/runtime/record"

// Input is how far a model has come that another reads.
type Input struct {
	At   int64 // record.NoTime before it has come anywhere
	Idle bool  // it is silent, and holds nothing back
}

// Merge is how far event time has come for a model that reads others: the
// minimum over those that are not silent. When all are, none holds it back, so
// that it is where the furthest of them is, as with TopicPartitions. Without any
// it is record.NoTime. That alone may go back, when one delivers again: what was
// reached before is the caller's to keep.
func Merge(inputs []Input) int64 {
	lowest, highest, active := int64(0), record.NoTime, false
	for _, in := range inputs {
		highest = max(highest, in.At)
		if !in.Idle && (!active || in.At < lowest) {
			lowest, active = in.At, true
		}
	}
	if !active {
		return highest
	}
	return lowest
}

// Silent tells whether all TopicPartitions of a model were idle in the epoch that
// left this state. Before any was seen they were not.
func Silent(s record.Watermark) bool {
	for _, p := range s.Partitions {
		if !p.Idle {
			return false
		}
	}
	return len(s.Partitions) > 0
}
