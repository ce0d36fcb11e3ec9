//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/calvelake/calve/lakehouse"
)

const (
	verifyLimit = 2 * time.Minute
	countLimit  = 3 * time.Minute
	serveLimit  = 30 * time.Second
)

// verify runs `calve verify`. Tables that are not proven are no error here.
func verify(ctx context.Context, o options) (*lakehouse.Verification, error) {
	proof := &lakehouse.Verification{}
	err := output(ctx, verifyLimit, proof, o.calve, "verify", "--project", o.project, "--output", "json")
	if err != nil && len(proof.CounterExamples) == 0 {
		return nil, err
	}
	return proof, nil
}

// output runs a program and decodes the JSON that it prints, as far as it does.
func output(ctx context.Context, limit time.Duration, into any, program string, arguments ...string) error {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(bounded, program, arguments...)
	cmd.WaitDelay = time.Second // a child of the program may hold its output open
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	ran := cmd.Run()
	decoded := json.Unmarshal(out.Bytes(), into)
	if ran != nil {
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), arguments[0], ran, problems.String())
	}
	if decoded != nil {
		return fmt.Errorf("read what %s %s printed: %w", filepath.Base(program), arguments[0], decoded)
	}
	return nil
}

// count is what DuckDB finds of one model.
type count struct {
	Rows          int64 `json:"rows"`
	Positions     int64 `json:"positions"` // distinct (kafka_partition, kafka_offset)
	Numbers       int64 `json:"numbers"`   // distinct seq
	Sum           int64 `json:"sum"`       // of seq
	Dead          int64 `json:"dead"`      // dead letters
	DeadPositions int64 `json:"dead_positions"`
	Both          int64 `json:"both"` // positions that have rows and dead letters

	// Of sessions: how many there are, those that SQL finds in the events and the
	// table lacks, those in the table alone, and keys that are there twice.
	Sessions int64 `json:"sessions"`
	Missing  int64 `json:"missing"`
	Wrong    int64 `json:"wrong"`
	Doubled  int64 `json:"doubled"`
}

// sessions is the model that keeps state.
const sessions = "visits"

// countWithDuckDB serves the catalog and lets DuckDB read the tables through it.
func countWithDuckDB(ctx context.Context, o options) (counted map[string]count, err error) {
	served, stop := context.WithCancel(ctx)
	defer stop()
	serve := exec.CommandContext(served, o.calve, "catalog", "serve", "--project", o.project, "--listen", "127.0.0.1:0")
	log, err := os.Create(filepath.Join(o.logs, "serve.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	serve.Stderr = log
	if err := serve.Start(); err != nil {
		return nil, fmt.Errorf("serve the catalog: %w", err)
	}
	defer func() {
		stop()
		_ = serve.Wait() // it was killed
	}()
	uri, err := address(served, log.Name())
	if err != nil {
		return nil, err
	}
	err = output(ctx, countLimit, &counted, o.engines, o.count, "--catalog", uri)
	return counted, err
}

var uriPattern = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+`)

// address waits until the server says where it listens.
func address(ctx context.Context, log string) (string, error) {
	bounded, cancel := context.WithTimeout(ctx, serveLimit)
	defer cancel()
	for {
		text, err := os.ReadFile(log)
		if err != nil {
			return "", err
		}
		if uri := uriPattern.Find(text); uri != nil {
			return string(uri), nil
		}
		select {
		case <-bounded.Done():
			return "", fmt.Errorf("serve the catalog: %w: %s", bounded.Err(), text)
		case <-time.After(pollLogEvery):
		}
	}
}

// checkProgress makes sure that the kills hit writers at work: it would prove little
// if they died before they had committed anything.
func checkProgress(t *trial, epochs int64) error {
	if least := int64(t.kills) / 4; epochs < least {
		return fmt.Errorf("%d epochs after %d kills, expected at least %d: the writers die before they do anything", epochs, t.kills, least)
	}
	return nil
}

// checkProof compares what calve verify proves with what was written.
func checkProof(w written, proof *lakehouse.Verification) error {
	var problems []error
	if !proof.Proven {
		problems = append(problems, errors.New("calve verify: not proven"))
	}
	for _, c := range proof.CounterExamples {
		problems = append(problems, fmt.Errorf("calve verify: %s", c))
	}
	if len(proof.Models) != len(w.Models)+1 {
		problems = append(problems, fmt.Errorf("calve verify: %d models, want %d", len(proof.Models), len(w.Models)+1))
	}
	for _, m := range proof.Models {
		want := w.Models[m.Model]
		if m.Model == sessions { // counted in rows of its input
			problems = append(problems, differs("calve verify", m.Model, "rows of events", m.WithRows, w.Models["events"].Rows))
			continue
		}
		problems = append(problems,
			differs("calve verify", m.Model, "delivered", m.Delivered, w.Records),
			differs("calve verify", m.Model, "rows", m.Rows, want.Rows),
			differs("calve verify", m.Model, "dead letters", m.DeadLetters, want.Dead))
	}
	return errors.Join(problems...)
}

// checkCount compares what DuckDB counts with what was written.
func checkCount(w written, counted map[string]count) error {
	var problems []error
	for _, model := range slices.Sorted(maps.Keys(w.Models)) {
		want := w.Models[model]
		c, ok := counted[model]
		if !ok {
			problems = append(problems, fmt.Errorf("duckdb: no count of %s", model))
			continue
		}
		problems = append(problems,
			differs("duckdb", model, "rows and dead letters", c.Rows+c.Dead, w.Records),
			differs("duckdb", model, "rows", c.Rows, want.Rows),
			differs("duckdb", model, "distinct positions", c.Positions, want.Rows),
			differs("duckdb", model, "distinct sequence numbers", c.Numbers, want.Rows),
			differs("duckdb", model, "sum of the sequence numbers", c.Sum, want.Sum),
			differs("duckdb", model, "distinct positions of dead letters", c.DeadPositions, want.Dead),
			differs("duckdb", model, "positions with rows and dead letters", c.Both, 0))
	}
	c, ok := counted[sessions]
	if !ok || c.Sessions == 0 {
		problems = append(problems, fmt.Errorf("duckdb: no sessions in %s", sessions))
	}
	problems = append(problems,
		differs("duckdb", sessions, "sessions that are not in the table", c.Missing, 0),
		differs("duckdb", sessions, "sessions that are in the table alone", c.Wrong, 0),
		differs("duckdb", sessions, "keys that are there twice", c.Doubled, 0))
	return errors.Join(problems...)
}

func differs(who, model, what string, got, want int64) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("%s: %s: %d %s, the producer's are %d", who, model, got, what, want)
}
