// Package asm assembles small WebAssembly modules for tests, hostile ones above
// all: it checks nothing.
package asm

// Value types, and the block type without a result.
const (
	I32  = 0x7f
	I64  = 0x7e
	F64  = 0x7c
	Void = 0x40
)

// Kinds of exports.
const (
	Function = 0
	Table    = 1
	Memory   = 2
	Global   = 3
)

// Opcodes that tests spell out.
const (
	Unreachable = 0x00
	Block       = 0x02
	Loop        = 0x03
	If          = 0x04
	End         = 0x0b
	Br          = 0x0c
	BrIf        = 0x0d
	Return      = 0x0f
	Call        = 0x10
	Drop        = 0x1a
	LocalGet    = 0x20
	LocalSet    = 0x21
	LocalTee    = 0x22
	GlobalGet   = 0x23
	GlobalSet   = 0x24
	MemorySize  = 0x3f
	MemoryGrow  = 0x40
	I32Eqz      = 0x45
	I32LtU      = 0x49
	I32Add      = 0x6a
	I32Sub      = 0x6b
	I32ShrU     = 0x76
	I64Mul      = 0x7e
	I64Add      = 0x7c
	RefNull     = 0xd0
	Misc        = 0xfc

	MiscMemoryFill = 11
	MiscMemoryCopy = 10
	MiscTableGrow  = 15

	FuncRef = 0x70
)

// Module collects sections; entries are appended in order.
type Module struct {
	counts   [13]uint32
	sections [13][]byte
	imports  uint32
}

// Type adds a function type and returns its index.
func (m *Module) Type(params, results []byte) uint32 {
	b := vector([]byte{0x60}, params)
	return m.add(1, vector(b, results))
}

// Import adds an imported function and returns its index. Imports come before
// functions.
func (m *Module) Import(module, name string, params, results []byte) uint32 {
	b := vector(vector(nil, []byte(module)), []byte(name))
	m.add(2, U32(append(b, Function), m.Type(params, results)))
	m.imports++
	return m.imports - 1
}

// Func adds a function and returns its index. locals are of the given types;
// code is without its last end.
func (m *Module) Func(params, results, locals []byte, code ...byte) uint32 {
	index := m.add(3, U32(nil, m.Type(params, results)))
	var body []byte
	body = U32(body, uint32(len(locals)))
	for _, t := range locals {
		body = append(body, 1, t)
	}
	m.Body(append(append(body, code...), End))
	return m.imports + index
}

// Body adds a function body as it is: locals, code and end.
func (m *Module) Body(body []byte) { m.add(10, vector(nil, body)) }

// Table adds a table of functions.
func (m *Module) Table(lo uint32) { m.add(4, U32([]byte{FuncRef, 0}, lo)) }

// Memory adds a memory and exports it.
func (m *Module) Memory(lo uint32) {
	m.add(5, U32([]byte{0}, lo))
	m.Export("memory", Memory, 0)
}

// Global adds a mutable i32 and returns its index.
func (m *Module) Global(v int64) uint32 {
	return m.add(6, append(S64([]byte{I32, 1, 0x41}, v), End))
}

// Export adds an export.
func (m *Module) Export(name string, kind byte, index uint32) {
	m.add(7, U32(append(vector(nil, []byte(name)), kind), index))
}

// Start makes a function the start function.
func (m *Module) Start(f uint32) { m.sections[8] = U32(nil, f) }

// Data adds bytes to memory.
func (m *Module) Data(offset uint32, b []byte) {
	m.add(11, vector(append(S64([]byte{0, 0x41}, int64(int32(offset))), End), b))
}

// Raw sets the payload of a section.
func (m *Module) Raw(section int, payload []byte) {
	m.sections[section], m.counts[section] = payload, 0
}

// Bytes is the module.
func (m *Module) Bytes() []byte {
	out := []byte{0, 'a', 's', 'm', 1, 0, 0, 0}
	for id, b := range m.sections {
		if b == nil {
			continue
		}
		payload := b
		if m.counts[id] > 0 {
			payload = append(U32(nil, m.counts[id]), b...)
		}
		out = vector(append(out, byte(id)), payload)
	}
	return out
}

func (m *Module) add(section int, entry []byte) uint32 {
	m.sections[section] = append(m.sections[section], entry...)
	m.counts[section]++
	return m.counts[section] - 1
}

func vector(b, items []byte) []byte { return append(U32(b, uint32(len(items))), items...) }

// U32 appends an unsigned number.
func U32(b []byte, v uint32) []byte {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

// S64 appends a signed number.
func S64(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// Const is i32.const v.
func Const(v int32) []byte { return S64([]byte{0x41}, int64(v)) }

// Const64 is i64.const v.
func Const64(v int64) []byte { return S64([]byte{0x42}, v) }

// Op is an opcode with an index.
func Op(op byte, index uint32) []byte { return U32([]byte{op}, index) }

// Code joins pieces of code.
func Code(pieces ...[]byte) []byte {
	var b []byte
	for _, p := range pieces {
		b = append(b, p...)
	}
	return b
}
