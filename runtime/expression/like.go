package expression

import (
	"fmt"
	"unicode/utf8"
)

// like matches a whole text with a pattern: % is any text, _ any character.
// There is no escape character unless one is given.
func (k *checker) like(n *likeNode) (*term, *fault) {
	nodes := []node{n.x, n.pattern}
	if n.escape != nil {
		nodes = append(nodes, n.escape)
	}
	args, err := k.values(nodes)
	if err != nil {
		return nil, err
	}
	for i, a := range args {
		if a.typ != nil && !isString(a.typ) {
			return nil, failf(a.at, "like needs text, found %s", typeName(a.typ)).hinted("cast it: cast(x as string)")
		}
		args[i], _ = coerce(a, typeString)
	}
	escape, err := escapeOf(n, args)
	if err != nil {
		return nil, err
	}
	if p := args[1].constant; p != nil && p.ok(0) && !wellFormed(p.texts[0], escape) {
		return nil, failf(n.pattern.at(), "the pattern ends with its escape character")
	}
	made := apply2(n.at(), typeBoolean, likeKernel(escape), args[0], args[1])
	if n.not {
		made = apply(n.at(), typeBoolean, notKernel, made)
	}
	return made, nil
}

// escapeOf is the escape character, or -1.
func escapeOf(n *likeNode, args []*term) (rune, *fault) {
	if n.escape == nil {
		return -1, nil
	}
	l, ok := n.escape.(*literalNode)
	if !ok || l.kind != literalText || utf8.RuneCountInString(l.text) != 1 {
		return 0, failf(args[2].at, "escape needs one character in quotes")
	}
	r, _ := utf8.DecodeRuneInString(l.text)
	return r, nil
}

// wellFormed tells whether every escape has a character after it.
func wellFormed(pattern string, escape rune) bool {
	escaped := false
	for _, c := range pattern {
		escaped = !escaped && c == escape
	}
	return !escaped
}

func likeKernel(escape rune) kernel2 {
	return func(r *run, a, b *vector) *vector {
		return withBools(try2(r.rows, a, b, a.texts, b.texts, func(s, pattern string) (bool, bool) {
			if escape >= 0 && !wellFormed(pattern, escape) {
				return false, false
			}
			return matchLike(s, pattern, escape), true
		}, func(row int) string {
			return fmt.Sprintf("the pattern %s ends with its escape character", b.show(row, typeString))
		}))
	}
}

// matchLike goes back to the last % only, which is enough: time is at most the
// product of the lengths.
func matchLike(s, pattern string, escape rune) bool {
	starS, starPattern, star := "", "", false
	for s != "" || pattern != "" {
		kind, c, rest := nextOf(pattern, escape)
		if kind == likeAny {
			starS, starPattern, star = s, rest, true
			pattern = rest
			continue
		}
		if s != "" && kind != likeEnd {
			have, size := utf8.DecodeRuneInString(s)
			if kind == likeOne || have == c {
				s, pattern = s[size:], rest
				continue
			}
		}
		if !star || starS == "" {
			return false
		}
		_, size := utf8.DecodeRuneInString(starS)
		starS = starS[size:]
		s, pattern = starS, starPattern
	}
	return true
}

type likeKind uint8

const (
	likeEnd likeKind = iota
	likeAny
	likeOne
	likeSame
)

// nextOf is the first element of a pattern.
func nextOf(pattern string, escape rune) (likeKind, rune, string) {
	if pattern == "" {
		return likeEnd, 0, ""
	}
	c, size := utf8.DecodeRuneInString(pattern)
	rest := pattern[size:]
	switch {
	case c == escape:
		c, size = utf8.DecodeRuneInString(rest)
		return likeSame, c, rest[size:]
	case c == '%':
		return likeAny, 0, rest
	case c == '_':
		return likeOne, 0, rest
	}
	return likeSame, c, rest
}
