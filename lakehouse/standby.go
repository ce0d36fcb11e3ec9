package lakehouse

import (
	"context"
	"fmt"
	"time"
)

// Standby says when a second process takes over a pipeline.
type Standby struct {
	Silence time.Duration // of the log, after which its writer is taken for dead
	Every   time.Duration // how often to look
}

// Wait returns when the log has been silent for long enough: an idle writer
// appends heartbeats, so it is dead, cut off from the store, or hung. Should it
// wake up nevertheless, it finds our record at its next number and stops
// (invariant 3): the silence decides when to try, never who wins.
func (l *Log) Wait(ctx context.Context, s Standby) error {
	newest, err := l.Newest(ctx)
	if err != nil {
		return fmt.Errorf("stand by: %w", err)
	}
	for since := time.Now(); time.Since(since) < s.Silence; {
		timer := time.NewTimer(s.Every)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("stand by: %w", ctx.Err())
		case <-timer.C:
		}
		now, err := l.Newest(ctx)
		if err != nil {
			// A store that is out of reach for us says nothing of the writer.
			l.logger.Warn("epoch log not read while standing by", "error", err)
			since = time.Now()
			continue
		}
		if now != newest {
			newest, since = now, time.Now()
		}
	}
	l.logger.Info("the log is silent, taking over", "epoch", newest, "silence", s.Silence)
	return nil
}
