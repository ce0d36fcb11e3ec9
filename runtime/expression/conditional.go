package expression

import (
	"github.com/apache/arrow-go/v18/arrow"
)

// cases is case: the first condition that is true chooses.
func (k *checker) cases(n *caseNode) (*term, *fault) {
	conditions, err := k.conditions(n)
	if err != nil {
		return nil, err
	}
	results := make([]*term, len(n.whens), len(n.whens)+1)
	for i, w := range n.whens {
		if results[i], err = k.value(w.then); err != nil {
			return nil, err
		}
	}
	last := nullTerm(n.at(), nil)
	if n.otherwise != nil {
		if last, err = k.value(n.otherwise); err != nil {
			return nil, err
		}
	}
	results, t, err := unifyValues("the results of case", append(results, last))
	if err != nil {
		return nil, err
	}
	made := &term{at: n.at(), typ: t}
	for _, one := range results {
		made.nullable = made.nullable || one.nullable
	}
	made.eval = func(r *run) *vector { return chooseCase(r, t, conditions, results) }
	return fold(made, append(conditions, results...)...), nil
}

func (k *checker) conditions(n *caseNode) ([]*term, *fault) {
	var subject *term
	if n.subject != nil {
		var err *fault
		if subject, err = k.value(n.subject); err != nil {
			return nil, err
		}
		subject = shared(subject)
	}
	conditions := make([]*term, len(n.whens))
	for i, w := range n.whens {
		t, err := k.value(w.condition)
		if err != nil {
			return nil, err
		}
		if subject != nil {
			t, err = compare(w.condition.at(), "=", subject, t)
		} else {
			t, err = condition(t, "when")
		}
		if err != nil {
			return nil, err
		}
		conditions[i] = t
	}
	return conditions, nil
}

// unifyValues is unify for values that are chosen from.
func unifyValues(what string, terms []*term) ([]*term, arrow.DataType, *fault) {
	out, t, err := unify(what, terms...)
	if err == nil && classOf(t) == classNested {
		err = failf(terms[0].at, "%s: values of type %s cannot be chosen from", what, typeName(t)).hinted("choose among their fields")
	}
	return out, t, err
}

func evalAll(r *run, terms []*term) []*vector {
	out := make([]*vector, len(terms))
	for i, t := range terms {
		out[i] = t.eval(r)
	}
	return out
}

// undecided is a choice that is not made yet.
const undecided = -1

func chooseCase(r *run, t arrow.DataType, conditions, results []*term) *vector {
	tests := evalAll(r, conditions)
	from := evalAll(r, results)
	return choose(r, t, append(tests[:len(tests):len(tests)], from...), from, func(i int) (int, reason) {
		for j, test := range tests {
			if why := test.fault(i); why != nil {
				return undecided, why
			}
			if test.ok(i) && test.bools[i&test.mask] {
				return j, nil
			}
		}
		return len(tests), nil
	})
}

// choose takes for each row the value of one vector; all are what the choice
// depends on.
func choose(r *run, t arrow.DataType, all, from []*vector, choice func(i int) (int, reason)) *vector {
	out := &vector{}
	for _, v := range all {
		out.mask |= v.mask
	}
	n := length(out.mask, r.rows)
	c := classOf(t)
	out.grow(c, n)
	for i := range n {
		j, why := choice(i)
		if why == nil && j >= 0 {
			why = from[j].fault(i)
		}
		switch {
		case why != nil:
			out.fail(i, n, why)
		case j < 0 || !from[j].ok(i):
			out.setNull(i, n)
		default:
			out.copy(c, i, from[j])
		}
	}
	return out
}

// copy takes a row's value from another vector.
func (v *vector) copy(c class, i int, from *vector) {
	at := i & from.mask
	switch c {
	case classBoolean:
		v.bools[i] = from.bools[at]
	case classInteger:
		v.ints[i] = from.ints[at]
	case classDouble:
		v.doubles[i] = from.doubles[at]
	case classDecimal:
		v.decimals[i] = from.decimals[at]
	case classText:
		v.texts[i] = from.texts[at]
	}
}

func checkCoalesce(n *callNode, args []*term) (*term, *fault) {
	args, t, err := unifyValues(n.name, args)
	if err != nil || t == nil {
		return nullTerm(n.at(), t), err
	}
	made := &term{at: n.at(), typ: t, nullable: true}
	for _, a := range args {
		made.nullable = made.nullable && a.nullable
	}
	made.eval = func(r *run) *vector {
		from := evalAll(r, args)
		return choose(r, t, from, from, func(i int) (int, reason) {
			for j, v := range from {
				if v.fault(i) != nil || v.ok(i) {
					return j, nil
				}
			}
			return undecided, nil
		})
	}
	return fold(made, args...), nil
}

func checkNullIf(n *callNode, args []*term) (*term, *fault) {
	x, y := shared(args[0]), args[1]
	equal, err := compare(n.at(), "=", x, y)
	if err != nil {
		return nil, err
	}
	if x.typ == nil {
		return x, nil
	}
	made := &term{at: n.at(), typ: x.typ, nullable: true}
	made.eval = func(r *run) *vector {
		same, from := equal.eval(r), x.eval(r)
		return choose(r, x.typ, []*vector{same, from}, []*vector{from}, func(i int) (int, reason) {
			if why := same.fault(i); why != nil {
				return undecided, why
			}
			if same.ok(i) && same.bools[i&same.mask] {
				return undecided, nil
			}
			return 0, nil
		})
	}
	return fold(made, equal, x), nil
}

// checkExtreme is greatest and least, which leave nulls out.
func checkExtreme(op string) func(*callNode, []*term) (*term, *fault) {
	return func(n *callNode, args []*term) (*term, *fault) {
		args, t, err := unifyValues(n.name, args)
		if err != nil || t == nil {
			return nullTerm(n.at(), t), err
		}
		made := args[0]
		better := compareKernel(op, t)
		for _, a := range args[1:] {
			x, y := made.eval, a.eval
			next := &term{at: n.at(), typ: t, nullable: made.nullable && a.nullable, eval: func(r *run) *vector {
				return extreme(r, t, x(r), y(r), better)
			}}
			made = fold(next, made, a)
		}
		return made, nil
	}
}

func extreme(r *run, t arrow.DataType, a, b *vector, better kernel2) *vector {
	first := better(r, a, b)
	return choose(r, t, []*vector{a, b}, []*vector{a, b}, func(i int) (int, reason) {
		switch {
		case first.fault(i) != nil:
			return undecided, first.fault(i)
		case !b.ok(i), a.ok(i) && first.bools[i&first.mask]:
			return 0, nil
		}
		return 1, nil
	})
}
