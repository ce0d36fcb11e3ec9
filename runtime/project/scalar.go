package project

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/calvelake/calve/runtime/record"
	"go.yaml.in/yaml/v4"
)

// scalar is a single value.
type scalar[T any] struct {
	what   string   // completes "expected …"
	tags   []string // YAML tags it may have; nil for strings
	fixed  bool     // takes no environment variables
	hidden bool     // never quoted
	parse  func(text string) (T, error)
	schema jsonSchema
}

// stringTags are what counts as a string: YAML 1.2 has no timestamps, and a
// date is meant as written.
var stringTags = []string{"!!str", "!!timestamp"}

func (s scalar[T]) read(r reader, n *yaml.Node) (T, bool) {
	var zero T
	tags := s.tags
	if tags == nil {
		tags = stringTags
	}
	variable := n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" && hasVariable(n.Value)
	if n.Kind != yaml.ScalarNode || !slices.Contains(tags, n.ShortTag()) && (!variable || s.fixed) {
		r.wrongType(n, s.what)
		return zero, false
	}
	if variable && s.fixed {
		r.fail(n, fmt.Sprintf("expected %s, which cannot come from an environment variable as in %q", s.what, excerpt(n.Value)),
			"it names tables or state, which must not depend on where the project runs")
		return zero, false
	}
	text, ok := r.expand(n)
	if !ok {
		return zero, false
	}
	value, err := s.parse(text)
	if err == nil {
		return value, true
	}
	var hinted hintedError
	switch {
	case s.hidden:
		r.fail(n, "expected "+s.what, "")
	case variable:
		r.fail(n, fmt.Sprintf("%q does not expand to %s", excerpt(n.Value), s.what), "")
	case errors.As(err, &hinted):
		r.fail(n, hinted.message, hinted.hint)
	default:
		r.fail(n, err.Error(), "")
	}
	return zero, false
}

func (s scalar[T]) expects() string          { return s.what }
func (s scalar[T]) accepts(k yaml.Kind) bool { return k == yaml.ScalarNode }

func (s scalar[T]) literalOnly() bool { return s.fixed }

func (s scalar[T]) describe(d *definitions) jsonSchema {
	_, patterned := s.schema["pattern"]
	plain := s.schema["type"] == "string" && !patterned && s.schema["enum"] == nil
	if s.fixed || plain {
		return s.schema
	}
	return jsonSchema{"anyOf": []any{s.schema, d.variable()}}
}

// hintedError is a parse error that knows what to do.
type hintedError struct{ message, hint string }

func (e hintedError) Error() string { return e.message }

func excerpt(text string) string {
	const most = 80
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

func patterned[T any](what, pattern string, parse func(string) (T, error)) scalar[T] {
	return scalar[T]{what: what, parse: parse, schema: jsonSchema{"type": "string", "pattern": pattern}}
}

func (s scalar[T]) literal() scalar[T] {
	s.fixed = true
	return s
}

// text is any string, nonEmpty one with at least a character that is not space.
var (
	text = scalar[string]{
		what: "a string", schema: jsonSchema{"type": "string"},
		parse: func(s string) (string, error) { return s, nil },
	}
	nonEmpty       = filled("a string that is not empty")
	expressionText = filled("an expression that is not empty")
)

func filled(what string) scalar[string] {
	return patterned(what, `\S`, func(s string) (string, error) {
		if strings.TrimSpace(s) == "" {
			return "", fmt.Errorf("expected %s", what)
		}
		return s, nil
	})
}

var secret = scalar[Secret]{
	what: "a string that is not empty", hidden: true, schema: jsonSchema{"type": "string", "minLength": 1},
	parse: func(s string) (Secret, error) {
		if s == "" {
			return Secret{}, errors.New("empty")
		}
		return NewSecret(s), nil
	},
}

func named(what string, parse func(string) (string, error)) scalar[string] {
	s := patterned(what, record.NamePattern, func(text string) (string, error) {
		name, err := parse(text)
		if err == nil {
			return name, nil
		}
		if proposal := snakeCase(text); proposal != "" {
			return "", hintedError{err.Error(), fmt.Sprintf("use %q", proposal)}
		}
		return "", err
	})
	s.schema["maxLength"] = record.MaxName
	return s
}

var (
	name      = named("a name in lower case", parseName).literal()
	newColumn = named("a column name in lower case", parseColumnName).literal()
	// columnName refers to a column, which may be one of the position columns.
	columnName = named("a column name", parseName).literal()
)

var (
	duration = patterned(aDuration, durationPattern, parseDuration)

	positiveDuration = patterned(aDuration+", more than 0", durationPattern, func(s string) (time.Duration, error) {
		d, err := parseDuration(s)
		if err == nil && d == 0 {
			return 0, fmt.Errorf("%q is too short, expected a duration of more than 0", s)
		}
		return d, err
	})
	positiveSize = patterned(aSize+", more than 0", sizePattern, func(s string) (int64, error) {
		n, err := parseSize(s)
		if err == nil && n == 0 {
			return 0, fmt.Errorf("%q is too small, expected a size of more than 0", s)
		}
		return n, err
	})
)

var boolean = scalar[bool]{
	what: "true or false", tags: []string{"!!bool"}, schema: jsonSchema{"type": "boolean"},
	parse: func(s string) (bool, error) {
		switch strings.ToLower(s) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return false, fmt.Errorf("%q is no boolean, expected true or false", s)
	},
}

// integer is a decimal integer from least to most.
func integer(least, most int64) scalar[int64] {
	what := fmt.Sprintf("an integer from %d to %d", least, most)
	schema := jsonSchema{"type": "integer", "minimum": least, "maximum": most}
	if most == math.MaxInt64 {
		what = fmt.Sprintf("an integer of at least %d", least)
		delete(schema, "maximum")
	}
	return scalar[int64]{what: what, tags: []string{"!!int"}, schema: schema, parse: func(s string) (int64, error) {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < least || n > most {
			return 0, fmt.Errorf("%q is out of range, expected %s", s, what)
		}
		return n, nil
	}}
}

// ratio is a number from 0 to 1.
var ratio = scalar[float64]{
	what: "a number from 0 to 1", tags: []string{"!!int", "!!float"}, schema: jsonSchema{"type": "number", "minimum": 0, "maximum": 1},
	parse: func(s string) (float64, error) {
		x, err := strconv.ParseFloat(s, 64)
		if err != nil || !(x >= 0 && x <= 1) {
			return 0, fmt.Errorf("%q is out of range, expected a number from 0 to 1", s)
		}
		return x, nil
	},
}

// anyScalar is a string, number or boolean, kept as its text.
var anyScalar = scalar[string]{
	what: "a string, number or boolean", tags: []string{"!!str", "!!timestamp", "!!int", "!!float", "!!bool"},
	schema: jsonSchema{"type": []any{"string", "number", "boolean"}},
	parse:  func(s string) (string, error) { return s, nil },
}

// oneOf is a word of a closed set.
func oneOf[T ~string](words ...T) scalar[T] {
	texts := make([]string, len(words))
	values := make([]any, len(words))
	for i, w := range words {
		texts[i], values[i] = string(w), string(w)
	}
	what := "one of " + strings.Join(texts, ", ")
	return scalar[T]{what: what, schema: jsonSchema{"type": "string", "enum": values}, parse: func(s string) (T, error) {
		if slices.Contains(texts, s) {
			return T(s), nil
		}
		return "", hintedError{fmt.Sprintf("%q is not %s", excerpt(s), what), didYouMean(s, texts)}
	}}
}

// typePattern is what ParseType reads, as far as a regular expression can say.
const typePattern = `^(boolean|int|long|float|double|string|binary|date|timestamp|timestamptz|decimal\([0-9]+, ?[0-9]+\)|(list|map|struct)<.+>)$`

var typeText = regexp.MustCompile(typePattern)

// dataType is a type of record.ParseType, kept as its canonical text.
var dataType = scalar[string]{
	what: "a data_type such as long, string, timestamptz or decimal(10,2)", fixed: true,
	schema: jsonSchema{"type": "string", "pattern": typePattern, "examples": typeExamples},
	parse: func(s string) (string, error) {
		t, err := record.ParseType(s)
		if err != nil {
			return "", err
		}
		canonical := record.FormatType(t)
		if !typeText.MatchString(s) {
			return "", hintedError{fmt.Sprintf("data_type %q is not written as types are", excerpt(s)), fmt.Sprintf("write %q", canonical)}
		}
		return canonical, nil
	},
}

var typeExamples = []any{"boolean", "int", "long", "float", "double", "decimal(10,2)", "string", "binary", "date",
	"timestamp", "timestamptz", "list<string>", "map<string, long>", "struct<name: string, age: int>"}
