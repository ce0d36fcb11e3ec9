package daemon

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/record"
)

// Progress returns a watcher that writes a line about a running pipeline to a
// terminal, every interval, over the one before.
func Progress(out io.Writer, interval time.Duration) func(context.Context, *Running) {
	return func(ctx context.Context, running *Running) {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		var before pipeline.Stats
		began := time.Now()
		last := began
		for {
			select {
			case <-ctx.Done():
				now := running.Pipeline.Stats()
				show(out, summary(now, time.Since(began))+"\n")
				return
			case at := <-ticker.C:
				now := running.Pipeline.Stats()
				rate := float64(now.Records-before.Records) / at.Sub(last).Seconds()
				show(out, line(now, rate, lag(ctx, running, now)))
				before, last = now, at
			}
		}
	}
}

// show writes over the line before. A terminal that is gone is no reason to
// stop a pipeline.
func show(out io.Writer, text string) { _, _ = fmt.Fprintf(out, "\r\x1b[K%s", text) }

func line(s pipeline.Stats, rate float64, lag int64) string {
	behind := "?"
	if lag >= 0 {
		behind = fmt.Sprint(lag)
	}
	commit := "none yet"
	if !s.LastCommit.IsZero() {
		commit = fmt.Sprintf("epoch %d, %s ago", s.Last, time.Since(s.LastCommit).Round(time.Second))
	}
	return fmt.Sprintf("%d events  %.0f/s  lag %s  %d rows  %d dead letters  last commit: %s", s.Records, rate, behind, s.Rows, s.Letters, commit)
}

func summary(s pipeline.Stats, took time.Duration) string {
	return fmt.Sprintf("%d events in %s: %d rows, %d dead letters, %d filtered, %d epochs, %d files",
		s.Records, took.Round(100*time.Millisecond), s.Rows, s.Letters, s.Filtered, s.Epochs, s.Files)
}

// lag is how many offsets the broker has beyond what was read, -1 if unknown.
func lag(ctx context.Context, running *Running, s pipeline.Stats) int64 {
	topics, err := readTopics(ctx, running.Broker, running.Topics)
	if err != nil {
		return -1
	}
	at := map[record.TopicPartition]int64{}
	for _, position := range s.Positions {
		at[position.TopicPartition] = position.Offset
	}
	var behind int64
	for _, t := range topics {
		for _, partition := range t.Partitions {
			read, ok := at[record.TopicPartition{Topic: t.Name, Partition: partition.ID}]
			if !ok {
				read = partition.Start
			}
			behind += max(0, partition.End-read)
		}
	}
	return behind
}
