package decode

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// parseDefault reads a column's default into a cell of its own. A timestamp's
// default is written as RFC 3339 whatever the column's encoding is.
func parseDefault(c Column, src source) (*cell, error) {
	text := []byte(*c.Default)
	if src.bytesSource() {
		return &cell{bytes: text}, nil
	}
	value, err := compileType(c.Type, "")
	if err != nil {
		return nil, err
	}
	switch value.kind {
	case kindString, kindBinary, kindDate, kindTimestamp, kindTimestamptz, kindDecimal:
		if !utf8.Valid(text) {
			return nil, errors.New("is not valid UTF-8")
		}
		if text, err = json.Marshal(*c.Default); err != nil {
			return nil, fmt.Errorf("quote it: %w", err)
		}
	default:
		text = trim(text)
		if err := checkJSON(text); err != nil {
			return nil, fmt.Errorf("expected %s: %w", value.name, err)
		}
		if isNull(text) {
			return nil, errors.New("a default cannot be null; leave it out and make the column nullable")
		}
	}
	parsed := new(cell)
	if err := value.parse(text, parsed, new(scratch)); err != nil {
		return nil, err
	}
	return parsed, nil
}
