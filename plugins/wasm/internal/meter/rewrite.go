package meter

import "fmt"

// SliceChecks is the units after which a guest returns to the host's scheduler.
const SliceChecks = 1 << 16

// Exports that the rewriter adds, all mutable globals: what is left of the
// slice (i32) and of the budget (i64; negative: spent), the host's wish to stop
// (i32), and whether memory.grow was refused (i32).
const (
	ExportSlice  = "calve_meter_slice"
	ExportBudget = "calve_meter_budget"
	ExportStop   = "calve_meter_stop"
	ExportOOM    = "calve_meter_oom"
)

// Options bound a module.
type Options struct {
	MemoryPages uint32                         // the most linear memory may have, in 64 KiB pages
	Imports     func(module, name string) bool // functions that may be imported
}

// Result is a rewritten module.
type Result struct {
	Module  []byte
	Exports map[string]byte // name → kind, of the original
}

// Rewrite bounds a module, or says why it cannot be accepted.
func Rewrite(data []byte, opt Options) (Result, error) {
	m, err := split(data)
	if err != nil {
		return Result{}, err
	}
	if err := m.read(opt); err != nil {
		return Result{}, err
	}
	g := newGenerator(m)
	if err := g.generate(opt); err != nil {
		return Result{}, err
	}
	exports := make(map[string]byte, len(m.exports))
	for name, e := range m.exports {
		exports[name] = e.kind
	}
	return Result{Module: g.module(), Exports: exports}, nil
}

func (m *module) read(opt Options) error {
	if err := m.readTypes(); err != nil {
		return err
	}
	if err := m.readImports(opt.Imports); err != nil {
		return err
	}
	if err := m.readFunctions(); err != nil {
		return err
	}
	if err := m.readGlobals(); err != nil {
		return err
	}
	if err := m.readExports(); err != nil {
		return err
	}
	if err := m.readElements(); err != nil {
		return err
	}
	return m.readData()
}

// generator writes the changed sections of a module.
type generator struct {
	m        *module
	sections [secCount][]byte
	// indexes of what is appended
	exit, charge, grow          uint32
	slice, budget, stop, denied uint32
	void, unary                 uint32
}

func newGenerator(m *module) *generator {
	f, g, t := uint32(len(m.functions)), uint32(m.globals), uint32(len(m.types))
	return &generator{
		m: m, sections: m.sections, exit: f, charge: f + 1, grow: f + 2,
		slice: g, budget: g + 1, stop: g + 2, denied: g + 3, void: t, unary: t + 1,
	}
}

func (g *generator) generate(opt Options) error {
	steps := []func(Options) error{g.memory, g.tables, g.exports, g.code}
	for _, step := range steps {
		if err := step(opt); err != nil {
			return err
		}
	}
	g.sections[secType] = g.extend(secType, 2, append([]byte{0x60, 0, 0}, 0x60, 1, typeI32, 1, typeI32))
	var types []byte
	for _, t := range []uint32{g.void, g.unary, g.unary} {
		types = appendU32(types, t)
	}
	g.sections[secFunction] = g.extend(secFunction, 3, types)
	g.sections[secGlobal] = g.extend(secGlobal, 4, g.newGlobals())
	return nil
}

// extend appends n entries to a section that is a vector.
func (g *generator) extend(section, n int, entries []byte) []byte {
	r := &reader{data: g.m.sections[section]}
	old := uint32(0)
	if r.data != nil {
		old = r.u32()
	}
	out := appendU32(nil, old+uint32(n))
	out = append(out, r.data[r.pos:]...)
	return append(out, entries...)
}

// newGlobals is the meter's state. It starts with nothing to spend, so that
// nothing runs but with a budget that the host gave.
func (g *generator) newGlobals() []byte {
	i32 := func(b []byte, v int64) []byte { return append(appendS64(append(b, typeI32, 1, opI32Const), v), opEnd) }
	b := i32(nil, SliceChecks)
	b = append(appendS64(append(b, typeI64, 1, opI64Const), 0), opEnd)
	return i32(i32(b, 0), 0)
}

// memory makes sure that there is one memory, and clamps its maximum.
func (g *generator) memory(opt Options) error {
	r := &reader{data: g.m.sections[secMemory]}
	if r.data == nil {
		return fmt.Errorf("%w: the module has no memory", ErrInvalid)
	}
	if n := r.u32(); r.err == nil && n != 1 {
		return fmt.Errorf("%w: the module has %d memories, it must have one", ErrInvalid, n)
	}
	lo, hi := r.limits(opt.MemoryPages)
	if err := r.end("memory"); err != nil {
		return err
	}
	if lo > opt.MemoryPages {
		return fmt.Errorf("%w: the module asks for %d pages of memory (64 KiB each), the limit is %d", ErrTooLarge, lo, opt.MemoryPages)
	}
	g.sections[secMemory] = appendLimits([]byte{1}, lo, hi)
	return nil
}

// tables clamps the maximum of the table.
func (g *generator) tables(Options) error {
	r := &reader{data: g.m.sections[secTable]}
	if r.data == nil {
		return nil
	}
	n := r.count(1, "tables")
	out := appendU32(nil, uint32(n))
	for range n {
		kind := r.byte()
		lo, hi := r.limits(maxTable)
		if r.err == nil && lo > maxTable {
			return fmt.Errorf("%w: the module asks for a table of %d entries, at most %d are allowed", ErrTooLarge, lo, maxTable)
		}
		out = appendLimits(append(out, kind), lo, hi)
	}
	g.sections[secTable] = out
	return r.end("table")
}

// limits reads a minimum and a maximum, the latter clamped.
func (r *reader) limits(most uint32) (lo, hi uint32) {
	flag := r.byte()
	if r.err == nil && flag > 1 {
		r.fail("limits of form %d (shared and 64-bit memories are not supported)", flag)
	}
	lo, hi = r.u32(), most
	if flag == 1 {
		declared := r.u32()
		if r.err == nil && declared < lo {
			r.fail("a maximum of %d below the minimum of %d", declared, lo)
		}
		hi = min(declared, most)
	}
	return lo, hi
}

func appendLimits(b []byte, lo, hi uint32) []byte {
	return appendU32(appendU32(append(b, 1), lo), hi)
}

func (g *generator) exports(Options) error {
	var b []byte
	for _, e := range []struct {
		name  string
		index uint32
	}{{ExportSlice, g.slice}, {ExportBudget, g.budget}, {ExportStop, g.stop}, {ExportOOM, g.denied}} {
		if _, taken := g.m.exports[e.name]; taken {
			return fmt.Errorf("%w: the export name %q is the host's", ErrInvalid, e.name)
		}
		b = appendU32(append(appendName(b, e.name), KindGlobal), e.index)
	}
	g.sections[secExport] = g.extend(secExport, 4, b)
	return nil
}

// module puts the sections together.
func (g *generator) module() []byte {
	out := append([]byte{}, preamble...)
	section := func(id int, payload []byte) {
		if payload != nil {
			out = append(appendU32(append(out, byte(id)), uint32(len(payload))), payload...)
		}
	}
	for _, id := range written {
		section(id, g.sections[id])
	}
	section(secCustom, g.m.names)
	return out
}
