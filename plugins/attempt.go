package plugins

import (
	"context"
	"errors"
	"fmt"

	"github.com/calvelake/calve/plugins/trial"
	"github.com/calvelake/calve/plugins/wasm"
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
	all, err := j.attempts(declared)
	if err != nil {
		j.fail(CheckFixtures, err)
		return
	}
	ran := 0
	for _, a := range all {
		ok, err := j.try(ctx, a, compiled, interpreted)
		a.rows.Release()
		if err != nil {
			j.fail(j.running, fmt.Errorf("fixture %q: %w", a.Name, err))
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

// attempt is rows that the plugin is to be run on.
type attempt struct {
	Fixture
	setup     trial.Setup
	rows      trial.Rows
	generated bool // no author wrote them
}

// How many rows are generated. In one batch a column may be null throughout.
const (
	generatedBatches = 3
	generatedRows    = 64
)

// attempts is the rows of fixtures, and generated ones of the columns that the
// plugin says it needs: so a plugin without fixtures is run too. What it makes
// of those is its own business, as long as it always makes the same.
func (j *judgement) attempts(fixtures []Fixture) ([]attempt, error) {
	var all []attempt
	for i, f := range fixtures {
		if f.Name == "" {
			f.Name = fmt.Sprintf("number %d", i+1)
		}
		if f.Config == nil {
			f.Config = j.expect.Config
		}
		rows, err := f.Rows(j.describe)
		if err != nil {
			return nil, fmt.Errorf("fixture %q: %w", f.Name, err)
		}
		all = append(all, attempt{Fixture: f, setup: f.Setup(rows), rows: rows})
	}
	if len(j.describe.Input.Columns) == 0 {
		return all, nil
	}
	setups, err := trial.Setups(j.describe, nil)
	if err != nil {
		return nil, err
	}
	random := trial.NewRandom(1, fixtures)
	for range generatedBatches {
		generated := attempt{setup: setups[0], generated: true}
		generated.Name, generated.setup.Config = "generated rows", j.expect.Config
		generated.rows = random.Rows(j.describe.Kind, generated.setup, generatedRows)
		all = append(all, generated)
	}
	return all, nil
}

// try runs a fixture. It tells whether it was run: generated rows are not where
// the plugin wants a config, and a fixture may want its config refused.
func (j *judgement) try(ctx context.Context, a attempt, compiled, interpreted *wasm.Plugin) (ran bool, err error) {
	a.setup.Stop = true
	fresh, err := j.askBoth(ctx, compiled, a)
	switch {
	case a.generated && (errors.Is(err, wasm.ErrRefusedConfig) || errors.Is(err, wasm.ErrMismatch)):
		return false, nil
	case err != nil && a.Refused != "":
		return false, firstOf(a.Explain(err))
	case err != nil:
		return false, err
	}
	j.running = CheckFixtures
	if err := a.judge(fresh); err != nil {
		return false, err
	}
	slow, err := j.askBoth(ctx, interpreted, a)
	if err != nil {
		return false, err
	}
	j.running = CheckEngines
	if d, ok := fresh.Difference(slow); !ok {
		return false, fmt.Errorf("compiled it answers otherwise than interpreted: %s; report this with the module, since one of the two is wrong", d)
	}
	return true, nil
}

// judge compares an answer with what the fixture wants.
func (a attempt) judge(got trial.Answer) error {
	switch {
	case a.generated:
		return nil
	case got.Fate != nil:
		return got.Fate
	case !a.Wants():
		return nil
	}
	return firstOf(a.Compare(got))
}

// firstOf is an error of the first of differences; nil without any.
func firstOf(differences []trial.Difference) error {
	if len(differences) == 0 {
		return nil
	}
	return errors.New(differences[0].String())
}

// askBoth asks a fresh instance, and then compares what it answers when it was
// used: for the same rows, and for others before.
func (j *judgement) askBoth(ctx context.Context, p *wasm.Plugin, a attempt) (fresh trial.Answer, err error) {
	j.running = CheckFixtures
	s, err := trial.Open(ctx, p, a.setup)
	if err != nil {
		return fresh, err
	}
	defer func() { err = errors.Join(err, s.Close(ctx)) }()
	if fresh, err = s.Ask(ctx, a.rows); err != nil {
		return fresh, err
	}
	j.running = CheckInstances
	if err := s.AskAgain(ctx, a.rows, fresh); err != nil {
		return fresh, err
	}
	for _, from := range []int{a.rows.Len() / 2, a.rows.Len()} { // the last are no rows at all
		others := a.rows.Slice(from, a.rows.Len())
		_, err := s.Ask(ctx, others)
		others.Release()
		if err != nil {
			return fresh, err
		}
		again, err := s.Ask(ctx, a.rows)
		if err != nil {
			return fresh, err
		}
		if d, ok := fresh.Difference(again); !ok {
			return fresh, &trial.UnstableError{Reason: trial.ErrUnstable, Difference: d}
		}
	}
	return fresh, nil
}
