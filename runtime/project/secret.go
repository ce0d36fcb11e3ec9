package project

import "log/slog"

const redacted = "[redacted]"

// Secret is a value that is never printed: every common way to print it gives
// "[redacted]". The zero Secret is an empty one.
type Secret struct {
	// A function, not a string: package fmt calls no methods on a value that it
	// reaches through an unexported field and would print a string's text, while
	// of a function it prints the address.
	reveal func() string
}

// NewSecret hides a value.
func NewSecret(value string) Secret {
	return Secret{reveal: func() string { return value }}
}

// Reveal returns the value, for the call that needs it and nothing else.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero tells whether no value was given.
func (s Secret) IsZero() bool { return s.reveal == nil }

func (s Secret) String() string { return redacted }

// GoString is what %#v prints.
func (s Secret) GoString() string { return redacted }

// MarshalJSON gives "[redacted]".
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText gives [redacted], for encoders and map keys.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue is what slog prints.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
