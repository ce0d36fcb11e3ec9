package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/lakehouse/storage"
)

// idle is an operator, and a state, of which nothing is asked but to begin.
type idle struct {
	Operator
	State
}

func (idle) Discard()           {}
func (idle) Reset(string) error { return nil }

// A fact begins when its dimension has taken in its own inputs' tables, which a dry
// run does not do.
func TestADryReconcileDoesNotWait(t *testing.T) {
	epoch := int64(3)
	for _, c := range []struct {
		when   string
		behind *int64
		stop   bool
		want   error
		says   string
	}{
		{"its dimension is behind", &epoch, false, ErrNotReconciled, "model dim_customers, which it depends on, takes in its own inputs' tables first"},
		{"it is asked to stop", nil, true, context.Canceled, ""},
	} {
		parts := star()
		logger := slog.New(slog.DiscardHandler)
		parts.Lake = lakehouse.New(lakehouse.Config{Pipeline: "shop", Nonce: "n", Logger: logger}, storage.NewMemory("s3://lake"), nil)
		parts.Now, parts.Logger, parts.State = time.Now, logger, idle{}
		for i := range parts.Keyed {
			parts.Keyed[i].Operator, parts.Keyed[i].Table = idle{}, &lakehouse.Table{}
		}
		parts.Start.Last = 9
		parts.Start.Keyed = []lakehouse.KeyedModel{{Name: "dim_customers", Behind: c.behind}, {Name: "facts"}}
		ctx, cancel := context.WithCancel(t.Context())
		if c.stop {
			cancel()
		}
		_, err := DryReconcile(ctx, Config{}, parts, "facts")
		cancel()
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got error %v, want %v with %q", c.when, err, c.want, c.says)
		}
	}
}
