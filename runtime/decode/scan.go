package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// The functions below walk JSON text (RFC 8259) that checkJSON has accepted,
// and therefore look at structure only. They never read past a value.

// checkJSON tells why value is no JSON text in valid UTF-8, or nil.
func checkJSON(value []byte) error {
	if len(value) == 0 {
		return errors.New("the value is empty")
	}
	if !utf8.Valid(value) {
		return fmt.Errorf("byte %d: invalid UTF-8", invalidUTF8(value)+1)
	}
	if json.Valid(value) {
		return nil
	}
	var raw json.RawMessage
	err := json.Unmarshal(value, &raw)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("byte %d: %s", syntax.Offset, syntax.Error())
	}
	return err
}

// invalidUTF8 is the index of the first byte that is not UTF-8.
func invalidUTF8(b []byte) int {
	i := 0
	for i < len(b) {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		i += n
	}
	return i
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// trim returns the value without the white space around it.
func trim(b []byte) []byte { return bytes.Trim(b, " \n\t\r") }

// skipValue returns the index after the value that begins at b[i].
func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		return skipNested(b, i)
	}
	for i < len(b) {
		switch b[i] {
		case ',', '}', ']', ':', ' ', '\n', '\t', '\r':
			return i
		}
		i++
	}
	return i
}

func skipNested(b []byte, i int) int {
	for depth := 0; i < len(b); {
		switch b[i] {
		case '"':
			i = skipString(b, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		i++
		if depth == 0 {
			break
		}
	}
	return i
}

func skipString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// members iterates over an object's members.
type members struct {
	b []byte
	i int
}

func membersOf(object []byte) members { return members{b: object, i: skipSpace(object, 1)} }

// next returns a member's name as it is written, without the quotes, and its
// value; ok is false after the last.
func (m *members) next() (name, value []byte, ok bool) {
	if m.b[m.i] == '}' {
		return nil, nil, false
	}
	end := skipString(m.b, m.i)
	name = m.b[m.i+1 : end-1]
	start := skipSpace(m.b, skipSpace(m.b, end)+1)
	end = skipValue(m.b, start)
	value = m.b[start:end]
	m.i = afterComma(m.b, end)
	return name, value, true
}

// elements iterates over an array's elements.
type elements struct {
	b []byte
	i int
}

func elementsOf(array []byte) elements { return elements{b: array, i: skipSpace(array, 1)} }

func (e *elements) next() (value []byte, ok bool) {
	if e.b[e.i] == ']' {
		return nil, false
	}
	end := skipValue(e.b, e.i)
	value = e.b[e.i:end]
	e.i = afterComma(e.b, end)
	return value, true
}

func afterComma(b []byte, i int) int {
	i = skipSpace(b, i)
	if b[i] == ',' {
		i = skipSpace(b, i+1)
	}
	return i
}

// unescape appends the text of a JSON string, given without its quotes, to dst.
// Half a surrogate pair becomes U+FFFD, as in encoding/json.
func unescape(dst, s []byte) []byte {
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:i]...)
		c := s[i+1]
		s = s[i+2:]
		switch c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := hex4(s)
			s = s[4:]
			if utf16.IsSurrogate(r) {
				pair := utf8.RuneError
				if len(s) >= 6 && s[0] == '\\' && s[1] == 'u' {
					pair = utf16.DecodeRune(r, hex4(s[2:]))
				}
				if pair != utf8.RuneError {
					s = s[6:]
				}
				r = pair
			}
			dst = utf8.AppendRune(dst, r)
		default: // quote, backslash, slash
			dst = append(dst, c)
		}
	}
}

func hex4(s []byte) rune {
	var r rune
	for _, c := range s[:4] {
		switch {
		case c >= 'a':
			c -= 'a' - 10
		case c >= 'A':
			c -= 'A' - 10
		default:
			c -= '0'
		}
		r = r<<4 | rune(c)
	}
	return r
}
