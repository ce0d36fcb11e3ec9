package meter

import "fmt"

// Opcodes that the rewriter tells apart.
const (
	opUnreachable  = 0x00
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opDrop         = 0x1a
	opSelect       = 0x1b
	opSelectTyped  = 0x1c
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableGet     = 0x25
	opTableSet     = 0x26
	opFirstMemory  = 0x28
	opLastMemory   = 0x3e
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opFirstNumeric = 0x45
	opLastNumeric  = 0xc4
	opRefNull      = 0xd0
	opRefIsNull    = 0xd1
	opRefFunc      = 0xd2
	opMisc         = 0xfc
	opVector       = 0xfd

	opI32Eq      = 0x46
	opI32LeS     = 0x4c
	opI64LtS     = 0x53
	opI32Sub     = 0x6b
	opI32Or      = 0x72
	opI32ShrU    = 0x76
	opI64Sub     = 0x7d
	opI64ExtendS = 0xac

	typeI32  = 0x7f
	typeI64  = 0x7e
	typeVoid = 0x40
)

// Operations behind opMisc.
const (
	miscLastTruncate = 7
	miscMemoryInit   = 8
	miscDataDrop     = 9
	miscMemoryCopy   = 10
	miscMemoryFill   = 11
	miscTableInit    = 12
	miscElemDrop     = 13
	miscTableCopy    = 14
	miscTableGrow    = 15
	miscTableSize    = 16
	miscTableFill    = 17
)

type editKind int

const (
	editCheck  editKind = iota // insert a check of that weight at pos
	editCharge                 // insert a call that charges the i32 on the stack at pos
	editGrow                   // replace the two bytes of memory.grow at pos by a call
	editToll                   // insert a charge at pos for an operation that wazero answers in Go
)

// edit is one change to a body. Edits are in order of pos.
type edit struct {
	kind   editKind
	pos    int
	weight uint32
}

// body is a function after scanning: what it declares and what to change.
type body struct {
	groups    []byte // the local declarations without their count
	nGroups   int
	locals    int // parameters included
	code      []byte
	edits     []edit
	calls     []uint32 // the functions it calls, but through a table
	indirect  bool     // it calls through a table
	inlined   int      // bytes that count with its own, of what it calls
	loops     int
	branches  int
	passed    int
	loopDepth int

	// while scanning
	frames       []frame
	header       *dispatch // whose first blocks are being opened
	before, last setting   // of the operation before this one, and of this one
}

// codePerCheck is the bytes of code that count as one more unit.
const codePerCheck = 128

func weightOf(codeBytes int) uint32 { return 1 + uint32(codeBytes/codePerCheck) }

// scan reads one function body. It decides what to insert and checks that the
// code refers to nothing beyond the module, above all not to the globals that
// the rewriter will append.
func (m *module) scan(data []byte, fn signature) (*body, error) {
	b := &body{locals: len(fn.params)}
	r := &reader{data: data}
	b.nGroups = r.count(maxLocals, "groups of locals in a function")
	start := r.pos
	for range b.nGroups {
		n, t := r.u32(), r.byte()
		if r.err == nil && !isValueType(t) {
			r.fail("local of type 0x%x", t)
		}
		if r.err == nil && int64(b.locals)+int64(n) > maxLocals {
			return nil, fmt.Errorf("%w: a function has more than %d locals", ErrTooLarge, maxLocals)
		}
		if r.err != nil {
			return nil, r.err
		}
		b.locals += int(n)
	}
	if r.err != nil {
		return nil, r.err
	}
	b.groups, b.code = data[start:r.pos], data[r.pos:]
	b.edits = append(b.edits, edit{kind: editCheck})
	if err := m.scanCode(b); err != nil {
		return nil, err
	}
	b.edits[0].weight = weightOf(len(b.code) + b.inlined)
	return b, nil
}

func (m *module) scanCode(b *body) error {
	r := &reader{data: b.code}
	b.frames = append(b.frames, frame{})
	for len(b.frames) > 0 {
		at := r.pos
		op := r.byte()
		if r.err != nil {
			return r.err
		}
		b.before, b.last = b.last, setting{}
		switch op {
		case opBlock, opLoop, opIf:
			m.blockType(r, b)
			b.open(op, at, r.pos)
		case opEnd:
			b.close(at)
		default:
			m.scanOp(r, b, op, at)
		}
		if r.err != nil {
			return r.err
		}
		if err := b.bounded(len(b.frames)); err != nil {
			return err
		}
	}
	if r.pos != len(b.code) {
		r.fail("%d bytes after the end of a function", len(b.code)-r.pos)
	}
	b.frames = nil
	return r.err
}

// bounded checks what would make the compiler take too long.
func (b *body) bounded(nesting int) error {
	switch {
	case nesting > maxNesting:
		return fmt.Errorf("%w: blocks nested deeper than %d", ErrTooLarge, maxNesting)
	case b.loopDepth > maxLoopNesting:
		return fmt.Errorf("%w: loops nested deeper than %d", ErrTooLarge, maxLoopNesting)
	case b.branches*b.locals > maxSpread:
		return fmt.Errorf("%w: a function has %d locals and more than %d blocks", ErrTooLarge, b.locals, b.branches-1)
	case b.passed > maxPassed:
		return fmt.Errorf("%w: the blocks and calls of a function pass more than %d values", ErrTooLarge, maxPassed)
	}
	return nil
}

func (m *module) blockType(r *reader, b *body) {
	t := r.signed(5)
	if t < 0 || r.err != nil {
		return
	}
	if t >= int64(len(m.types)) {
		r.fail("type %d of %d", t, len(m.types))
		return
	}
	b.pass(m.types[t])
}

func (b *body) pass(s signature) { b.passed += len(s.params) + len(s.results) }

// scanOp passes over the immediates of one operation that opens no block.
func (m *module) scanOp(r *reader, b *body, op byte, at int) {
	switch {
	case op >= opFirstNumeric && op <= opLastNumeric:
	case op >= opFirstMemory && op <= opLastMemory:
		r.memoryArgument()
	case op == opLocalGet || op == opLocalSet || op == opLocalTee:
		l := r.u32()
		if r.err == nil && int(l) >= b.locals {
			r.fail("local %d of %d", l, b.locals)
		}
		b.last = setting{done: op == opLocalSet && b.before.begun, value: b.before.value, local: l}
	case op == opGlobalGet || op == opGlobalSet:
		if g := r.u32(); r.err == nil && int(g) >= m.globals {
			r.fail("global %d of %d", g, m.globals)
		}
	case op == opCall:
		if f := m.function(r); r.err == nil {
			b.calls = append(b.calls, f)
			b.inlined += m.inlined[f]
			b.pass(m.types[m.functions[f]])
		}
	case op == opMemoryGrow:
		if index := r.byte(); index != 0 {
			r.fail("memory %d", index)
		}
		b.edits = append(b.edits, edit{kind: editToll, pos: at}, edit{kind: editGrow, pos: at})
	case op == opMisc:
		m.scanMisc(r, b, at)
	case op == opVector:
		scanVector(r)
	default:
		m.scanControl(r, b, op, at)
	}
}

func (m *module) scanControl(r *reader, b *body, op byte, at int) {
	switch op {
	case opUnreachable, 0x01, opReturn, opDrop, opSelect, opRefIsNull:
	case opElse:
		b.branches++
	case opBr:
		b.branch(r.u32(), at)
	case opBrIf:
		b.branches++
		b.branch(r.u32(), at)
	case opBrTable:
		for range r.count(maxBodyBytes, "targets of a br_table") + 1 {
			if b.branch(r.u32(), at); r.err != nil {
				return
			}
		}
	case opCallIndirect:
		t := r.u32()
		if r.u32(); r.err == nil && int(t) >= len(m.types) {
			r.fail("type %d of %d", t, len(m.types))
		}
		if r.err == nil {
			b.indirect = true
			b.inlined += codePerCheck // whatever is called: see inliner
			b.pass(m.types[t])
		}
	case opSelectTyped:
		r.values("results of a select")
	case opTableGet, opTableSet:
		r.u32()
	case opMemorySize, opRefNull:
		r.byte()
	case opI32Const:
		b.last = setting{begun: true, value: r.signed(5)}
	case opI64Const:
		r.signed(10)
	case opF32Const:
		r.skip(4)
	case opF64Const:
		r.skip(8)
	case opRefFunc:
		m.function(r)
		b.edits = append(b.edits, edit{kind: editToll, pos: at})
	default:
		r.fail("operation 0x%x is unknown or belongs to a feature that is off (threads, exceptions, tail calls, garbage collection)", op)
	}
}

func (m *module) scanMisc(r *reader, b *body, at int) {
	sub := r.u32()
	switch {
	case sub <= miscLastTruncate:
		return
	case sub == miscMemoryInit || sub == miscMemoryCopy || sub == miscTableInit || sub == miscTableCopy:
		r.u32()
		r.u32()
	case sub == miscDataDrop || sub == miscElemDrop || sub == miscTableSize:
		r.u32()
		return
	case sub == miscMemoryFill || sub == miscTableGrow || sub == miscTableFill:
		r.u32()
	default:
		r.fail("operation 0xfc %d is unknown", sub)
		return
	}
	if sub == miscTableGrow {
		b.edits = append(b.edits, edit{kind: editToll, pos: at})
	}
	// The last operand of each of these is how much there is to do.
	b.edits = append(b.edits, edit{kind: editCharge, pos: at})
}

func (r *reader) memoryArgument() {
	if align := r.u32(); r.err == nil && align >= 64 {
		r.fail("alignment %d", align)
	}
	r.u32()
}

// scanVector passes over the immediates of a SIMD operation.
func scanVector(r *reader) {
	sub := r.u32()
	switch {
	case sub <= 11 || sub == 92 || sub == 93: // loads and stores
		r.memoryArgument()
	case sub == 12 || sub == 13: // v128.const, i8x16.shuffle
		r.skip(16)
	case sub >= 21 && sub <= 34: // lanes
		r.skip(1)
	case sub >= 84 && sub <= 91: // loads and stores of a lane
		r.memoryArgument()
		r.skip(1)
	case sub > 255:
		r.fail("vector operation %d is unknown", sub)
	}
}
