//go:build unix

package main

import "math/rand/v2"

// action is what a step does to a writer.
type action int

const (
	start  action = iota
	freeze        // SIGSTOP
	thaw          // SIGCONT
	kill          // SIGKILL
)

// step waits, then acts on one of a round's writers.
type step struct {
	wait   float64 // in lives of a writer
	action action
	writer int // of the round: 0 or 1
}

// round is what happens between two moments without a writer.
type round []step

// Shares of the rounds, in percent; the rest has one writer alone.
const (
	rivalShare  = 20
	frozenShare = 20
	// earlyShare of the moments are in the first part of a life, where a writer
	// starts up and completes what another began.
	earlyShare = 25
	earlyPart  = 0.15
)

// plan draws rounds.
type plan struct{ random *rand.Rand }

func newPlan(random *rand.Rand) *plan { return &plan{random} }

func (p *plan) next() round {
	switch n := p.random.IntN(100); {
	case n < rivalShare:
		return p.rivals()
	case n < rivalShare+frozenShare:
		return p.frozen()
	}
	return p.alone()
}

// alone is a writer that is killed at some moment of its life.
func (p *plan) alone() round {
	return round{{0, start, 0}, {p.moment(), kill, 0}}
}

// rivals are two writers that fight for the pipeline: the first epoch that one
// decides fences the other.
func (p *plan) rivals() round {
	first := p.random.IntN(2)
	return round{
		{0, start, 0},
		{p.moment(), start, 1},
		{p.moment(), kill, first},
		{p.moment(), kill, 1 - first},
	}
}

// frozen is a writer that sleeps at any point of an epoch while another goes on, and
// wakes up to finish what it was at.
func (p *plan) frozen() round {
	return round{
		{0, start, 0},
		{p.moment(), freeze, 0},
		{0, start, 1},
		{p.moment(), thaw, 0},
		{p.moment(), kill, 1},
		{p.moment(), kill, 0},
	}
}

// moment is a moment of a life, in [0, 1).
func (p *plan) moment() float64 {
	if p.random.IntN(100) < earlyShare {
		return p.random.Float64() * earlyPart
	}
	return p.random.Float64()
}
