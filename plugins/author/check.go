package author

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/calvelake/calve/plugins/trial"
	"github.com/calvelake/calve/plugins/wasm"
)

// CaseResult is what came of a case.
type CaseResult struct {
	Name        string             `json:"name"`
	File        string             `json:"file,omitempty"`
	Rows        int                `json:"rows"` // that went in
	Updated     bool               `json:"updated,omitempty"`
	Differences []trial.Difference `json:"differences,omitempty"` // none: it passed
}

func resultOf(c Case) CaseResult {
	return CaseResult{Name: c.Name, File: c.File, Rows: len(c.Input.Rows)}
}

// maxDifferences bounds what is told of one case.
const maxDifferences = 20

// Check runs cases. A case that cannot be run at all is a result too; the error
// is the host's. Each case runs on a fresh instance and again on the same one,
// which must not matter.
func (m *Module) Check(ctx context.Context, cases []Case) ([]CaseResult, error) {
	results := make([]CaseResult, len(cases))
	for i, c := range cases {
		results[i] = resultOf(c)
		a, err := runCase(ctx, m.plugin, c)
		var unstable *trial.UnstableError
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.As(err, &unstable):
			results[i].Differences = append(c.Explain(err), c.Compare(a)...)
		case err != nil:
			results[i].Differences = c.Explain(err)
		case c.Refused == "" && !c.Wants():
			results[i].Differences = []trial.Difference{{Row: -1, Message: "the case wants nothing: say what should come of its rows, or let --update write what the plugin answers"}}
		default:
			results[i].Differences = c.Compare(a)
		}
		if all := results[i].Differences; len(all) > maxDifferences {
			left := trial.Difference{Row: -1, Message: fmt.Sprintf("and %d more", len(all)-maxDifferences)}
			results[i].Differences = append(all[:maxDifferences:maxDifferences], left)
		}
	}
	return results, nil
}

// Update writes what the plugin answers into the files of cases, as far as it
// is not what they want already.
func (m *Module) Update(ctx context.Context, cases []Case) ([]CaseResult, error) {
	results := make([]CaseResult, len(cases))
	for i, c := range cases {
		results[i] = resultOf(c)
		a, err := runCase(ctx, m.plugin, c)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			// A refusal and a mistake in the case are an author's to write down.
			results[i].Differences = c.Explain(err)
			continue
		}
		if c.Wants() && len(c.Compare(a)) == 0 {
			continue
		}
		c.Take(a)
		text, err := c.Text()
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(c.File, text, 0o644); err != nil {
			return nil, fmt.Errorf("write case: %w", err)
		}
		results[i].Updated = true
	}
	return results, nil
}

func runCase(ctx context.Context, p *wasm.Plugin, c Case) (a trial.Answer, err error) {
	rows, err := c.Rows(p.Describe())
	if err != nil {
		return trial.Answer{}, err
	}
	defer rows.Release()
	s, err := trial.Open(ctx, p, c.Setup(rows))
	if err != nil {
		return trial.Answer{}, err
	}
	defer func() { err = errors.Join(err, s.Close(ctx)) }()
	if a, err = s.Ask(ctx, rows); err != nil {
		return trial.Answer{}, err
	}
	return a, s.AskAgain(ctx, rows, a)
}
