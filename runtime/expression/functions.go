package expression

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record"
)

// function is one entry of the table of functions.
type function struct {
	usage       string
	least, most int // arguments; most 0 for any number
	check       func(n *callNode, args []*term) (*term, *fault)
}

var functions = map[string]function{
	"coalesce":        {"coalesce(x, …)", 1, 0, checkCoalesce},
	"nullif":          {"nullif(x, y)", 2, 2, checkNullIf},
	"greatest":        {"greatest(x, …)", 1, 0, checkExtreme(">=")},
	"least":           {"least(x, …)", 1, 0, checkExtreme("<=")},
	"abs":             {"abs(number)", 1, 1, checkAbs},
	"round":           {"round(number, digits)", 1, 2, checkRound},
	"floor":           {"floor(number)", 1, 1, checkWhole(false)},
	"ceil":            {"ceil(number)", 1, 1, checkWhole(true)},
	"lower":           {"lower(text)", 1, 1, textToText(lowerText)},
	"upper":           {"upper(text)", 1, 1, textToText(upperText)},
	"trim":            {"trim(text)", 1, 1, textToText(trimBoth)},
	"ltrim":           {"ltrim(text)", 1, 1, textToText(trimLeft)},
	"rtrim":           {"rtrim(text)", 1, 1, textToText(trimRight)},
	"length":          {"length(text)", 1, 1, checkLength},
	"substr":          {"substr(text, start, length)", 2, 3, checkSubstr},
	"replace":         {"replace(text, from, to)", 3, 3, checkReplace},
	"concat":          {"concat(text, …)", 1, 0, checkConcat},
	"starts_with":     {"starts_with(text, start)", 2, 2, textTest(strings.HasPrefix)},
	"ends_with":       {"ends_with(text, end)", 2, 2, textTest(strings.HasSuffix)},
	"contains":        {"contains(text, part)", 2, 2, textTest(strings.Contains)},
	"split_part":      {"split_part(text, separator, n)", 3, 3, checkSplitPart},
	"regexp_like":     {"regexp_like(text, 'pattern')", 2, 2, checkRegexp},
	"md5":             {"md5(text)", 1, 1, checkHash(md5Hex)},
	"sha256":          {"sha256(text)", 1, 1, checkHash(sha256Hex)},
	"date_trunc":      {"date_trunc('unit', time)", 2, 2, checkTruncate},
	"date_part":       {"date_part('unit', time)", 2, 2, checkPart},
	"date_diff":       {"date_diff('unit', from, to)", 3, 3, checkDifference},
	"seconds_between": {"seconds_between(from, to)", 2, 2, checkSeconds},
	"to_timestamp":    {"to_timestamp(seconds)", 1, 1, checkInstant("to_timestamp", microsecondsPerSecond)},
	"to_timestamp_ms": {"to_timestamp_ms(milliseconds)", 1, 1, checkInstant("to_timestamp_ms", 1000)},
	"to_timestamp_us": {"to_timestamp_us(microseconds)", 1, 1, checkInstant("to_timestamp_us", 1)},
}

// aliases are names of functions in other dialects.
var aliases = map[string]string{"substring": "substr", "ceiling": "ceil", "datediff": "date_diff", "ifnull": "coalesce", "nvl": "coalesce"}

// aggregates are functions over rows: they have names that people try.
var aggregates = AggregateNames()

// FunctionNames lists the functions, in order of name.
func FunctionNames() []string { return slices.Sorted(maps.Keys(functions)) }

func (k *checker) call(n *callNode) (*term, *fault) {
	name := n.name
	if other, ok := aliases[name]; ok {
		name = other
	}
	f, ok := functions[name]
	if !ok {
		return nil, unknownFunction(n)
	}
	if len(n.args) < f.least || f.most > 0 && len(n.args) > f.most {
		return nil, failf(n.at(), "%s takes %s, found %d", n.name, f.arity(), len(n.args)).hinted("write %s", f.usage)
	}
	args, err := k.values(n.args)
	if err != nil {
		return nil, err
	}
	return f.check(n, args)
}

func (f function) arity() string {
	switch {
	case f.most == 0:
		return fmt.Sprintf("%d or more arguments", f.least)
	case f.least == f.most && f.least == 1:
		return "1 argument"
	case f.least == f.most:
		return fmt.Sprintf("%d arguments", f.least)
	}
	return fmt.Sprintf("%d to %d arguments", f.least, f.most)
}

func unknownFunction(n *callNode) *fault {
	err := failf(n.at(), "there is no function %q", n.name)
	if slices.Contains(aggregates, n.name) {
		return err.hinted("%s is an aggregate over rows; an expression sees one row", n.name)
	}
	if near, ok := record.Nearest(n.name, append(slices.Collect(maps.Keys(aliases)), FunctionNames()...)); ok {
		return err.hinted("did you mean %s?", near)
	}
	return err.hinted("there are %s; a plugin can do more", strings.Join(FunctionNames(), ", "))
}

// wantText wants texts; a null without a type is one.
func wantText(n *callNode, args ...*term) *fault {
	for i, t := range args {
		if t.typ == nil {
			args[i] = nullTerm(t.at, typeString)
		} else if !isString(t.typ) {
			return failf(t.at, "%s needs text, found %s", n.name, typeName(t.typ)).hinted("cast it: cast(x as string)")
		}
	}
	return nil
}

func wantNumber(n *callNode, args ...*term) *fault {
	for i, t := range args {
		if t.typ == nil {
			args[i] = nullTerm(t.at, typeLong)
		} else if !isNumeric(t.typ) {
			return failf(t.at, "%s needs a number, found %s", n.name, typeName(t.typ)).hinted("cast it: cast(x as long)")
		}
	}
	return nil
}

func wantLong(n *callNode, args ...*term) *fault {
	for i, t := range args {
		if t.typ != nil && !isInteger(t.typ) {
			return failf(t.at, "%s needs a whole number here, found %s", n.name, typeName(t.typ)).hinted("cast it: cast(x as long)")
		}
		args[i], _ = coerce(t, typeLong)
	}
	return nil
}

// wantTime wants dates or timestamps; a text literal is read as a timestamptz.
func wantTime(n *callNode, args ...*term) *fault {
	for i, t := range args {
		switch {
		case t.typ == nil:
			args[i] = nullTerm(t.at, typeTimestamptz)
		case t.text:
			made, err := timeOfText(t, typeTimestamptz)
			if err != nil {
				return err
			}
			args[i] = made
		case !isTime(t.typ):
			return failf(t.at, "%s needs a date or a timestamp, found %s", n.name, typeName(t.typ)).hinted("cast it: cast(x as timestamptz)")
		}
	}
	return nil
}

// textArgument is the text of an argument that must be written out.
func textArgument(n *callNode, i int) (string, *fault) {
	l, ok := n.args[i].(*literalNode)
	if !ok || l.kind != literalText {
		return "", failf(n.args[i].at(), "%s needs a text in quotes here, not a value of a row", n.name)
	}
	return l.text, nil
}

func literalUnit(n *callNode) (unit, *fault) {
	name, err := textArgument(n, 0)
	if err != nil {
		return unit{}, err
	}
	u, ok := unitNamed(name)
	if !ok {
		return unit{}, failf(n.args[0].at(), "unknown unit '%s', expected one of %s", excerpt(name), unitNames())
	}
	return u, nil
}

func checkTruncate(n *callNode, args []*term) (*term, *fault) {
	u, err := literalUnit(n)
	if err != nil {
		return nil, err
	}
	if err := wantTime(n, args[1:]...); err != nil {
		return nil, err
	}
	x := args[1]
	if !is(x.typ, arrow.DATE32) {
		return apply(n.at(), x.typ, truncateKernel(u, x.typ, func(us int64) (int64, bool) {
			return u.truncate(us), us >= firstMicrosecond && us <= lastMicrosecond
		}), x), nil
	}
	if u.months == 0 && u.microseconds < microsecondsPerDay {
		return nil, failf(n.args[0].at(), "a date has no %s", u.name).hinted("cast it to timestamp")
	}
	return apply(n.at(), typeDate, truncateKernel(u, x.typ, func(days int64) (int64, bool) {
		us, ok := midnight(days)
		return daysOf(u.truncate(us)), ok
	}), x), nil
}

func truncateKernel(u unit, t arrow.DataType, f func(int64) (int64, bool)) kernel1 {
	return func(r *run, v *vector) *vector {
		return withInts(try1(r.rows, v, v.ints, f, func(row int) string {
			return fmt.Sprintf("date_trunc('%s', %s) is outside the years 1 to 9999", u.name, v.show(row, t))
		}))
	}
}

func ofInts(f func(int64) int64) kernel1 {
	return func(r *run, v *vector) *vector {
		return withInts(map1(r.rows, v, v.ints, f))
	}
}

func checkPart(n *callNode, args []*term) (*term, *fault) {
	name, err := textArgument(n, 0)
	if err != nil {
		return nil, err
	}
	name = strings.ToLower(name)
	part, ok := dateParts[strings.TrimSuffix(name, "s")]
	if !ok {
		return nil, failf(n.args[0].at(), "unknown part '%s' of a time, expected one of %s", excerpt(name), strings.Join(slices.Sorted(maps.Keys(dateParts)), ", "))
	}
	if err := wantTime(n, args[1:]...); err != nil {
		return nil, err
	}
	x := args[1]
	if part.clock && is(x.typ, arrow.DATE32) {
		return nil, failf(n.args[0].at(), "a date has no %s", name)
	}
	t := arrow.DataType(typeInt)
	if part.long {
		t = typeLong
	}
	return apply(n.at(), t, ofInts(part.of), asMicroseconds(x)), nil
}

func checkDifference(n *callNode, args []*term) (*term, *fault) {
	u, err := literalUnit(n)
	if err != nil {
		return nil, err
	}
	return difference(n, args[1:], u.between)
}

func checkSeconds(n *callNode, args []*term) (*term, *fault) {
	return difference(n, args, func(from, to int64) int64 {
		if to < from { // as magnitudes: the difference of two longs can be beyond one
			return -int64((uint64(from) - uint64(to)) / microsecondsPerSecond)
		}
		return int64((uint64(to) - uint64(from)) / microsecondsPerSecond)
	})
}

func difference(n *callNode, args []*term, f func(from, to int64) int64) (*term, *fault) {
	if err := wantTime(n, args...); err != nil {
		return nil, err
	}
	if commonType(args[0].typ, args[1].typ) == nil {
		return nil, noCommonType(n.name, args[0].typ, args[1])
	}
	return apply2(n.at(), typeLong, func(r *run, a, b *vector) *vector {
		return withInts(map2(r.rows, a, b, a.ints, b.ints, f))
	}, asMicroseconds(args[0]), asMicroseconds(args[1])), nil
}

func checkInstant(name string, per int64) func(*callNode, []*term) (*term, *fault) {
	return func(n *callNode, args []*term) (*term, *fault) {
		if err := wantNumber(n, args...); err != nil {
			return nil, err
		}
		kernel := instantKernel(name, per)
		if isDecimal(args[0].typ) {
			kernel = exactInstantKernel(name, per, args[0].typ.(*arrow.Decimal128Type))
		}
		return apply(n.at(), typeTimestamptz, kernel, args[0]), nil
	}
}
