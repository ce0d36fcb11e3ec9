package expression

import (
	"fmt"
	"unicode/utf8"
)

// Error is what is wrong with an expression, with its place.
type Error struct {
	Position int    // of the character at fault, from 1
	Message  string // what was found and what was expected
	Hint     string // what to do about it, or ""
}

func (e *Error) Error() string {
	text := fmt.Sprintf("at character %d: %s", e.Position, e.Message)
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// fault is an Error whose place is a byte of the text.
type fault struct {
	at            int
	message, hint string
}

func (f *fault) Error() string { return f.message }

// in gives the fault its place for people.
func (f *fault) in(text string) *Error {
	at := min(f.at, len(text))
	return &Error{Position: utf8.RuneCountInString(text[:at]) + 1, Message: f.message, Hint: f.hint}
}

func failf(at int, format string, args ...any) *fault {
	return &fault{at: at, message: fmt.Sprintf(format, args...)}
}

func (f *fault) hinted(format string, args ...any) *fault {
	f.hint = fmt.Sprintf(format, args...)
	return f
}
