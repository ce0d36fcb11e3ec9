package meter

// dispatch is a loop as Go's compiler makes one of a function: it begins with a
// jump by the value of a local to the end of one of its first blocks, between
// which the code lies. Each jump of the function sets the local to a constant and
// branches to the loop.
//
//	loop block … block  local.get x  br_table …  end … end … end
//	                                   i32.const n  local.set x  br (to the loop)
//
// Such a loop needs no check where it begins if its branches check. Those whose
// constant leads to a block that has not ended yet, further on in the code, need
// none either: only so many can follow one another, and what they run counts with
// the branch before, since a check counts the bytes of the whole loop.
type dispatch struct {
	local   uint32
	targets []uint32 // depth of the block that a value leads to; the last one: of all other values
	blocks  int
	open    int // blocks that have not ended
}

// dispatchAt reads the beginning of the loop at pos. It returns nil if it is
// another, or takes values.
func dispatchAt(data []byte, pos int) *dispatch {
	d := &dispatch{}
	if pos+1 >= len(data) || data[pos+1] != typeVoid {
		return nil
	}
	pos += 2
	for pos+1 < len(data) && data[pos] == opBlock && data[pos+1] == typeVoid {
		pos += 2
		d.blocks++
	}
	r := &reader{data: data, pos: pos}
	if d.blocks == 0 || r.byte() != opLocalGet {
		return nil
	}
	d.local = r.u32()
	if r.byte() != opBrTable {
		return nil
	}
	for range r.count(maxBodyBytes, "targets of a br_table") + 1 {
		t := r.u32()
		if r.err != nil || int64(t) >= int64(d.blocks) {
			return nil
		}
		d.targets = append(d.targets, t)
	}
	return d
}

// forward tells whether a branch to the loop leads further on in the code.
func (d *dispatch) forward(s setting) bool {
	if !s.done || s.local != d.local {
		return false
	}
	at := min(int64(uint32(s.value)), int64(len(d.targets)-1))
	// The blocks end from the innermost on, which is at depth 0.
	return int(d.targets[at]) >= d.blocks-d.open
}

// setting is what the last two operations did, if they set a local to a constant.
type setting struct {
	begun bool // the last operation is the constant
	done  bool // the last operation set the local
	value int64
	local uint32
}

// branch notes a branch, at that position, out of so many blocks.
func (b *body) branch(depth uint32, at int) {
	i := len(b.frames) - 1 - int(depth)
	if i < 0 {
		return // invalid, as the compiler will say
	}
	if f := &b.frames[i]; f.dispatch != nil && !f.dispatch.forward(b.before) {
		f.check(b, at)
	}
}
