package daemon

import (
	"fmt"

	"github.com/calvelake/calve/runtime/calendar"
	"github.com/calvelake/calve/runtime/pipeline"
	"github.com/calvelake/calve/runtime/project"
)

// compileDate compiles a date dimension.
func compileDate(m *project.Model) (*calendar.Program, error) {
	program, err := calendar.Compile(calendar.Spec{Model: m.Name, First: m.Date.First, Last: m.Date.Last})
	if err != nil {
		return nil, fmt.Errorf("%s:%d: model %s: %w", m.File, m.Line, m.Name, err)
	}
	return program, nil
}

// buildDate builds what the pipeline runs of a date dimension. Its definition does
// not have the range: a changed one changes rows, and begins nothing anew.
func buildDate(s *keyedState, k *keyedModel) (pipeline.KeyedModel, error) {
	built := pipeline.KeyedModel{Name: k.Name}
	version := k.calendar.StateVersion()
	space, err := s.Space(k.Name, version)
	if err != nil {
		return built, err
	}
	built.Definition = fmt.Sprintf("date %d", version)
	built.Operator = k.calendar.Open(space)
	return built, nil
}
