package trial

import (
	"encoding/json"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm"
	"github.com/calvelake/calve/sdk/abi"
)

// CheckDescription checks what a description says beyond what all kinds have in
// common, without opening the plugin: the state of sessions with its initial
// values, and the one output of an scd plugin. An error is a
// wasm.ErrDescription.
func CheckDescription(d abi.Describe) error {
	switch d.Kind {
	case abi.KindSession:
		return checkState(d.State)
	case abi.KindSCD:
		if len(d.Outputs) != 1 || d.Outputs[0].Stream != abi.StreamMain {
			return fmt.Errorf("%w: a plugin of kind %s returns the attributes to store in stream %d, and has no other", wasm.ErrDescription, d.Kind, abi.StreamMain)
		}
		for _, c := range d.Outputs[0].Columns {
			if c.Name == abi.ColumnAction {
				return fmt.Errorf("%w: the column %q comes with each decision: the outputs are the attributes alone", wasm.ErrDescription, c.Name)
			}
		}
	}
	return nil
}

func checkState(state []abi.StateColumn) error {
	columns := make([]abi.Column, len(state))
	initial := raw{}
	for i, c := range state {
		columns[i], initial[c.Name] = c.Column, c.Initial
		if c.Initial == nil {
			initial[c.Name] = json.RawMessage("null")
		}
	}
	schema, err := wasm.Schema(columns)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	for _, f := range schema.Fields() {
		one, err := toArrow(arrow.NewSchema([]arrow.Field{f}, nil), []raw{{f.Name: initial[f.Name]}})
		if err != nil {
			return fmt.Errorf("%w: state: initial values: %w", wasm.ErrDescription, err)
		}
		one.Release()
	}
	return nil
}
