package expression

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
)

// maxText bounds what a row's text can grow to: functions within functions
// could make any size of a small record.
const maxText = 16 << 20

// textToText makes the check of a function of one text.
func textToText(f func(s string, text *arena) string) func(*callNode, []*term) (*term, *fault) {
	return func(n *callNode, args []*term) (*term, *fault) {
		if err := wantText(n, args...); err != nil {
			return nil, err
		}
		return apply(n.at(), typeString, func(r *run, v *vector) *vector {
			var text arena
			return withTexts(map1(r.rows, v, v.texts, func(s string) string { return f(s, &text) }))
		}, args[0]), nil
	}
}

func lowerText(s string, text *arena) string { return mapRunes(s, text, unicode.ToLower) }
func upperText(s string, text *arena) string { return mapRunes(s, text, unicode.ToUpper) }

func mapRunes(s string, text *arena, f func(rune) rune) string {
	first := -1
	for i, c := range s {
		if f(c) != c {
			first = i
			break
		}
	}
	if first < 0 {
		return s
	}
	b := append(text.scratch(), s[:first]...)
	for _, c := range s[first:] {
		b = utf8.AppendRune(b, f(c))
	}
	return text.keep(b)
}

func trimBoth(s string, _ *arena) string  { return strings.Trim(s, whiteSpace) }
func trimLeft(s string, _ *arena) string  { return strings.TrimLeft(s, whiteSpace) }
func trimRight(s string, _ *arena) string { return strings.TrimRight(s, whiteSpace) }

func checkLength(n *callNode, args []*term) (*term, *fault) {
	count := func(s string) int64 { return int64(utf8.RuneCountInString(s)) }
	if is(args[0].typ, arrow.BINARY) {
		count = func(s string) int64 { return int64(len(s)) }
	} else if err := wantText(n, args...); err != nil {
		return nil, err
	}
	return apply(n.at(), typeLong, func(r *run, v *vector) *vector {
		return withInts(map1(r.rows, v, v.texts, count))
	}, args[0]), nil
}

// textTest makes the check of a condition on two texts.
func textTest(f func(s, part string) bool) func(*callNode, []*term) (*term, *fault) {
	return func(n *callNode, args []*term) (*term, *fault) {
		if err := wantText(n, args...); err != nil {
			return nil, err
		}
		return apply2(n.at(), typeBoolean, func(r *run, a, b *vector) *vector {
			return withBools(map2(r.rows, a, b, a.texts, b.texts, f))
		}, args[0], args[1]), nil
	}
}

// applyAll makes a term of a strict kernel of any number of operands.
func applyAll(at int, typ arrow.DataType, args []*term, kernel func(r *run, v []*vector) *vector) *term {
	nullable := false
	for _, a := range args {
		nullable = nullable || a.nullable
	}
	return fold(&term{at: at, typ: typ, nullable: nullable, eval: func(r *run) *vector {
		v := make([]*vector, len(args))
		for i, a := range args {
			v[i] = a.eval(r)
		}
		return kernel(r, v)
	}}, args...)
}

// textOf computes a text of every row that has all operands; false is a row
// that has no result.
func textOf(r *run, v []*vector, why reason, f func(i int, text *arena) (string, bool)) *vector {
	out, n := strict(r.rows, v...)
	out.texts = make([]string, n)
	var text arena
	for i := range n {
		if !out.ok(i) {
			continue
		}
		var ok bool
		if out.texts[i], ok = f(i, &text); !ok {
			out.fail(i, n, why)
		}
	}
	return out
}

func tooLong(name string) reason {
	return func(int) string { return fmt.Sprintf("%s makes a text of more than %d bytes", name, maxText) }
}

// checkSubstr counts characters from 1, and from -1 backwards.
func checkSubstr(n *callNode, args []*term) (*term, *fault) {
	if err := wantText(n, args[:1]...); err != nil {
		return nil, err
	}
	if err := wantLong(n, args[1:]...); err != nil {
		return nil, err
	}
	return applyAll(n.at(), typeString, args, func(r *run, v []*vector) *vector {
		return textOf(r, v, nil, func(i int, _ *arena) (string, bool) {
			most := int64(maxText)
			if len(v) == 3 {
				most = v[2].ints[i&v[2].mask]
			}
			return substring(v[0].texts[i&v[0].mask], v[1].ints[i&v[1].mask], most), true
		})
	}), nil
}

func substring(s string, start, most int64) string {
	if most <= 0 {
		return ""
	}
	if start < 0 {
		start = max(0, int64(utf8.RuneCountInString(s))+max(start, -maxText)) + 1
	}
	s = skip(s, max(start, 1)-1)
	return s[:len(s)-len(skip(s, most))]
}

// skip leaves out the first n characters.
func skip(s string, n int64) string {
	for ; n > 0 && s != ""; n-- {
		_, size := utf8.DecodeRuneInString(s)
		s = s[size:]
	}
	return s
}

func checkReplace(n *callNode, args []*term) (*term, *fault) {
	if err := wantText(n, args...); err != nil {
		return nil, err
	}
	return applyAll(n.at(), typeString, args, func(r *run, v []*vector) *vector {
		return textOf(r, v, tooLong("replace"), func(i int, text *arena) (string, bool) {
			return replaceAll(v[0].texts[i&v[0].mask], v[1].texts[i&v[1].mask], v[2].texts[i&v[2].mask], text)
		})
	}), nil
}

// replaceAll leaves a text as it is where from is empty.
func replaceAll(s, from, to string, text *arena) (string, bool) {
	if from == "" {
		return s, true
	}
	count := strings.Count(s, from)
	if count == 0 {
		return s, true
	}
	if int64(len(s))+int64(count)*int64(len(to)-len(from)) > maxText {
		return "", false
	}
	b := text.scratch()
	for range count {
		at := strings.Index(s, from)
		b = append(append(b, s[:at]...), to...)
		s = s[at+len(from):]
	}
	return text.keep(append(b, s...)), true
}

func checkConcat(n *callNode, args []*term) (*term, *fault) {
	if err := wantText(n, args...); err != nil {
		return nil, err
	}
	return applyAll(n.at(), typeString, args, joinKernel("concat")), nil
}

// concatenate is ||, of texts or of binaries.
func concatenate(n *binaryNode, x, y *term) (*term, *fault) {
	t := arrow.DataType(typeString)
	if is(x.typ, arrow.BINARY) || is(y.typ, arrow.BINARY) {
		t = typeBinary
	}
	args := []*term{x, y}
	for i, a := range args {
		switch {
		case a.typ == nil:
			args[i] = nullTerm(a.at, t)
		case !arrow.TypeEqual(a.typ, t):
			return nil, failf(a.at, "|| needs %s here, found %s", typeName(t), typeName(a.typ)).hinted("cast it: cast(x as %s)", typeName(t))
		}
	}
	return applyAll(n.at(), t, args, joinKernel("||")), nil
}

func joinKernel(name string) func(r *run, v []*vector) *vector {
	return func(r *run, v []*vector) *vector {
		return textOf(r, v, tooLong(name), func(i int, text *arena) (string, bool) {
			size := 0
			for _, part := range v {
				size += len(part.texts[i&part.mask])
			}
			if size > maxText {
				return "", false
			}
			b := text.scratch()
			for _, part := range v {
				b = append(b, part.texts[i&part.mask]...)
			}
			return text.keep(b), true
		})
	}
}

func checkSplitPart(n *callNode, args []*term) (*term, *fault) {
	if err := wantText(n, args[:2]...); err != nil {
		return nil, err
	}
	if err := wantLong(n, args[2:]...); err != nil {
		return nil, err
	}
	zero := func(int) string { return "split_part counts parts from 1, or from -1 backwards, found 0" }
	return applyAll(n.at(), typeString, args, func(r *run, v []*vector) *vector {
		return textOf(r, v, zero, func(i int, _ *arena) (string, bool) {
			part := v[2].ints[i&v[2].mask]
			return splitPart(v[0].texts[i&v[0].mask], v[1].texts[i&v[1].mask], part), part != 0
		})
	}), nil
}

// splitPart is part n of a text, from 1, or from -1 backwards; "" if there is
// none. Without a separator the text is one part.
func splitPart(s, separator string, n int64) string {
	parts := int64(1)
	if separator != "" {
		parts += int64(strings.Count(s, separator))
	}
	if n < 0 {
		n += parts + 1
	}
	if n < 1 || n > parts {
		return ""
	}
	if separator == "" {
		return s
	}
	for ; n > 1; n-- {
		s = s[strings.Index(s, separator)+len(separator):]
	}
	part, _, _ := strings.Cut(s, separator)
	return part
}

func checkRegexp(n *callNode, args []*term) (*term, *fault) {
	pattern, err := textArgument(n, 1)
	if err != nil {
		return nil, err
	}
	if err := wantText(n, args[:1]...); err != nil {
		return nil, err
	}
	compiled, failed := regexp.Compile(pattern)
	if failed != nil {
		return nil, failf(n.args[1].at(), "the pattern is no regular expression: %s", strings.TrimPrefix(failed.Error(), "error parsing regexp: ")).hinted("the syntax is RE2's")
	}
	return apply(n.at(), typeBoolean, func(r *run, v *vector) *vector {
		return withBools(map1(r.rows, v, v.texts, compiled.MatchString))
	}, args[0]), nil
}

// checkHash makes the check of a hash in lower-case hexadecimal.
func checkHash(f func(s string, to []byte) []byte) func(*callNode, []*term) (*term, *fault) {
	return func(n *callNode, args []*term) (*term, *fault) {
		if !is(args[0].typ, arrow.BINARY) {
			if err := wantText(n, args...); err != nil {
				return nil, err
			}
		}
		return apply(n.at(), typeString, func(r *run, v *vector) *vector {
			var text arena
			return withTexts(map1(r.rows, v, v.texts, func(s string) string { return text.keep(f(s, text.scratch())) }))
		}, args[0]), nil
	}
}

func md5Hex(s string, to []byte) []byte {
	sum := md5.Sum(unsafeBytes(s))
	return hex.AppendEncode(to, sum[:])
}

func sha256Hex(s string, to []byte) []byte {
	sum := sha256.Sum256(unsafeBytes(s))
	return hex.AppendEncode(to, sum[:])
}
