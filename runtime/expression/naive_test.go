package expression

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// naive is an expression with an evaluator that shares no code with the
// package: a row at a time, values in interfaces, the branches that are taken
// alone. Values are nil, bool, int64, float64, string, time.Time (in UTC), and
// *big.Int for hundredths of a decimal(10,2).
type naive struct {
	text string
	eval func(row map[string]any) (any, error)
}

var errNaive = errors.New("no result")

// generator makes random expressions of a type.
type generator struct{ *rand.Rand }

const (
	ofBool    = "boolean"
	ofLong    = "long"
	ofDouble  = "double"
	ofText    = "string"
	ofDecimal = "decimal(10,2)"
	ofTime    = "timestamptz"
)

var naiveTypes = []string{ofBool, ofLong, ofDouble, ofText, ofDecimal, ofTime}

func (g generator) pick(words ...string) string { return words[g.IntN(len(words))] }

func (g generator) make(t string, depth int) naive {
	if depth == 0 || g.IntN(8) == 0 {
		return g.leaf(t)
	}
	if g.IntN(4) == 0 {
		return g.conditional(t, depth-1)
	}
	switch t {
	case ofBool:
		return g.condition(depth - 1)
	case ofLong:
		return g.long(depth - 1)
	case ofDouble:
		return g.double(depth - 1)
	case ofText:
		return g.string(depth - 1)
	case ofDecimal:
		return g.decimal(depth - 1)
	}
	return g.time(depth - 1)
}

func (g generator) leaf(t string) naive {
	if g.IntN(3) > 0 {
		name := map[string]string{ofBool: "b", ofLong: "l", ofDouble: "d", ofText: "s", ofDecimal: "p", ofTime: "t"}[t] + g.pick("1", "2")
		return naive{name, func(row map[string]any) (any, error) { return row[name], nil }}
	}
	if g.IntN(5) == 0 {
		return fixed("cast(null as "+t+")", nil)
	}
	switch t {
	case ofBool:
		v := g.IntN(2) == 0
		return fixed(strconv.FormatBool(v), v)
	case ofLong:
		v := []int64{0, 1, -1, 2, 7, 1 << 31, math.MaxInt64, math.MinInt64}[g.IntN(8)]
		return fixed(fmt.Sprintf("cast(%d as long)", v), v)
	case ofDouble:
		v := []float64{0, 1.5, -2.25, 1e300, 3}[g.IntN(5)]
		return fixed(strconv.FormatFloat(v, 'e', -1, 64), v)
	case ofText:
		v := g.pick("", "a", "Äb", "it's", "12", "%x_", "a,b,c")
		return fixed("'"+strings.ReplaceAll(v, "'", "''")+"'", v)
	case ofDecimal:
		v := int64(g.IntN(2000) - 1000)
		return fixed(fmt.Sprintf("cast(cast(%d as decimal(10,2)) / 100 as decimal(10,2))", v), big.NewInt(v))
	}
	v := time.Date(2024, 2, 29, 23, 59, 59, 999_999_000, time.UTC)
	return fixed("timestamp '2024-02-29T23:59:59.999999Z'", v)
}

func fixed(text string, v any) naive {
	return naive{text, func(map[string]any) (any, error) { return v, nil }}
}

// strictly makes an expression that is null where an operand is.
func strictly(text string, f func(v []any) (any, error), operands ...naive) naive {
	return naive{text, func(row map[string]any) (any, error) {
		values := make([]any, len(operands))
		null := false
		for i, o := range operands {
			v, err := o.eval(row)
			if err != nil {
				return nil, err
			}
			values[i], null = v, null || v == nil
		}
		if null {
			return nil, nil
		}
		return f(values)
	}}
}

func (g generator) conditional(t string, depth int) naive {
	x, y := g.make(t, depth), g.make(t, depth)
	switch g.IntN(4) {
	case 0:
		c := g.make(ofBool, depth)
		return naive{"case when " + c.text + " then " + x.text + " else " + y.text + " end", func(row map[string]any) (any, error) {
			v, err := c.eval(row)
			if err != nil {
				return nil, err
			}
			if v == true {
				return x.eval(row)
			}
			return y.eval(row)
		}}
	case 1:
		return naive{"coalesce(" + x.text + ", " + y.text + ")", func(row map[string]any) (any, error) {
			if v, err := x.eval(row); v != nil || err != nil {
				return v, err
			}
			return y.eval(row)
		}}
	case 2:
		return naive{"nullif(" + x.text + ", " + y.text + ")", func(row map[string]any) (any, error) {
			v, err := x.eval(row)
			if err != nil {
				return nil, err
			}
			w, err := y.eval(row)
			if err != nil || v == nil || w == nil || order(v, w) != 0 {
				return v, err
			}
			return nil, nil
		}}
	}
	name, sign := "greatest", 1
	if g.IntN(2) == 0 {
		name, sign = "least", -1
	}
	return naive{name + "(" + x.text + ", " + y.text + ")", func(row map[string]any) (any, error) {
		v, err := x.eval(row)
		if err != nil {
			return nil, err
		}
		w, err := y.eval(row)
		switch {
		case err != nil:
			return nil, err
		case v == nil:
			return w, nil
		case w == nil || order(v, w)*sign >= 0:
			return v, nil
		}
		return w, nil
	}}
}

// order compares two values of one type.
func order(a, b any) int {
	switch a := a.(type) {
	case bool:
		return map[bool]int{false: 0, true: 1}[a] - map[bool]int{false: 0, true: 1}[b.(bool)]
	case int64:
		return big.NewInt(a).Cmp(big.NewInt(b.(int64)))
	case float64:
		switch b := b.(float64); {
		case a < b:
			return -1
		case a > b:
			return 1
		}
		return 0
	case string:
		return strings.Compare(a, b.(string))
	case *big.Int:
		return a.Cmp(b.(*big.Int))
	}
	return a.(time.Time).Compare(b.(time.Time))
}

func (g generator) condition(depth int) naive {
	t := naiveTypes[g.IntN(len(naiveTypes))]
	x, y := g.make(t, depth), g.make(t, depth)
	switch g.IntN(8) {
	case 0:
		return logic(g.make(ofBool, depth), g.make(ofBool, depth), "and")
	case 1:
		return logic(g.make(ofBool, depth), g.make(ofBool, depth), "or")
	case 2:
		b := g.make(ofBool, depth)
		return strictly("not ("+b.text+")", func(v []any) (any, error) { return !v[0].(bool), nil }, b)
	case 3:
		return naive{"(" + x.text + ") is null", func(row map[string]any) (any, error) {
			v, err := x.eval(row)
			return v == nil, err
		}}
	case 4:
		return naive{"(" + x.text + ") is distinct from (" + y.text + ")", func(row map[string]any) (any, error) {
			v, err := x.eval(row)
			if err != nil {
				return nil, err
			}
			w, err := y.eval(row)
			return (v == nil) != (w == nil) || v != nil && order(v, w) != 0, err
		}}
	case 5:
		z := g.make(t, depth)
		equal := func(a, b naive) naive {
			return strictly("", func(v []any) (any, error) { return order(v[0], v[1]) == 0, nil }, a, b)
		}
		either := logic(equal(x, y), equal(x, z), "or")
		return naive{"(" + x.text + ") in (" + y.text + ", " + z.text + ")", either.eval}
	case 6:
		s, p := g.make(ofText, depth), g.pick("%", "a%", "%b", "_", "%,%", "")
		pattern := regexp.MustCompile(`(?s)^` + strings.NewReplacer("%", ".*", "_", ".").Replace(regexp.QuoteMeta(p)) + `$`)
		return strictly("("+s.text+") like '"+p+"'", func(v []any) (any, error) { return pattern.MatchString(v[0].(string)), nil }, s)
	}
	op := g.pick("=", "<>", "<", "<=", ">", ">=")
	return strictly("("+x.text+") "+op+" ("+y.text+")", func(v []any) (any, error) {
		o := order(v[0], v[1])
		return map[string]bool{"=": o == 0, "<>": o != 0, "<": o < 0, "<=": o <= 0, ">": o > 0, ">=": o >= 0}[op], nil
	}, x, y)
}

func logic(x, y naive, op string) naive {
	decides := op == "or"
	return naive{"(" + x.text + ") " + op + " (" + y.text + ")", func(row map[string]any) (any, error) {
		v, err := x.eval(row)
		if err != nil || v == decides {
			return v, err
		}
		w, err := y.eval(row)
		switch {
		case err != nil || w == decides:
			return w, err
		case v == nil || w == nil:
			return nil, nil
		}
		return !decides, nil
	}}
}

func (g generator) long(depth int) naive {
	switch g.IntN(5) {
	case 0:
		s := g.make(ofText, depth)
		return strictly("length("+s.text+")", func(v []any) (any, error) { return int64(len([]rune(v[0].(string)))), nil }, s)
	case 1:
		s := g.make(ofText, depth)
		return strictly("cast("+s.text+" as long)", func(v []any) (any, error) {
			n, err := strconv.ParseInt(strings.TrimSpace(v[0].(string)), 10, 64)
			if err != nil {
				return nil, errNaive
			}
			return n, nil
		}, s)
	case 2:
		p := g.make(ofDecimal, depth)
		return strictly("cast(floor("+p.text+") as long)", func(v []any) (any, error) {
			return new(big.Int).Div(v[0].(*big.Int), big.NewInt(100)).Int64(), nil
		}, p)
	}
	x, y, op := g.make(ofLong, depth), g.make(ofLong, depth), g.pick("+", "-", "*", "%")
	return strictly("("+x.text+") "+op+" ("+y.text+")", func(v []any) (any, error) {
		a, b := big.NewInt(v[0].(int64)), big.NewInt(v[1].(int64))
		switch op {
		case "+":
			a.Add(a, b)
		case "-":
			a.Sub(a, b)
		case "*":
			a.Mul(a, b)
		default:
			if b.Sign() == 0 {
				return nil, errNaive
			}
			a.Rem(a, b)
		}
		if !a.IsInt64() {
			return nil, errNaive
		}
		return a.Int64(), nil
	}, x, y)
}

func (g generator) double(depth int) naive {
	if g.IntN(3) == 0 {
		x, y := g.make(ofLong, depth), g.make(ofLong, depth)
		return strictly("("+x.text+") / ("+y.text+")", func(v []any) (any, error) {
			if v[1].(int64) == 0 {
				return nil, errNaive
			}
			return float64(v[0].(int64)) / float64(v[1].(int64)), nil
		}, x, y)
	}
	x, y, op := g.make(ofDouble, depth), g.make(ofDouble, depth), g.pick("+", "-", "*")
	return strictly("("+x.text+") "+op+" ("+y.text+")", func(v []any) (any, error) {
		a, b := v[0].(float64), v[1].(float64)
		z := map[string]float64{"+": a + b, "-": a - b, "*": a * b}[op]
		if math.IsInf(z, 0) {
			return nil, errNaive
		}
		return z, nil
	}, x, y)
}

func (g generator) string(depth int) naive {
	x := g.make(ofText, depth)
	switch g.IntN(4) {
	case 0:
		y := g.make(ofText, depth)
		return strictly("("+x.text+") || ("+y.text+")", func(v []any) (any, error) { return v[0].(string) + v[1].(string), nil }, x, y)
	case 1:
		return strictly("upper("+x.text+")", func(v []any) (any, error) { return strings.ToUpper(v[0].(string)), nil }, x)
	case 2:
		l := g.make(ofLong, depth)
		return strictly("cast("+l.text+" as string)", func(v []any) (any, error) { return fmt.Sprint(v[0]), nil }, l)
	}
	n := g.IntN(3) + 1
	return strictly(fmt.Sprintf("substr(%s, %d, 2)", x.text, n), func(v []any) (any, error) {
		r := []rune(v[0].(string))
		r = r[min(n-1, len(r)):]
		return string(r[:min(2, len(r))]), nil
	}, x)
}

func (g generator) decimal(depth int) naive {
	x, y, op := g.make(ofDecimal, depth), g.make(ofDecimal, depth), g.pick("+", "-", "*")
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(10), nil)
	return strictly("cast(("+x.text+") "+op+" ("+y.text+") as decimal(10,2))", func(v []any) (any, error) {
		a, b, z := v[0].(*big.Int), v[1].(*big.Int), new(big.Int)
		switch op {
		case "+":
			z.Add(a, b)
		case "-":
			z.Sub(a, b)
		default: // hundredths of hundredths, rounded half away from zero
			z.Abs(z.Mul(a, b))
			z.Add(z, big.NewInt(50)).Quo(z, big.NewInt(100))
			if a.Sign()*b.Sign() < 0 {
				z.Neg(z)
			}
		}
		if z.CmpAbs(limit) >= 0 {
			return nil, errNaive
		}
		return z, nil
	}, x, y)
}

func (g generator) time(depth int) naive {
	x := g.make(ofTime, depth)
	if g.IntN(2) == 0 {
		return strictly("("+x.text+") + interval '1 month 1 hour'", func(v []any) (any, error) {
			at := v[0].(time.Time)
			first := time.Date(at.Year(), at.Month()+1, 1, at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), time.UTC)
			last := first.AddDate(0, 1, -1).Day()
			return first.AddDate(0, 0, min(at.Day(), last)-1).Add(time.Hour), nil
		}, x)
	}
	return strictly("date_trunc('week', "+x.text+")", func(v []any) (any, error) {
		at := v[0].(time.Time)
		return time.Date(at.Year(), at.Month(), at.Day()-(int(at.Weekday())+6)%7, 0, 0, 0, 0, time.UTC), nil
	}, x)
}
