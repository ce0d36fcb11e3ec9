package wasm

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm/internal/cdata"
	"github.com/calvelake/calve/sdk/abi"
)

// Schema is the columns that a plugin describes as an Arrow schema. It fails
// with ErrDescription on a type that no plugin may have.
func Schema(columns []abi.Column) (*arrow.Schema, error) {
	s, err := cdata.Schema(columns)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDescription, err)
	}
	return s, nil
}
