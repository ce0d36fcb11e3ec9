package kafka

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"time"
)

// RecordedEvent is a record whose key and value are JSON, as a line of a file
// keeps it. A key or value that is null is a null of Kafka: a tombstone has one.
type RecordedEvent struct {
	Timestamp int64           `json:"timestamp"` // ms since 1970 UTC
	Key       json.RawMessage `json:"key"`
	Value     json.RawMessage `json:"value"`
}

// Recorded reads one RecordedEvent a line, for Produce. The bytes of keys and
// values are those of the line.
func Recorded(r io.Reader) iter.Seq2[ProduceRecord, error] {
	return func(yield func(ProduceRecord, error) bool) {
		number := 0
		for line, err := range Lines(r, "") {
			number++
			if err != nil {
				yield(ProduceRecord{}, err)
				return
			}
			event, err := parseEvent(line.Value)
			if err != nil {
				err = fmt.Errorf("line %d: %w", number, err)
			}
			if !yield(event, err) || err != nil {
				return
			}
		}
	}
}

func parseEvent(line []byte) (ProduceRecord, error) {
	var event struct {
		RecordedEvent
		Timestamp *int64 `json:"timestamp"`
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&event); err != nil {
		return ProduceRecord{}, fmt.Errorf(`read recorded event: %w; expected {"timestamp": ms, "key": …, "value": …}`, err)
	}
	if event.Timestamp == nil || event.Key == nil || event.Value == nil {
		return ProduceRecord{}, fmt.Errorf(`read recorded event: expected {"timestamp": ms, "key": …, "value": …}, found %.80s`, line)
	}
	return ProduceRecord{Key: orNull(event.Key), Value: orNull(event.Value), Timestamp: time.UnixMilli(*event.Timestamp)}, nil
}

func orNull(text json.RawMessage) []byte {
	if string(text) == "null" {
		return nil
	}
	return text
}
