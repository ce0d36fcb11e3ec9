package calve

import (
	"errors"
	"strconv"
	"unicode/utf8"
)

// The SDK reads and writes a few JSON objects by hand: encoding/json would add
// half as much again to a small module.

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// quoteJSON writes a JSON string.
func quoteJSON(s string) string {
	const hex = "0123456789abcdef"
	b := []byte{'"'}
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return string(append(b, '"'))
}

var errJSON = errors.New("malformed JSON from the host")

// objectMembers splits a JSON object into its members' raw values. Keys with
// escapes are left out: the host writes none.
func objectMembers(text []byte) (map[string][]byte, error) {
	s := jsonScanner{text: text}
	members := map[string][]byte{}
	if !s.take('{') {
		return nil, errJSON
	}
	for !s.take('}') {
		if len(members) > 0 && !s.take(',') {
			return nil, errJSON
		}
		key := s.value()
		if len(key) < 2 || key[0] != '"' || !s.take(':') {
			return nil, errJSON
		}
		value := s.value()
		if len(value) == 0 {
			return nil, errJSON
		}
		members[string(key[1:len(key)-1])] = value
	}
	return members, nil
}

type jsonScanner struct {
	text []byte
	pos  int
}

func (s *jsonScanner) space() {
	for s.pos < len(s.text) && (s.text[s.pos] == ' ' || s.text[s.pos] == '\n' || s.text[s.pos] == '\r' || s.text[s.pos] == '\t') {
		s.pos++
	}
}

func (s *jsonScanner) take(c byte) bool {
	s.space()
	if s.pos < len(s.text) && s.text[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

// value returns the text of the next value, nil at the end of the text.
func (s *jsonScanner) value() []byte {
	s.space()
	start, depth := s.pos, 0
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == '"':
			s.str()
		case c == '{' || c == '[':
			depth++
			s.pos++
		case depth == 0 && (c == '}' || c == ']' || c == ',' || c == ':' || c <= ' '):
			return s.text[start:s.pos]
		case c == '}' || c == ']':
			depth--
			s.pos++
		default:
			s.pos++
			continue
		}
		if depth == 0 {
			return s.text[start:s.pos]
		}
	}
	return s.text[start:s.pos]
}

func (s *jsonScanner) str() {
	for s.pos++; s.pos < len(s.text) && s.text[s.pos] != '"'; s.pos++ {
		if s.text[s.pos] == '\\' {
			s.pos++
		}
	}
	s.pos = min(s.pos+1, len(s.text))
}
