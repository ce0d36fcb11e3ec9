package expression

func notKernel(r *run, x *vector) *vector {
	return withBools(map1(r.rows, x, x.bools, func(b bool) bool { return !b }))
}

func isNullKernel(r *run, x *vector) *vector {
	n := length(x.mask, r.rows)
	out := &vector{mask: x.mask, bools: make([]bool, n)}
	out.addFaults(x, n)
	if x.valid != nil {
		for i, ok := range x.valid {
			out.bools[i] = !ok
		}
	}
	return out
}

// isValueKernel is is true and is false, which are never null.
func isValueKernel(want bool) kernel1 {
	return func(r *run, x *vector) *vector {
		n := length(x.mask, r.rows)
		out := &vector{mask: x.mask, bools: make([]bool, n)}
		out.addFaults(x, n)
		for i := range out.bools {
			out.bools[i] = x.ok(i) && x.bools[i] == want
		}
		return out
	}
}

// logicKernel is and, or or. The right side is asked for where the left one
// does not decide.
func logicKernel(and bool) kernel2 {
	return func(r *run, a, b *vector) *vector {
		out := &vector{mask: a.mask | b.mask}
		n := length(out.mask, r.rows)
		out.bools = make([]bool, n)
		if a.valid == nil && b.valid == nil && a.faults == nil && b.faults == nil {
			for i := range out.bools {
				x, y := a.bools[i&a.mask], b.bools[i&b.mask]
				out.bools[i] = and && x && y || !and && (x || y)
			}
			return out
		}
		for i := range n {
			// The value that decides: false for and, true for or.
			xDecides := a.ok(i) && a.bools[i&a.mask] != and
			yDecides := b.ok(i) && b.bools[i&b.mask] != and
			switch {
			case a.fault(i) != nil:
				out.fail(i, n, a.fault(i))
			case xDecides:
				out.bools[i] = !and
			case b.fault(i) != nil:
				out.fail(i, n, b.fault(i))
			case yDecides:
				out.bools[i] = !and
			case !a.ok(i) || !b.ok(i):
				out.setNull(i, n)
			default:
				out.bools[i] = and
			}
		}
		return out
	}
}

// distinctKernel tells whether two values differ, of whether they are equal
// and whether each is null.
func distinctKernel(r *run, equal, xNull, yNull *vector) *vector {
	out := &vector{mask: equal.mask | xNull.mask | yNull.mask}
	n := length(out.mask, r.rows)
	out.addFaults(xNull, n)
	out.addFaults(yNull, n)
	out.bools = make([]bool, n)
	for i := range out.bools {
		a, b := xNull.bools[i&xNull.mask], yNull.bools[i&yNull.mask]
		out.bools[i] = a != b || !a && !equal.bools[i&equal.mask]
	}
	return out
}
