package debezium

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
)

// DefaultMarker is Debezium's default of unavailable.value.placeholder.
const DefaultMarker = "__debezium_unavailable_value"

// Marker recognizes what stands in an event for a value that the event leaves
// out because the change did not touch it (PostgreSQL's TOAST). It is
//
//   - in text: the placeholder itself;
//   - in binary data: the placeholder's bytes (in JSON as base64);
//   - in a list or map: a single element that is the placeholder;
//   - in a list of numbers: the numbers of the placeholder's bytes, if they are
//     too many to be data by chance;
//   - in a list of UUIDs: the one that Java's nameUUIDFromBytes makes of it;
//   - in an hstore as text (hstore.handling.mode json, the default): the JSON of
//     a map that has the placeholder alone, as key and value.
//
// Debezium has none for arrays of other types (booleans, for one): its connector
// fails on them. What it writes for untouched geometries of PostGIS, points that
// are on no map, is not recognized.
type Marker struct {
	text   string
	base64 string
	hex    string
	uuid   string
	hstore string
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
	id := md5.Sum([]byte(placeholder)) // RFC 9562 §5.3, without a namespace
	id[6], id[8] = id[6]&0x0f|0x30, id[8]&0x3f|0x80
	name, _ := json.Marshal(placeholder) // text always encodes
	return Marker{
		text: placeholder, base64: base64.StdEncoding.EncodeToString([]byte(placeholder)), hex: string(hex),
		uuid:   fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]),
		hstore: fmt.Sprintf("{%s:%s}", name, name),
	}
}

// Is tells whether raw text or raw bytes are the placeholder.
func (m *Marker) Is(raw []byte) bool {
	return string(raw) == m.text || string(raw) == m.uuid || string(raw) == m.hstore
}

// IsText tells whether text is the placeholder, or bytes of it written as
// base64 or hex (binary.handling.mode).
func (m *Marker) IsText(text []byte) bool {
	return m.Is(text) || string(text) == m.base64 || string(text) == m.hex
}

// fewestNumbers is the length from which on the bytes of a placeholder are not
// met as the numbers of an array that has them by chance.
const fewestNumbers = 8

// Numbers is how many numbers stand for the placeholder in a list of numbers, 0
// if none do.
func (m *Marker) Numbers() int {
	if len(m.text) < fewestNumbers {
		return 0
	}
	return len(m.text)
}

// IsNumber tells whether the text of a number, as 95 or 95.0, is element i of
// the numbers that stand for the placeholder.
func (m *Marker) IsNumber(i int, text []byte) bool {
	return i < m.Numbers() && string(bytes.TrimSuffix(text, []byte(".0"))) == strconv.Itoa(int(m.text[i]))
}

// Number is element i of the numbers that stand for the placeholder.
func (m *Marker) Number(i int) byte { return m.text[i] }

// Placeholder returns the text.
func (m *Marker) Placeholder() string { return m.text }
