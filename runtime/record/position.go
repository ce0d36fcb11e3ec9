package record

import "fmt"

// TopicPartition names one partition of one Kafka topic. (Iceberg's partitions
// are always called partition values or partition spec in this code base.)
type TopicPartition struct {
	Topic     string
	Partition int32
}

func (tp TopicPartition) String() string { return fmt.Sprintf("%s/%d", tp.Topic, tp.Partition) }

// Compare orders by topic, then partition.
func (tp TopicPartition) Compare(other TopicPartition) int {
	if tp.Topic != other.Topic {
		if tp.Topic < other.Topic {
			return -1
		}
		return 1
	}
	return int(tp.Partition) - int(other.Partition)
}

// Origin identifies the topic a position belongs to beyond its name: a topic
// or cluster that was deleted and made again counts its offsets from zero, and
// a position without these two ids would silently skip its first records
// (invariant 12).
type Origin struct {
	ClusterID string // as the broker reports it
	TopicID   string // KIP-516 topic id, in Kafka's base64url text form
}

// Position is a place in a topic: the next record to read of one
// TopicPartition of one topic incarnation.
type Position struct {
	Origin
	TopicPartition
	Offset      int64 // next offset to deliver
	LeaderEpoch int32 // KIP-320 leader epoch of the last delivered record; -1 if none was
}

func (p Position) String() string { return fmt.Sprintf("%s@%d", p.TopicPartition, p.Offset) }
