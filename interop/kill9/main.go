//go:build unix

// Command kill9 kills the real calve with SIGKILL, over and over, while a producer
// writes, and then proves that every record is in the tables once.
//
//	kill9 -calve PATH -project DIR -brokers HOST:PORT -engines PATH -count FILE
//	      -logs DIR [-kills N] [-seed N] [-rate N] [-topic NAME] [-timeout D]
//
// The project is the one beside this file, on a broker and a store that run; its
// variables are in the environment. Kills fall anywhere in a writer's life, most of
// them on a writer alone, some while a second one fights it for the pipeline, and some
// on one that was frozen (SIGSTOP), slept through its successor's epochs and woke up.
// The end is a clean `calve run --once`, `calve verify`, and a count by DuckDB, which
// must find what the producer wrote. The seed decides what is done and when, not how
// the machine schedules it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/calvelake/calve/runtime/kafka"
)

// options are the command line.
type options struct {
	calve, project, logs string // paths
	brokers, topic       string
	engines, count       string // the launcher of Python with engines, and the program that counts
	kills                int
	rate                 int // records a second
	seed                 uint64
	timeout              time.Duration
}

func main() {
	o := options{}
	flag.StringVar(&o.calve, "calve", "", "the calve binary")
	flag.StringVar(&o.project, "project", "", "the project's folder")
	flag.StringVar(&o.brokers, "brokers", "", "host:port of the broker")
	flag.StringVar(&o.topic, "topic", "kill9.events", "the topic that the project reads; it is made")
	flag.StringVar(&o.engines, "engines", "", "the program that runs Python with the engines at hand")
	flag.StringVar(&o.count, "count", "", "the Python program that counts with DuckDB")
	flag.StringVar(&o.logs, "logs", "", "folder for the writers' logs")
	flag.IntVar(&o.kills, "kills", 100, "kills")
	flag.IntVar(&o.rate, "rate", 1000, "records that the producer writes a second")
	flag.Uint64Var(&o.seed, "seed", 0, "of the plan; 0 takes one from the clock")
	flag.DurationVar(&o.timeout, "timeout", 0, "of everything; 0 is 3 minutes and 3 seconds a kill")
	flag.Parse()
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano())
	}
	if o.timeout == 0 {
		o.timeout = 3*time.Minute + time.Duration(o.kills)*3*time.Second
	}
	fmt.Printf("kill9: seed %d, %d kills\n", o.seed, o.kills)
	// Every process that is started here ends with this context.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	if err := run(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "kill9: seed %d: %v\n", o.seed, err)
		os.Exit(1)
	}
}

// run is the whole of it: produce and kill, then the clean end and the proof.
func run(ctx context.Context, o options) error {
	started := time.Now()
	producer, err := startProducer(ctx, o)
	if err != nil {
		return err
	}
	t := newTrial(o)
	if err := errors.Join(t.run(ctx, newPlan(rand.New(rand.NewPCG(o.seed, 0)))), producer.stop()); err != nil {
		return err
	}
	killed := time.Since(started)
	if err := t.finish(ctx); err != nil {
		return err
	}
	proof, err := verify(ctx, o)
	if err != nil {
		return err
	}
	counted, err := countWithDuckDB(ctx, o)
	if err != nil {
		return err
	}
	fmt.Printf("kill9: %d kills (%d of %d writers were fenced), %d freezes, %d epochs (%d begun by a dead writer and finished by the next), %d records, %.0f s of killing, %.0f s in all\n",
		t.kills, t.fenced, t.starts, t.freezes, proof.Epochs, t.completed, producer.written.Records, killed.Seconds(), time.Since(started).Seconds())
	return errors.Join(
		checkProgress(t, proof.Epochs),
		checkProof(producer.written, proof),
		checkCount(producer.written, counted),
	)
}

// startProducer returns when the topic is there and the first record is on its way.
func startProducer(ctx context.Context, o options) (*producer, error) {
	client, err := kafka.Open(ctx, kafka.Config{Brokers: []string{o.brokers}}, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	p := newProducer(o.topic, o.rate)
	go func() {
		defer client.Close()
		p.run(ctx, client)
	}()
	select {
	case <-p.begun:
		return p, nil
	case <-p.ended:
		return nil, p.stop()
	}
}
