package debezium

import "encoding/base64"

// DefaultMarker is Debezium's default of unavailable.value.placeholder.
const DefaultMarker = "__debezium_unavailable_value"

// Marker recognizes what stands in an event for a value that the event leaves
// out because the change did not touch it (PostgreSQL's TOAST). It is
//
//   - in text: the placeholder itself;
//   - in binary data: the placeholder's bytes (in JSON as base64);
//   - in a list or map: a single element that is the placeholder. (Lists of
//     numbers and UUIDs hold the numbers of its bytes or one UUID made of them,
//     which are data like any other: they are not recognized.)
type Marker struct {
	text   string
	base64 string
	hex    string
}

// NewMarker makes the Marker of a placeholder; "" is DefaultMarker.
func NewMarker(placeholder string) Marker {
	if placeholder == "" {
		placeholder = DefaultMarker
	}
	hex := make([]byte, 0, 2*len(placeholder))
	for i := range len(placeholder) {
		hex = append(hex, "0123456789abcdef"[placeholder[i]>>4], "0123456789abcdef"[placeholder[i]&15])
	}
	return Marker{placeholder, base64.StdEncoding.EncodeToString([]byte(placeholder)), string(hex)}
}

// Is tells whether raw text or raw bytes are the placeholder.
func (m *Marker) Is(raw []byte) bool { return string(raw) == m.text }

// IsText tells whether text is the placeholder, or bytes of it written as
// base64 or hex (binary.handling.mode).
func (m *Marker) IsText(text []byte) bool {
	return string(text) == m.text || string(text) == m.base64 || string(text) == m.hex
}

// Placeholder returns the text.
func (m *Marker) Placeholder() string { return m.text }
