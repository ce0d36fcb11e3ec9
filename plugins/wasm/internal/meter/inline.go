package meter

// callBytes is what a call counts beside the code that it runs.
const callBytes = 16

// inliner finds the functions that need no check at their entry: short ones
// without loops, whose code counts with that of their callers as though it were
// copied there. It counts at each direct call, and a call through a table counts
// as the longest of them.
//
// Nothing runs without bound for that: a function that calls through a table
// checks, and of the functions in a cycle of direct calls at least one does, that
// which calls one whose calls are still being followed. Nor does much run
// between two checks: what a function calls counts with it, so that a chain of
// functions of which each calls the next twice ends where the code gets long.
type inliner struct {
	m       *module
	short   []*body // without loops and calls through tables; nil: another
	visited []bool
}

func newInliner(m *module) *inliner {
	n := len(m.functions)
	m.inlined = make([]int, n)
	return &inliner{m: m, short: make([]*body, n), visited: make([]bool, n)}
}

// add looks at the function f.
func (in *inliner) add(f int, data []byte) error {
	if len(data) > codePerCheck {
		return nil
	}
	b, err := in.m.scan(data, in.m.types[in.m.functions[f]])
	if err != nil {
		return err
	}
	if b.loops == 0 && !b.indirect {
		in.short[f] = b
	}
	return nil
}

// decide fills the module's inlined, after all functions were added.
func (in *inliner) decide() {
	for f := range in.short {
		in.visit(uint32(f))
	}
}

// visit decides about a function after those that it calls. It returns whether
// that is decided: not while the calls of the function are being followed.
func (in *inliner) visit(f uint32) bool {
	b := in.short[f]
	if b == nil {
		return true
	}
	if in.visited[f] {
		return in.m.inlined[f] != open
	}
	in.visited[f], in.m.inlined[f] = true, open
	bytes, decided := callBytes+len(b.code), true
	for _, callee := range b.calls {
		if decided = decided && in.visit(callee); decided {
			bytes += in.m.inlined[callee]
		}
	}
	in.m.inlined[f] = 0
	if decided && bytes <= codePerCheck {
		in.m.inlined[f] = bytes
	}
	return true
}

// open marks a function whose calls are being followed.
const open = -1
