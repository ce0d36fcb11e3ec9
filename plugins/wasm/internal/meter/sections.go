package meter

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Section ids of the binary format.
const (
	secCustom = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
	secCount
)

// order is the place of each section in a module.
var order = [secCount]int{secType: 1, secImport: 2, secFunction: 3, secTable: 4, secMemory: 5, secGlobal: 6, secExport: 7, secStart: 8, secElement: 9, secDataCount: 10, secCode: 11, secData: 12}

// written is the sections in the order in which they are written.
var written = []int{secType, secImport, secFunction, secTable, secMemory, secGlobal, secExport, secElement, secDataCount, secCode, secData}

var preamble = []byte{0, 'a', 's', 'm', 1, 0, 0, 0}

const sectionNames = "name"

// Kinds of imports and exports.
const (
	KindFunction = 0
	KindTable    = 1
	KindMemory   = 2
	KindGlobal   = 3
)

// signature is a function type.
type signature struct{ params, results []byte }

// module is what the rewriter needs to know of a module.
type module struct {
	sections  [secCount][]byte // payloads; nil: absent
	names     []byte           // payload of the custom section "name", its name included
	types     []signature
	functions []uint32 // type of each function, imported ones first
	inlined   []int    // of each function: bytes that count with its callers', 0: it counts itself
	imported  int      // functions that are imported
	globals   int
	exports   map[string]export
}

type export struct {
	kind  byte
	index uint32
}

// split reads the sections of a module without looking into them.
func split(data []byte) (*module, error) {
	if len(data) > maxModuleBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLarge, len(data), maxModuleBytes)
	}
	if !bytes.HasPrefix(data, preamble) {
		return nil, fmt.Errorf("%w: it does not begin with the bytes of WebAssembly version 1", ErrNotModule)
	}
	m := &module{exports: map[string]export{}}
	r := &reader{data: data, pos: len(preamble)}
	last := 0
	for !r.done() {
		id := int(r.byte())
		payload := r.bytes(int(r.u32()))
		switch {
		case r.err != nil:
		case id == secCustom:
			r.err = m.custom(payload)
		case id >= secCount:
			r.fail("unknown section %d", id)
		case id == secStart:
			return nil, fmt.Errorf("%w: it would run before the host can bound it; export _initialize instead", ErrStart)
		case order[id] <= last:
			r.fail("section %d twice or out of order", id)
		default:
			last = order[id]
			m.sections[id] = payload
		}
	}
	return m, r.err
}

// custom keeps the names of functions, which make traps readable.
func (m *module) custom(payload []byte) error {
	r := &reader{data: payload}
	name := r.name()
	if !utf8.ValidString(name) {
		r.fail("custom section with a name that is no UTF-8")
	}
	if name == sectionNames && r.err == nil {
		m.names = functionNames(r)
	}
	return r.err
}

// functionNames picks the subsection of function names out of the section
// "name" and returns a section of it alone, nil if it is malformed: wazero
// allocates by the counts in there. https://webassembly.github.io/spec/core/appendix/custom.html
func functionNames(from *reader) []byte {
	const functions = 1
	r := &reader{data: from.data, pos: from.pos}
	for !r.done() {
		id, content := r.byte(), r.bytes(int(r.u32()))
		if r.err != nil || id != functions {
			continue
		}
		c := &reader{data: content}
		last := -1
		for range c.count(maxFunctions+maxImports, "names") {
			index, name := int(c.u32()), c.name()
			if c.err != nil || index <= last || !utf8.ValidString(name) {
				return nil
			}
			last = index
		}
		if c.end(sectionNames) != nil {
			return nil
		}
		out := append(appendName(nil, sectionNames), functions)
		return append(appendU32(out, uint32(len(content))), content...)
	}
	return nil
}

func isValueType(b byte) bool {
	return b >= 0x7b && b <= 0x7f || b == 0x70 || b == 0x6f
}

func (m *module) readTypes() error {
	r := &reader{data: m.sections[secType]}
	if r.data == nil {
		return nil
	}
	for range r.count(maxTypes, "types") {
		if form := r.byte(); r.err == nil && form != 0x60 {
			r.fail("type form 0x%x", form)
		}
		m.types = append(m.types, signature{params: r.values("parameters"), results: r.values("results")})
		if r.err != nil {
			break
		}
	}
	return r.end("type")
}

func (r *reader) values(what string) []byte {
	v := r.bytes(r.count(maxValues, what))
	for _, b := range v {
		if !isValueType(b) {
			r.fail("value type 0x%x", b)
		}
	}
	return v
}

// end checks that a section was read to its end.
func (r *reader) end(section string) error {
	if r.err == nil && r.pos != len(r.data) {
		r.fail("%s section has %d bytes too many", section, len(r.data)-r.pos)
	}
	if r.err != nil {
		return fmt.Errorf("read %s section: %w", section, r.err)
	}
	return nil
}

// readImports admits functions that allow knows.
func (m *module) readImports(allow func(module, name string) bool) error {
	r := &reader{data: m.sections[secImport]}
	if r.data == nil {
		return nil
	}
	var refused []string
	for range r.count(maxImports, "imports") {
		from, name, kind := r.name(), r.name(), r.byte()
		if r.err != nil {
			break
		}
		if kind != KindFunction {
			return fmt.Errorf("%w: %q of module %q is a table, memory or global; only functions can be imported", ErrImport, name, from)
		}
		if !allow(from, name) {
			refused = append(refused, fmt.Sprintf("function %q of module %q", name, from))
		}
		m.addFunction(r)
		m.imported++
	}
	if len(refused) > 0 && r.err == nil {
		return refuse(refused)
	}
	return r.end("import")
}

// namedImports is how many refused imports an error names.
const namedImports = 50

// refuse names the imports that are not offered.
func refuse(imports []string) error {
	if len(imports) == 1 {
		return fmt.Errorf("%w: %s is not offered to plugins", ErrImport, imports[0])
	}
	more := ""
	if n := len(imports) - namedImports; n > 0 {
		imports, more = imports[:namedImports], fmt.Sprintf(" and %d more", n)
	}
	return fmt.Errorf("%w: %s%s are not offered to plugins", ErrImport, strings.Join(imports, ", "), more)
}

func (m *module) addFunction(r *reader) {
	t := r.u32()
	if r.err == nil && int(t) >= len(m.types) {
		r.fail("type %d of %d", t, len(m.types))
	}
	m.functions = append(m.functions, t)
}

func (m *module) readFunctions() error {
	r := &reader{data: m.sections[secFunction]}
	if r.data == nil {
		return nil
	}
	for range r.count(maxFunctions, "functions") {
		if m.addFunction(r); r.err != nil {
			break
		}
	}
	return r.end("function")
}

func (m *module) readExports() error {
	r := &reader{data: m.sections[secExport]}
	if r.data == nil {
		return nil
	}
	for range r.count(maxExports, "exports") {
		name := r.name()
		e := export{kind: r.byte(), index: r.u32()}
		if r.err != nil {
			break
		}
		if _, twice := m.exports[name]; twice {
			r.fail("export %q twice", name)
		}
		if e.kind == KindFunction && int(e.index) >= len(m.functions) || e.kind == KindGlobal && int(e.index) >= m.globals {
			r.fail("export %q of something that is not there", name)
		}
		m.exports[name] = e
	}
	return r.end("export")
}

// readGlobals counts the globals and checks what initializes them.
func (m *module) readGlobals() error {
	r := &reader{data: m.sections[secGlobal]}
	if r.data == nil {
		return nil
	}
	n := r.count(maxGlobals, "globals")
	for i := range n {
		r.skip(2)
		if m.constant(r, i); r.err != nil {
			break
		}
	}
	m.globals = n
	return r.end("global")
}

// readElements checks the indexes in element segments.
func (m *module) readElements() error {
	r := &reader{data: m.sections[secElement]}
	if r.data == nil {
		return nil
	}
	for range r.count(maxSegments, "element segments") {
		flags := r.u32()
		if r.err == nil && flags > 7 {
			r.fail("element segment of form %d", flags)
		}
		passive, explicit, expressions := flags&1 != 0, flags&2 != 0, flags&4 != 0
		if !passive {
			if explicit {
				r.u32()
			}
			m.constant(r, m.globals)
		}
		if passive || explicit {
			r.byte()
		}
		for range r.count(maxModuleBytes, "elements") {
			if expressions {
				m.constant(r, m.globals)
			} else {
				m.function(r)
			}
			if r.err != nil {
				break
			}
		}
		if r.err != nil {
			break
		}
	}
	return r.end("element")
}

// readData checks data segments, whose number wazero allocates by.
func (m *module) readData() error {
	r := &reader{data: m.sections[secData]}
	if r.data == nil {
		return nil
	}
	for range r.count(maxSegments, "data segments") {
		flags := r.u32()
		switch {
		case r.err != nil:
		case flags > 2:
			r.fail("data segment of form %d", flags)
		case flags == 2:
			r.u32()
		}
		if flags != 1 {
			m.constant(r, m.globals)
		}
		if r.bytes(int(r.u32())); r.err != nil {
			break
		}
	}
	return r.end("data")
}

func (m *module) function(r *reader) uint32 {
	f := r.u32()
	if r.err == nil && int(f) >= len(m.functions) {
		r.fail("function %d of %d", f, len(m.functions))
	}
	return f
}

// constant passes over a constant expression, which may use the first globals.
func (m *module) constant(r *reader, globals int) {
	for r.err == nil {
		switch op := r.byte(); op {
		case opEnd:
			return
		case opI32Const:
			r.signed(5)
		case opI64Const:
			r.signed(10)
		case opF32Const:
			r.skip(4)
		case opF64Const:
			r.skip(8)
		case opGlobalGet:
			if g := r.u32(); r.err == nil && int(g) >= globals {
				r.fail("global %d of %d", g, globals)
			}
		case opRefNull:
			r.byte()
		case opRefFunc:
			m.function(r)
		case opVector:
			if sub := r.u32(); sub != 12 {
				r.fail("vector operation %d in a constant expression", sub)
			}
			r.skip(16)
		default:
			r.fail("operation 0x%x in a constant expression", op)
		}
	}
}
