package session

import (
	"errors"
	"fmt"

	"github.com/calvelake/calve/runtime/aggregate"
)

// ErrOtherState: a program cannot go on with what another one keeps.
var ErrOtherState = errors.New("it keeps other state")

// Follows tells whether a program can go on with the state and the table of
// another one: the plugin may be another module, with the same columns of state.
// The error is ErrOtherState where it keeps other state.
func (p *Program) Follows(former *Program) error {
	if p.StateVersion() != former.StateVersion() {
		return fmt.Errorf("%w than model %s has: %s, not %s; start again with --reset-model %s, which makes all sessions anew",
			ErrOtherState, p.spec.Model, p.stateText(), former.stateText(), p.spec.Model)
	}
	if !p.output.Equal(former.output) {
		return fmt.Errorf("sessions of %s have columns %s, and so far %s", p.spec.Model, p.output, former.output)
	}
	return nil
}

// stateText is what a program keeps, for a person.
func (p *Program) stateText() string {
	if p.plugin == nil {
		return fmt.Sprintf("%d aggregates and no plugin", len(p.set))
	}
	text := ""
	for i, f := range p.plugin.Fields() {
		if i > 0 {
			text += ", "
		}
		text += f.Name + " " + f.Type.String()
		if f.Nullable {
			text += " or null"
		}
	}
	return "the plugin's (" + text + ")"
}

// Swap lets the operator go on by another program, between two epochs: see
// Follows. After an error the operator is as it was.
func (o *Operator) Swap(next *Program) error {
	if len(o.entries) > 0 || len(o.sessions) > 0 {
		return fmt.Errorf("BUG: the program of sessions of %s is to be swapped within an epoch", o.spec.Model)
	}
	if err := next.Follows(o.Program); err != nil {
		return err
	}
	set, err := aggregate.New(next.set, next.spec.Limits)
	if err != nil {
		return err
	}
	var initial []byte
	if next.plugin != nil {
		if initial, err = next.initialState(); err != nil {
			return fmt.Errorf("sessions of %s: %w", next.spec.Model, err)
		}
	}
	o.Program, o.set, o.initial = next, set, initial
	return nil
}
