package decode

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"github.com/calvelake/calve/runtime/decode/internal/vector"
)

// unwrap returns what a value of MongoDB's extended JSON (v2, canonical and
// relaxed, and the shell's strict mode that Debezium writes) wraps in an object
// of one or two members whose names begin with a dollar sign. ok is false for
// other objects.
func unwrap(raw []byte, s *scratch) (kind string, inner []byte, ok bool) {
	object := membersOf(raw)
	name, member, any := object.next()
	if !any || len(name) < 2 || name[0] != '$' {
		return "", nil, false
	}
	switch kind = string(name); kind {
	case "$oid", "$symbol", "$numberInt", "$numberLong", "$numberDecimal", "$numberDouble", "$uuid", "$date":
		if _, _, more := object.next(); more {
			return "", nil, false
		}
	case "$binary": // {"$binary": {"base64": …, "subType": …}} or {"$binary": base64, "$type": …}
		if member[0] == '{' {
			member = memberNamed(member, "base64", s)
		}
	default:
		return "", nil, false
	}
	return kind, member, member != nil
}

// writeExtended writes what an object of extended JSON wraps; done is false if
// it wraps nothing that the leaf could hold, so that it is an object like any
// other.
func (v *value) writeExtended(raw []byte, to *vector.Vector, row int, s *scratch) (done bool, err error) {
	kind, inner, ok := unwrap(raw, s)
	if !ok {
		return false, nil
	}
	if kind == "$date" {
		return v.writeDate(inner, to, row, s)
	}
	if inner[0] != '"' {
		return false, nil
	}
	text := s.unquote(inner)
	switch kind {
	case "$numberInt", "$numberLong", "$numberDecimal", "$numberDouble":
		switch {
		case v.kind == vector.String:
			return true, v.leaf.Text(to, row, text)
		case v.kind == vector.Double || v.kind == vector.Float:
			if f, special := specialFloats[string(text)]; special {
				return true, v.leaf.Double(to, row, f)
			}
		}
		return true, v.leaf.Number(to, row, bytes.TrimPrefix(text, []byte("+")))
	}
	return true, v.leaf.Text(to, row, text)
}

var specialFloats = map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}

// writeDate writes a $date: RFC 3339, or milliseconds since 1970, as a number or
// as {"$numberLong": …}.
func (v *value) writeDate(inner []byte, to *vector.Vector, row int, s *scratch) (done bool, err error) {
	if inner[0] == '{' {
		kind, number, ok := unwrap(inner, s)
		if !ok || kind != "$numberLong" || number[0] != '"' {
			return false, nil
		}
		inner = s.unquote(number)
	}
	if inner[0] == '"' {
		text := s.unquote(inner)
		if v.kind == vector.Date && len(text) > len("2006-01-02") {
			text = text[:len("2006-01-02")]
		}
		return true, v.leaf.Text(to, row, text)
	}
	switch v.kind {
	case vector.Timestamp:
		return true, v.epoch.Number(to, row, inner)
	case vector.Long:
		return true, v.leaf.Number(to, row, inner)
	}
	ms, err := strconv.ParseInt(string(inner), 10, 64)
	at := time.UnixMilli(ms).UTC()
	if err != nil || at.Year() < 1 || at.Year() > 9999 {
		return true, v.mismatch(to, row)
	}
	layout := time.DateOnly
	if v.kind == vector.String {
		layout = "2006-01-02T15:04:05.000Z"
	}
	start := len(s.text)
	s.text = at.AppendFormat(s.text, layout)
	return true, v.leaf.Text(to, row, s.text[start:])
}

// memberNamed returns an object's last member of a name, nil if it has none.
func memberNamed(object []byte, name string, s *scratch) []byte {
	var found []byte
	for members := membersOf(object); ; {
		n, member, ok := members.next()
		if !ok {
			return found
		}
		if string(s.unescapeName(n)) == name {
			found = member
		}
	}
}
