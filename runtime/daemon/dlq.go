package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/user"
	"time"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/project"
)

// DeadLetters are a project's dead letters. Reading them needs the catalog and
// the warehouse, not Kafka.
type DeadLetters struct {
	project *project.Project
	opened  *Lakehouse // nil if the project never ran
	lake    *lakehouse.Lake
	logger  *slog.Logger
}

// OpenDeadLetters opens a project's dead letters.
func OpenDeadLetters(ctx context.Context, p *project.Project, logger *slog.Logger) (*DeadLetters, error) {
	d := &DeadLetters{project: p, logger: logger}
	if catalogUnused(p) {
		return d, nil
	}
	var err error
	if d.opened, err = OpenLakehouse(ctx, p, logger); err != nil {
		return nil, err
	}
	d.lake = newLake(p, d.opened, logger)
	return d, nil
}

// Close closes the catalog.
func (d *DeadLetters) Close() {
	if d.opened != nil {
		closeAndLog(d.logger, "catalog", d.opened.Close)
	}
}

// List counts letters and lists some.
func (d *DeadLetters) List(ctx context.Context, q lakehouse.ListQuery) (*lakehouse.LetterList, error) {
	if d.lake == nil {
		return &lakehouse.LetterList{Groups: []lakehouse.LetterGroup{}}, nil
	}
	return d.lake.ListLetters(ctx, q)
}

// Show reads one letter, or fails with lakehouse.ErrNoSuchLetter.
func (d *DeadLetters) Show(ctx context.Context, id string) (*lakehouse.LetterHistory, error) {
	if d.lake == nil {
		return nil, fmt.Errorf("%w: project %s never ran", lakehouse.ErrNoSuchLetter, d.project.Name)
	}
	return d.lake.Letter(ctx, id)
}

// Match is how many open letters a request would take.
type Match struct {
	Letters int64 `json:"letters"`
	NoModel int64 `json:"no_model"` // further ones, of models that the project does not have
}

// Match counts the open letters that a request of a kind would take now.
func (d *DeadLetters) Match(ctx context.Context, kind lakehouse.RequestKind, filter lakehouse.LetterFilter) (Match, error) {
	if d.lake == nil {
		return Match{}, nil
	}
	query := lakehouse.LetterQuery{Filter: filter, Before: math.MaxInt64}
	if kind == lakehouse.RequestReplay {
		query.Models = []string{}
		for i := range d.project.Models {
			query.Models = append(query.Models, d.project.Models[i].Name)
		}
	}
	open, err := d.lake.OpenLetters(ctx, query)
	if err != nil {
		return Match{}, err
	}
	return Match{Letters: int64(open.Len()), NoModel: open.Done().NoModel}, nil
}

// Ask puts a request to the pipeline's writer, which carries it out when it
// runs, and returns its id.
func (d *DeadLetters) Ask(ctx context.Context, kind lakehouse.RequestKind, filter lakehouse.LetterFilter) (string, error) {
	if d.lake == nil {
		return "", fmt.Errorf("%w: project %s never ran", lakehouse.ErrNoSuchLetter, d.project.Name)
	}
	r := lakehouse.NewLetterRequest(kind, filter, WhoAsks(), time.Now())
	if err := d.lake.Requests().Put(ctx, r); err != nil {
		return "", err
	}
	return r.ID, nil
}

// waitEvery is how often Wait looks.
const waitEvery = time.Second

// Wait waits until a request is carried out and the tables show it.
func (d *DeadLetters) Wait(ctx context.Context, id string) (lakehouse.RequestResult, error) {
	progress := d.lake.Follow(id)
	ticks := time.NewTicker(waitEvery)
	defer ticks.Stop()
	for {
		r, err := progress.Look(ctx)
		if err != nil {
			return lakehouse.RequestResult{}, fmt.Errorf("look for request %s: %w", id, err)
		}
		if r != nil && r.Done {
			return lakehouse.DecodeRequestResult(r.Cursor)
		}
		select {
		case <-ctx.Done():
			return lakehouse.RequestResult{}, fmt.Errorf("wait for request %s: %w; it stays, and calve run carries it out", id, ctx.Err())
		case <-ticks.C:
		}
	}
}

// WhoAsks is user@host of this process, for people.
func WhoAsks() string {
	name, host := "unknown", "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return name + "@" + host
}
