package meter

// frame is an open block.
type frame struct {
	loop     bool
	edits    []int     // a loop's checks
	dispatch *dispatch // a loop of that form; nil: another
	first    *dispatch // the one of whose first blocks it is
	from     int       // where its code begins
	inlined  int       // of the body, before it
}

// open begins a block, a loop or an if at that position, whose code begins at
// from.
func (b *body) open(op byte, at, from int) {
	f := frame{loop: op == opLoop, from: from, inlined: b.inlined}
	b.branches++
	switch {
	case op == opBlock && b.header != nil:
		f.first = b.header
		if b.header.open++; b.header.open == b.header.blocks {
			b.header = nil
		}
	case op == opLoop:
		b.loops++
		b.loopDepth++
		if f.dispatch = dispatchAt(b.code, at); f.dispatch == nil {
			f.check(b, from)
		}
		b.header = f.dispatch
	}
	b.frames = append(b.frames, f)
}

// check adds a check of a loop.
func (f *frame) check(b *body, at int) {
	n := len(b.edits)
	if last := b.edits[n-1]; n == 1 || last.kind != editCheck || last.pos != at {
		b.edits = append(b.edits, edit{kind: editCheck, pos: at})
		n++
	}
	if k := len(f.edits); k == 0 || f.edits[k-1] != n-1 {
		f.edits = append(f.edits, n-1)
	}
}

// close ends the innermost block, whose code ends at that position.
func (b *body) close(at int) {
	f := b.frames[len(b.frames)-1]
	b.frames = b.frames[:len(b.frames)-1]
	if f.first != nil {
		f.first.open--
	}
	if f.loop {
		b.loopDepth--
	}
	weight := weightOf(at - f.from + b.inlined - f.inlined)
	for _, e := range f.edits {
		b.edits[e].weight = max(b.edits[e].weight, weight)
	}
}
