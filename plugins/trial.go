package plugins

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/sdk/abi"
)

// fixtures runs the plugin's fixtures, those that are expected beside them and
// generated rows, on both engines.
func (j *judgement) fixtures(ctx context.Context, compiled, interpreted *wasm.Plugin) {
	j.running = CheckFixtures
	declared, err := ParseFixtures(j.describe.Fixtures)
	if err != nil {
		j.fail(CheckFixtures, err)
		return
	}
	declared = append(declared, j.expect.Fixtures...)
	ran := 0
	for i, f := range append(declared, j.samples()...) {
		if f.Name == "" {
			f.Name = fmt.Sprintf("number %d", i+1)
		}
		ok, err := j.try(ctx, f, compiled, interpreted)
		if err != nil {
			j.fail(j.running, fmt.Errorf("fixture %q: %w", f.Name, err))
			return
		}
		if ok {
			ran++
		}
	}
	switch {
	case len(declared) > 0:
		j.pass(CheckFixtures, fmt.Sprintf("%d", len(declared)))
	default:
		j.skip(CheckFixtures, "the plugin has none, and none are given")
	}
	if ran == 0 {
		j.skip(CheckInstances, "there are no rows to try: give fixtures")
		j.skip(CheckEngines, "there are no rows to try: give fixtures")
		return
	}
	j.pass(CheckInstances, "")
	j.pass(CheckEngines, "")
}

// try runs a fixture. It tells whether it was run: generated rows are not where
// the plugin wants a config.
func (j *judgement) try(ctx context.Context, f Fixture, compiled, interpreted *wasm.Plugin) (ran bool, err error) {
	j.running = CheckFixtures
	batch, err := f.batch(j.describe)
	if err != nil {
		return false, err
	}
	defer batch.Release()
	fresh, err := j.askBoth(ctx, compiled, f, batch)
	switch {
	case f.generated && (errors.Is(err, wasm.ErrRefusedConfig) || errors.Is(err, wasm.ErrMismatch)):
		return false, nil
	case err != nil:
		return false, err
	}
	if err := f.check(fresh); err != nil {
		j.running = CheckFixtures
		return false, err
	}
	slow, err := j.askBoth(ctx, interpreted, f, batch)
	if err != nil {
		return false, err
	}
	j.running = CheckEngines
	if text := fresh.difference(slow); text != "" {
		return false, fmt.Errorf("compiled it answers otherwise than interpreted: %s; report this with the module, since one of the two is wrong", text)
	}
	return true, nil
}

// askBoth asks a fresh instance, and then compares what it answers when it was
// used: for the same rows, and for others before.
func (j *judgement) askBoth(ctx context.Context, p *wasm.Plugin, f Fixture, batch arrow.RecordBatch) (fresh answer, err error) {
	j.running = CheckFixtures
	t, err := p.Open(ctx, wasm.Init{Pipeline: "verify", Model: "verify", Config: j.configOf(f), Input: batch.Schema(), OnError: wasm.Stop})
	if err != nil {
		return answer{}, err
	}
	defer func() { err = errors.Join(err, t.Close(ctx)) }()
	if fresh, err = ask(ctx, t, batch); err != nil {
		return answer{}, err
	}
	j.running = CheckInstances
	for _, before := range []arrow.RecordBatch{batch, batch.NewSlice(batch.NumRows()/2, batch.NumRows()), batch.NewSlice(0, 0)} {
		if _, err := ask(ctx, t, before); err != nil {
			return answer{}, err
		}
		used, err := ask(ctx, t, batch)
		if err != nil {
			return answer{}, err
		}
		if text := fresh.difference(used); text != "" {
			return answer{}, fmt.Errorf("an instance that was used answers otherwise than a fresh one: %s; keep nothing between batches, and do not depend on the order of a map", text)
		}
	}
	return fresh, nil
}

func (j *judgement) configOf(f Fixture) []byte {
	if f.Config != nil {
		return f.Config
	}
	return j.expect.Config
}

// check compares an answer with what the fixture wants.
func (f Fixture) check(a answer) error {
	if f.generated {
		return nil
	}
	if a.fate != nil {
		return a.fate
	}
	if f.Want == nil && f.Errors == nil {
		return nil
	}
	if f.Want != nil {
		if err := f.checkRows(a); err != nil {
			return err
		}
	}
	return f.checkErrors(a)
}

func (f Fixture) checkRows(a answer) error {
	want, err := rowsOf(a.main, *f.Want)
	if err != nil {
		return fmt.Errorf("want: %w", err)
	}
	defer want.Release()
	columns, err := columnsOf(want)
	if err != nil {
		return fmt.Errorf("want: %w", err)
	}
	for _, got := range a.Outputs {
		if got.Stream != abi.StreamMain {
			continue
		}
		if got.Rows != want.NumRows() {
			return fmt.Errorf("got %d rows, want %d", got.Rows, want.NumRows())
		}
		for i, c := range columns {
			if row, x, y := firstDifference(got.Columns[i].Values, c.Values); row >= 0 {
				return fmt.Errorf("column %q, row %d: got %s, want %s", c.Name, row, x, y)
			}
		}
	}
	return nil
}

func (f Fixture) checkErrors(a answer) error {
	for i := range max(len(a.Errors), len(f.Errors)) {
		switch {
		case i >= len(a.Errors):
			return fmt.Errorf("row %d: got no row error, want %q", f.Errors[i].Row, f.Errors[i].Code)
		case i >= len(f.Errors):
			return fmt.Errorf("row %d: got the row error %q: %s, want none", a.Errors[i].Row, a.Errors[i].Code, a.Errors[i].Message)
		}
		got, want := a.Errors[i], f.Errors[i]
		if got.Row != want.Row || got.Code != want.Code || want.Column != "" && got.Column != want.Column {
			return fmt.Errorf("got the row error %q of row %d, column %q: %s; want %q of row %d, column %q",
				got.Code, got.Row, got.Column, got.Message, want.Code, want.Row, want.Column)
		}
	}
	return nil
}
