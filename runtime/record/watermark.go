package record

import "math"

// NoTime stands for no event time at all: before the first event.
const NoTime = int64(math.MinInt64)

// Watermark is how far a model's event time has come after an epoch, and all
// that the next one depends on. It is part of the epoch record. Times are µs
// since 1970-01-01 UTC.
type Watermark struct {
	At         int64                `json:"at"`   // NoTime before there is one
	Seen       int64                `json:"seen"` // what operators of the epoch saw: At of the record before
	Partitions []WatermarkPartition `json:"partitions,omitempty"`
}

// WatermarkPartition is what one TopicPartition contributes.
type WatermarkPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Newest    int64  `json:"newest"`   // event time; NoTime if it has delivered none
	HeardAt   int64  `json:"heard_at"` // the end of the epoch in which it delivered last
	Idle      bool   `json:"idle,omitempty"`
}
