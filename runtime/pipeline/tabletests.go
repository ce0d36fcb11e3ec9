package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/calvelake/calve/runtime/contract"
	"github.com/calvelake/calve/runtime/integrity"
)

// TableTest makes of a KeyedModel a data test over the rows of other models, which
// it reads as keyed models do. It has no rows of its own, and no part in what
// becomes of records.
type TableTest struct {
	Model    string // the model that is tested
	Name     string // of the test
	Severity contract.Severity
}

// TableTester is the Operator of a TableTest.
type TableTester interface {
	Operator
	// Against is called after End, which returned no changes: it says what the
	// epoch has that is against the test. whole tells that all rows that its models
	// have were taken.
	Against(whole bool) (integrity.Findings, error)
}

// testTables runs the tests over tables when the rows of all models are known, and
// before anyone sees them.
func (p *Pipeline) testTables(ctx context.Context, e *epoch) error {
	for i := range p.keyed {
		k := &p.keyed[i]
		if k.Test == nil {
			continue
		}
		if _, err := k.Operator.End(ctx, p.end(k)); err != nil {
			return fmt.Errorf("model %s: data test %s: %w", k.Test.Model, k.Test.Name, err)
		}
		tester, ok := k.Operator.(TableTester)
		if !ok {
			return fmt.Errorf("BUG: data test %s has an operator that tests nothing", k.Name)
		}
		found, err := tester.Against(k.behind == nil && !p.inputBehind(k))
		if err != nil {
			return fmt.Errorf("model %s: data test %s: %w", k.Test.Model, k.Test.Name, err)
		}
		if err := e.judge(k.Test, found); err != nil {
			return err
		}
	}
	return nil
}

// inputBehind tells whether a model that is read has not made all of its rows yet.
func (p *Pipeline) inputBehind(k *keyed) bool {
	for i := range p.keyed {
		if other := &p.keyed[i]; (other.behind != nil || other.rework != nil) && slices.Contains(k.Inputs, other.Name) {
			return true
		}
	}
	return false
}

// judge does what the test's severity says.
func (e *epoch) judge(t *TableTest, found integrity.Findings) error {
	if found.Rows == 0 {
		return nil
	}
	message := fmt.Sprintf("data test %s: %s", t.Name, found.First)
	if t.Severity == contract.Error {
		return fmt.Errorf("%w: model %s: %d rows: the first: %s; correct the source or the model, or give the test severity warn", ErrTestFailed, t.Model, found.Rows, message)
	}
	e.warnings[warned{t.Model, t.Name}] = Warning{Test: t.Name, Rows: found.Rows, Message: message, Keyed: true}
	return nil
}
