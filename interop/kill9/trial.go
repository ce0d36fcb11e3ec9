//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"
)

const (
	// firstLife is the life that kills are spread over until it has been measured:
	// about as long as it takes to make the tables.
	firstLife = 500 * time.Millisecond
	// A life ends with this epoch: each step of an epoch is then hit several times as
	// often as the start.
	lifeEpochs       = 4
	minLife, maxLife = time.Second, 3 * time.Second
	measureLimit     = time.Minute
	finishLimit      = 2 * time.Minute
	finishAttempts   = 3
	pollLogEvery     = 20 * time.Millisecond
)

// trial starts writers and kills them.
type trial struct {
	options   options
	life      time.Duration
	measured  bool
	kills     int
	starts    int
	fenced    int
	freezes   int
	completed int // epochs that a dead writer had recorded and its successor committed
	writers   map[int]*writer
}

func newTrial(o options) *trial {
	return &trial{options: o, life: firstLife, writers: map[int]*writer{}}
}

// run plays rounds until there were enough kills.
func (t *trial) run(ctx context.Context, p *plan) error {
	defer t.killAll()
	for number := 1; t.kills < t.options.kills; number++ {
		if !t.measured && t.kills >= t.options.kills/10 {
			if err := t.measure(ctx); err != nil {
				return err
			}
		}
		if err := t.play(ctx, p.next()); err != nil {
			return fmt.Errorf("round %d: %w", number, err)
		}
	}
	return nil
}

// measure lets a writer live, to see how long a start and some epochs take here.
func (t *trial) measure(ctx context.Context) error {
	began := time.Now()
	if err := t.start(ctx, 0); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, measureLimit)
	defer cancel()
	w := t.writers[0]
	for w.says("epoch committed") < lifeEpochs {
		select {
		case <-w.done:
			return t.end(0)
		case <-bounded.Done():
			return fmt.Errorf("a writer commits no %d epochs: %w\n%s", lifeEpochs, bounded.Err(), w.tail())
		case <-time.After(pollLogEvery):
		}
	}
	t.life, t.measured = min(max(time.Since(began), minLife), maxLife), true
	fmt.Printf("kill9: a life is %d ms\n", t.life.Milliseconds())
	return t.end(0)
}

func (t *trial) play(ctx context.Context, r round) error {
	for _, s := range r {
		if err := sleep(ctx, time.Duration(s.wait*float64(t.life))); err != nil {
			return err
		}
		if err := t.act(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (t *trial) act(ctx context.Context, s step) error {
	switch s.action {
	case start:
		return t.start(ctx, s.writer)
	case freeze:
		t.freezes++
		return t.writers[s.writer].signal(syscall.SIGSTOP)
	case thaw:
		return t.writers[s.writer].signal(syscall.SIGCONT)
	default:
		return t.end(s.writer)
	}
}

func (t *trial) start(ctx context.Context, number int) error {
	t.starts++
	w, err := startWriter(ctx, t.options, fmt.Sprintf("writer-%05d", t.starts))
	if err != nil {
		return err
	}
	t.writers[number] = w
	return nil
}

// end kills a writer. One that has ended by then was fenced, by a rival or by the
// last request of a dead writer that the store took late; nothing else is a reason to
// end.
func (t *trial) end(number int) error {
	w := t.writers[number]
	delete(t.writers, number)
	if err := w.kill(); err != nil {
		return err
	}
	t.completed += w.says("completing epoch that was recorded before")
	switch {
	case w.killed():
		t.kills++
	case w.code() == exitFenced:
		t.fenced++
	default:
		return fmt.Errorf("a writer ended by itself with exit code %d\n%s", w.code(), w.tail())
	}
	return nil
}

func (t *trial) killAll() {
	for number, w := range t.writers {
		if err := w.kill(); err != nil {
			fmt.Fprintln(os.Stderr, "kill9:", err)
		}
		delete(t.writers, number)
	}
}

// finish lets a writer read all that there is. It may be fenced by a request of a dead
// writer that arrives late, and is then to be run again.
func (t *trial) finish(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		w, err := startWriter(ctx, t.options, fmt.Sprintf("finish-%d", attempt), "--once")
		if err != nil {
			return err
		}
		if err := w.wait(ctx, finishLimit); err != nil {
			return err
		}
		t.completed += w.says("completing epoch that was recorded before")
		if w.code() == 0 {
			return nil
		}
		if w.code() != exitFenced || attempt == finishAttempts {
			return fmt.Errorf("the last run ended with exit code %d\n%s", w.code(), w.tail())
		}
		t.fenced++
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("stopped: %w", ctx.Err())
	case <-time.After(d):
		return nil
	}
}
