package wasm

import (
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm/internal/cdata"
	"github.com/calvelake/calve/sdk/abi"
)

// stream is an output of an opened transform.
type stream struct {
	schema *arrow.Schema // as the plugin returns it
	model  *arrow.Schema // as the model declares it; nil: as the plugin returns it
	order  []int         // for each column of model its place in schema
}

// checkInput compares what the plugin needs with what the model hands over.
func checkInput(needs abi.Input, has *arrow.Schema) error {
	if err := cdata.Supported(has); err != nil {
		return fmt.Errorf("%w: input %w", ErrMismatch, err)
	}
	var problems []string
	for _, c := range needs.Columns {
		want, err := cdata.Field(c)
		if err != nil {
			return fmt.Errorf("%w: input %w", ErrMismatch, err)
		}
		got, ok := has.FieldsByName(c.Name)
		switch {
		case !ok:
			problems = append(problems, fmt.Sprintf("it needs column %q of type %s, the model hands over %s", c.Name, cdata.TypeName(want.Type), listColumns(has)))
		case !cdata.SameType(got[0].Type, want.Type):
			problems = append(problems, fmt.Sprintf("it needs column %q of type %s, in the model it is %s", c.Name, cdata.TypeName(want.Type), cdata.TypeName(got[0].Type)))
		case got[0].Nullable && !want.Nullable:
			problems = append(problems, fmt.Sprintf("it needs column %q without nulls, in the model it may be null", c.Name))
		}
	}
	return mismatch("input", problems)
}

func mismatch(what string, problems []string) error {
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s: %w", ErrMismatch, what, errors.New(strings.Join(problems, "; ")))
}

func listColumns(s *arrow.Schema) string {
	if s.NumFields() == 0 {
		return "no columns"
	}
	names := make([]string, s.NumFields())
	for i, f := range s.Fields() {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}

// newStreams fixes the schema of every stream: as described, or as announced at
// init where it is derived.
func newStreams(described []abi.Stream, announced map[uint32][]cdata.SchemaColumn, model *arrow.Schema) (map[uint32]*stream, error) {
	streams := map[uint32]*stream{}
	for _, d := range described {
		columns := d.Columns
		if d.Derived {
			derived, ok := announced[d.Stream]
			if !ok {
				return nil, fmt.Errorf("%w: output stream %d is derived, but %s announced no schema for it", ErrMismatch, d.Stream, abi.ExportInit)
			}
			columns = nil
			for _, c := range derived {
				if c.Dictionary != "" { // an encoding of each output, not a type
					c.Format = c.Dictionary
				}
				columns = append(columns, c.Column)
			}
		}
		schema, err := cdata.Schema(columns)
		if err != nil {
			return nil, fmt.Errorf("%w: output stream %d: %w", ErrMismatch, d.Stream, err)
		}
		streams[d.Stream] = &stream{schema: schema}
	}
	main, ok := streams[abi.StreamMain]
	if !ok {
		return nil, fmt.Errorf("%w: it has no output stream %d", ErrMismatch, abi.StreamMain)
	}
	if model == nil {
		return streams, nil
	}
	return streams, main.match(model)
}

// match compares the columns of the plugin with those of the model, which are
// to be the same in any order.
func (s *stream) match(model *arrow.Schema) error {
	var problems []string
	s.model = model
	for _, want := range model.Fields() {
		at := s.schema.FieldIndices(want.Name)
		if len(at) == 0 {
			problems = append(problems, fmt.Sprintf("the model declares column %q, it returns %s", want.Name, listColumns(s.schema)))
			continue
		}
		got := s.schema.Field(at[0])
		s.order = append(s.order, at[0])
		switch {
		case !cdata.SameType(got.Type, want.Type):
			problems = append(problems, fmt.Sprintf("the model declares column %q as %s, it returns %s", want.Name, cdata.TypeName(want.Type), cdata.TypeName(got.Type)))
		case got.Nullable && !want.Nullable:
			problems = append(problems, fmt.Sprintf("the model declares column %q never to be null, it may return nulls", want.Name))
		}
	}
	for _, got := range s.schema.Fields() {
		if !model.HasField(got.Name) {
			problems = append(problems, fmt.Sprintf("it returns column %q, which the model does not declare", got.Name))
		}
	}
	return mismatch("output", problems)
}
