package expression

import (
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenName
	tokenQuoted // a name in double quotes
	tokenNumber
	tokenText
	tokenSymbol
)

// token is a word of an expression. text is the name (in lower case if it is
// not quoted), the number as written, the text without its quotes, or the
// symbol.
type token struct {
	kind tokenKind
	text string
	raw  string // as written
	at   int    // byte
}

// found describes the token for an error.
func (t token) found() string {
	switch t.kind {
	case tokenEnd:
		return "the end"
	case tokenText:
		return "the text " + excerpt(t.raw)
	case tokenNumber:
		return "the number " + excerpt(t.raw)
	}
	return `"` + excerpt(t.raw) + `"`
}

func excerpt(text string) string {
	const most = 40
	if utf8.RuneCountInString(text) > most {
		return string([]rune(text)[:most]) + "…"
	}
	return text
}

// is tells whether the token is a symbol or an unquoted name.
func (t token) is(word string) bool {
	return (t.kind == tokenSymbol || t.kind == tokenName) && t.text == word
}

var symbols = []string{"<>", "!=", "<=", ">=", "||", "(", ")", ",", ".", "+", "-", "*", "/", "%", "=", "<", ">"}

// lex splits an expression into tokens; the last is tokenEnd.
func lex(text string) ([]token, *fault) {
	var tokens []token
	for at := 0; ; {
		for at < len(text) && isSpace(text[at]) {
			at++
		}
		if at == len(text) {
			return append(tokens, token{kind: tokenEnd, at: at}), nil
		}
		t, err := lexOne(text, at)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
		at += len(t.raw)
	}
}

func lexOne(text string, at int) (token, *fault) {
	rest := text[at:]
	c := rest[0]
	switch {
	case isLetter(c):
		end := 1
		for end < len(rest) && (isLetter(rest[end]) || isDigit(rest[end])) {
			end++
		}
		return token{tokenName, strings.ToLower(rest[:end]), rest[:end], at}, nil
	case isDigit(c) || c == '.' && len(rest) > 1 && isDigit(rest[1]):
		return lexNumber(rest, at)
	case c == '\'':
		return lexQuoted(rest, at, tokenText)
	case c == '"':
		return lexQuoted(rest, at, tokenQuoted)
	}
	for _, s := range symbols {
		if strings.HasPrefix(rest, s) {
			return token{tokenSymbol, canonicalSymbol(s), s, at}, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	err := failf(at, "found %q, which no expression has", r)
	switch {
	case strings.HasPrefix(rest, "&&"):
		return token{}, err.hinted("write and")
	case c == '!':
		return token{}, err.hinted("write not, or <>")
	case c == ';':
		return token{}, err.hinted("an expression is not a statement: leave it out")
	case c == '`' || c == '[':
		return token{}, err.hinted(`names that need quotes are written in double quotes: "name"`)
	}
	return token{}, err
}

func canonicalSymbol(s string) string {
	if s == "!=" {
		return "<>"
	}
	return s
}

func lexNumber(rest string, at int) (token, *fault) {
	end := digits(rest, 0)
	if end < len(rest) && rest[end] == '.' {
		end = digits(rest, end+1)
	}
	if end < len(rest) && (rest[end] == 'e' || rest[end] == 'E') {
		exponent := end + 1
		if exponent < len(rest) && (rest[exponent] == '+' || rest[exponent] == '-') {
			exponent++
		}
		if to := digits(rest, exponent); to > exponent {
			end = to
		}
	}
	if end < len(rest) && (isLetter(rest[end]) || isDigit(rest[end])) {
		return token{}, failf(at, "found %q, which is neither a number nor a name", excerpt(rest[:end+1]))
	}
	return token{tokenNumber, rest[:end], rest[:end], at}, nil
}

// digits is where the digits that begin at from end.
func digits(s string, from int) int {
	for from < len(s) && isDigit(s[from]) {
		from++
	}
	return from
}

// lexQuoted reads to the closing quote; a doubled quote stands for one.
func lexQuoted(rest string, at int, kind tokenKind) (token, *fault) {
	quote := rest[0]
	for i := 1; i < len(rest); i++ {
		if rest[i] != quote {
			continue
		}
		if i+1 < len(rest) && rest[i+1] == quote {
			i++
			continue
		}
		q := string(quote)
		inside := strings.ReplaceAll(rest[1:i], q+q, q)
		if kind == tokenQuoted && inside == "" {
			return token{}, failf(at, `found "", expected a name in the quotes`).hinted("text is written in single quotes: ''")
		}
		return token{kind, inside, rest[:i+1], at}, nil
	}
	return token{}, failf(at, "the quote %c that begins here has no end", quote).hinted("a quote inside is written twice: %c%c", quote, quote)
}

func isSpace(c byte) bool  { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }
