package wasm

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/calvelake/calve/sdk/abi"
)

// Bounds on the search for what is at fault in one batch. Eight poison rows in
// a batch of 8,192 take some 200 calls.
const (
	maxRetryCalls   = 512
	maxRetryBudgets = 8 // work of all calls for one batch, in budgets of a call
	// minBudgetShare bounds from below what a small part of a batch may use: a
	// call has fixed costs, a garbage collection in the guest among them.
	minBudgetShare = 64
)

// halves runs calls about a number of things, in halves and halves of halves
// where the plugin fails, until those at fault are alone.
type halves struct {
	transform *Transform
	what      string // rows, groups, pairs
	total     int
	// attempt makes one call about [from, to), and keeps what came of it.
	attempt func(ctx context.Context, from, to int, budget int64) (cost, error)
	// reject gives [from, to) up.
	reject func(from, to int, code, message string)

	callsLeft int
	workLeft  int64
	usage     Usage
}

// run ends when everything was attempted with success or rejected, in order, or
// with an error that is not about them.
func (h *halves) run(ctx context.Context) error {
	h.callsLeft, h.workLeft = maxRetryCalls, maxRetryBudgets*h.transform.plugin.limits.Budget
	return h.try(ctx, 0, h.total, false)
}

// try is run for [from, to). again: they failed with a wish to be retried, which
// is granted once.
func (h *halves) try(ctx context.Context, from, to int, again bool) error {
	n := to - from
	used, err := h.attempt(ctx, from, to, h.budget(n))
	h.callsLeft--
	h.workLeft -= used.usage.Work + used.start
	h.usage.add(used.usage)
	if err == nil {
		return nil
	}
	code := failureCode(err)
	if code == "" || errors.Is(err, errNoInstance) || errors.Is(err, ErrRefusedConfig) || ctx.Err() != nil {
		return err
	}
	if h.transform.init.OnError == Stop {
		return fmt.Errorf("plugin %q failed on %s %d to %d of the batch: %w", h.transform.plugin.describe.Name, h.what, from, to-1, err)
	}
	spent := h.callsLeft <= 0 || h.workLeft <= 0
	switch {
	case n == 0:
		return err // nothing to blame
	case errors.Is(err, errRetry) && !again && !spent:
		return h.try(ctx, from, to, true)
	case n == 1:
		h.reject(from, to, code, cut(err.Error()))
	case spent:
		h.reject(from, to, code, cut(fmt.Sprintf("not isolated: %d %s failed together and the search for the one at fault was given up; fix the plugin and replay them: %v", n, h.what, err)))
	default:
		middle := from + n/2
		if err := h.try(ctx, from, middle, false); err != nil {
			return err
		}
		return h.try(ctx, middle, to, false)
	}
	return nil
}

// budget is a share of the budget in proportion to the number.
func (h *halves) budget(n int) int64 {
	full := h.transform.plugin.limits.Budget
	if n == h.total {
		return full
	}
	return max(full/minBudgetShare, full/int64(h.total)*int64(n))
}

// cut shortens a message as a guest's is.
func cut(message string) string {
	if len(message) <= abi.MaxMessageBytes {
		return message
	}
	message = message[:abi.MaxMessageBytes]
	for !utf8.ValidString(message) {
		message = message[:len(message)-1]
	}
	return message
}
