package meter

import "fmt"

// code rewrites every function and appends the meter's own.
func (g *generator) code(Options) error {
	defined := g.m.functions[g.m.imported:]
	r := &reader{data: g.m.sections[secCode]}
	n := 0
	if r.data != nil {
		n = r.count(maxFunctions, "functions")
	}
	if r.err == nil && n != len(defined) {
		return fmt.Errorf("%w: %d functions declared, %d defined", ErrInvalid, len(defined), n)
	}
	bodies, err := g.m.bodies(r, n)
	if err != nil {
		return err
	}
	out := appendU32(make([]byte, 0, len(r.data)+len(r.data)/8), uint32(n+3))
	locals := 0
	var buffer []byte
	for i, t := range defined {
		b, err := g.m.scan(bodies[i], g.m.types[t])
		if err != nil {
			return fmt.Errorf("read code section: %w", err)
		}
		if locals += b.locals; locals > maxAllLocals {
			return fmt.Errorf("%w: the functions have more than %d locals together", ErrTooLarge, maxAllLocals)
		}
		if g.m.inlined[g.m.imported+i] > 0 {
			b.edits = b.edits[1:] // without the check at its entry
		}
		buffer = g.rewrite(buffer[:0], b)
		out = append(appendU32(out, uint32(len(buffer))), buffer...)
	}
	for _, f := range [][]byte{g.exitBody(), g.chargeBody(), g.growBody()} {
		out = append(appendU32(out, uint32(len(f))), f...)
	}
	g.sections[secCode] = out
	return nil
}

// bodies reads n functions, and finds those that need no check at their entry.
func (m *module) bodies(r *reader, n int) ([][]byte, error) {
	bodies := make([][]byte, n)
	in := newInliner(m)
	for i := range bodies {
		bodies[i] = r.bytes(r.count(maxBodyBytes, "bytes in one function"))
		if r.err != nil {
			return nil, r.err
		}
		if err := in.add(m.imported+i, bodies[i]); err != nil {
			return nil, fmt.Errorf("read code section: %w", err)
		}
	}
	in.decide()
	return bodies, r.end("code")
}

// rewrite writes a body with its edits applied and one more local.
func (g *generator) rewrite(out []byte, b *body) []byte {
	out = appendU32(out, uint32(b.nGroups+1))
	out = append(out, b.groups...)
	out = append(out, 1, typeI32)
	scratch, pos := uint32(b.locals), 0
	for _, e := range b.edits {
		out = append(out, b.code[pos:e.pos]...)
		pos = e.pos
		switch e.kind {
		case editCheck:
			out = g.check(out, e.weight, scratch)
		case editCharge:
			out = appendU32(append(out, opCall), g.charge)
		case editToll:
			out = append(appendS64(append(out, opI32Const), toll), opCall)
			out = append(appendU32(out, g.charge), opDrop)
		case editGrow:
			out = appendU32(append(out, opCall), g.grow)
			pos += 2
		}
	}
	return append(out, b.code[pos:]...)
}

// toll is the argument of charge for an operation that leaves the guest: 128
// units, about what it costs.
const toll = 128 << 6

// check takes weight from the slice and leaves for the host when it is used up.
func (g *generator) check(b []byte, weight, scratch uint32) []byte {
	b = appendU32(append(b, opGlobalGet), g.slice)
	b = append(appendS64(append(b, opI32Const), int64(weight)), opI32Sub)
	return g.settle(b, scratch)
}

// settle stores the slice that is on the stack, and leaves for the host when it
// is used up. The local saves loading the global again.
func (g *generator) settle(b []byte, scratch uint32) []byte {
	b = appendU32(append(b, opLocalTee), scratch)
	b = appendU32(append(b, opGlobalSet), g.slice)
	b = appendU32(append(b, opLocalGet), scratch)
	b = append(b, opI32Const, 0, opI32LeS, opIf, typeVoid)
	return append(appendU32(append(b, opCall), g.exit), opEnd)
}

// exitBody charges the budget with what the slice used, lets the host's
// scheduler run, and traps if it is time to stop:
//
//	budget -= SliceChecks - slice; slice = SliceChecks
//	memory.grow(0)
//	if budget < 0 || stop { unreachable }
func (g *generator) exitBody() []byte {
	b := []byte{0}
	b = appendU32(append(b, opGlobalGet), g.budget)
	b = appendS64(append(b, opI64Const), SliceChecks)
	b = append(appendU32(append(b, opGlobalGet), g.slice), opI64ExtendS, opI64Sub, opI64Sub)
	b = appendU32(append(b, opGlobalSet), g.budget)
	b = appendS64(append(b, opI32Const), SliceChecks)
	b = appendU32(append(b, opGlobalSet), g.slice)
	b = append(b, opI32Const, 0, opMemoryGrow, 0, opDrop)
	b = appendU32(append(b, opGlobalGet), g.budget)
	b = append(b, opI64Const, 0, opI64LtS)
	b = append(appendU32(append(b, opGlobalGet), g.stop), opI32Or)
	return append(b, opIf, typeVoid, opUnreachable, opEnd, opEnd)
}

// chargeBody takes one unit for each 64 of its argument, which it returns.
func (g *generator) chargeBody() []byte {
	b := []byte{1, 1, typeI32, opLocalGet, 0}
	b = appendU32(append(b, opGlobalGet), g.slice)
	b = append(b, opLocalGet, 0, opI32Const, 6, opI32ShrU, opI32Sub)
	return append(g.settle(b, 1), opEnd)
}

// growBody is memory.grow that remembers a refusal.
func (g *generator) growBody() []byte {
	b := []byte{1, 1, typeI32, opLocalGet, 0, opMemoryGrow, 0, opLocalTee, 1}
	b = append(appendS64(append(b, opI32Const), -1), opI32Eq, opIf, typeVoid, opI32Const, 1)
	b = append(appendU32(append(b, opGlobalSet), g.denied), opEnd)
	return append(b, opLocalGet, 1, opEnd)
}
