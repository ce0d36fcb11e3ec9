package wasm

import (
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/plugins/wasm/internal/asm"
	"github.com/calvelake/calve/sdk/abi"
)

// hostileCalls are plugins whose calls do not end well.
func hostileCalls() []attack {
	dropped := func(code ...[]byte) []byte { return asm.Code(asm.Code(code...), []byte{asm.Drop}, passFirst()) }
	growTable := asm.Code([]byte{asm.Loop, asm.Void, asm.RefNull, asm.FuncRef}, asm.Const(50_000), []byte{asm.Misc, asm.MiscTableGrow, 0, asm.Drop, asm.Br, 0, asm.End, asm.Unreachable})
	bomb := asm.Code([]byte{asm.Loop, asm.Void}, asm.Const(16), []byte{asm.MemoryGrow, 0}, asm.Const(-1), []byte{0x47, asm.BrIf, 0, asm.End, asm.Unreachable})
	fill := asm.Code([]byte{asm.Loop, asm.Void}, asm.Const(0), asm.Const(7), asm.Const(pages*pageBytes), []byte{asm.Misc, asm.MiscMemoryFill, 0, asm.Br, 0, asm.End, asm.Unreachable})
	return []attack{
		{name: "trap", module: processing([]byte{asm.Unreachable}), want: ErrTrap, code: CodeTrap, text: "calve_process: unreachable"},
		{name: "division by zero", module: processing(asm.Const(1), asm.Const(0), []byte{0x6d}), want: ErrTrap, code: CodeTrap, text: "divide by zero"},
		{name: "wild pointer", module: processing(dropped(asm.Const(-4), []byte{0x28, 2, 0})), want: ErrTrap, code: CodeTrap, text: "out of bounds memory access"},
		{name: "call of no function", module: hostile{extra: func(m *asm.Module) { m.Table(1) },
			bodies: map[string][]byte{abi.ExportProcess: asm.Code(asm.Const(9), []byte{0x11, 0, 0}, passFirst())}}.module(), want: ErrTrap, code: CodeTrap, text: "invalid table access"},
		{name: "infinite loop", module: processing(spinForever()), want: ErrBudget, code: CodeLimit, text: "calve_process: it did not return"},
		{name: "loop-free recursion", module: hostile{extra: func(m *asm.Module) { m.Global(3) }, // two calls each: it never gets deep
			bodies: map[string][]byte{abi.ExportProcess: asm.Code(
				asm.Op(asm.LocalGet, 0), []byte{asm.I32Eqz, asm.If, asm.I32}, asm.Const(0), []byte{0x05},
				asm.Op(asm.LocalGet, 0), asm.Const(1), []byte{asm.I32ShrU}, asm.Op(asm.Call, 4),
				asm.Op(asm.LocalGet, 0), asm.Const(1), []byte{asm.I32ShrU}, asm.Op(asm.Call, 4), []byte{asm.I32Add, asm.End})}}.module(),
			limits: Limits{Budget: 1 << 15, MemoryBytes: 4 << 20}, want: ErrBudget, code: CodeLimit, text: "within 32768 units"},
		{name: "endless recursion", module: hostile{bodies: map[string][]byte{abi.ExportProcess: asm.Code(asm.Op(asm.LocalGet, 0), asm.Op(asm.Call, 4))}}.module(),
			limits: Limits{Budget: 1 << 40, MemoryBytes: 4 << 20}, want: ErrTrap, code: CodeTrap, text: "stack overflow"},
		{name: "memory bomb", module: processing(bomb), want: ErrMemory, code: CodeLimit, text: "4194304 bytes"},
		{name: "fills memory without end", module: processing(fill), limits: Limits{Budget: 1 << 23, MemoryBytes: 4 << 20}, want: ErrBudget, code: CodeLimit, text: "within 8388608 units"},
		{name: "fills more than there is", module: processing(asm.Const(16), asm.Const(7), asm.Const(pages*pageBytes), []byte{asm.Misc, asm.MiscMemoryFill, 0}, passFirst()), want: ErrTrap, code: CodeTrap, text: "calve_process: out of bounds"},
		{name: "grows its table without end", module: hostile{extra: func(m *asm.Module) { m.Table(1) }, bodies: map[string][]byte{abi.ExportProcess: growTable}}.module(),
			limits: Limits{Budget: 1 << 22, MemoryBytes: 4 << 20}, want: ErrBudget, code: CodeLimit, text: "within 4194304 units"},
		{name: "alloc never returns", module: allocOnce(spinForever()).module(), want: ErrBudget, code: CodeLimit, text: "calve_alloc"},
		{name: "alloc gives nothing", module: allocOnce(asm.Const(0)).module(), want: ErrMemory, code: CodeLimit, text: "no room"},
		{name: "alloc gives an odd address", module: allocOnce(asm.Const(arenaAt + 1)).module(), want: ErrOutput, code: CodeOutput, text: "not aligned"},
		{name: "alloc gives what is not there", module: allocOnce(asm.Const(-64)).module(), want: ErrOutput, code: CodeOutput, text: "calve_alloc returned"},
		{name: "re-entrancy: process calls init", module: processing(asm.Const(0), asm.Const(0), asm.Op(asm.Call, 3), []byte{asm.Drop}, asm.Op(asm.LocalGet, 0), asm.Op(asm.Call, 4)), want: ErrTrap, code: CodeTrap, text: "stack overflow", limits: Limits{Budget: 1 << 41, MemoryBytes: 4 << 20}},
	}
}

// hostileImports misuse what they may import.
func hostileImports() []attack {
	with := func(module, name string, params, results []byte, code ...[]byte) []byte {
		return hostile{
			extra:  func(m *asm.Module) { m.Import(module, name, params, results) },
			bodies: map[string][]byte{abi.ExportProcess: asm.Code(code...)},
		}.module()
	}
	three, four := []byte{asm.I32, asm.I32, asm.I32}, []byte{asm.I32, asm.I32, asm.I32, asm.I32}
	text := []byte{6, 0, 0, 0, 'n', 0, 0xe9, 0, 't', 0} // its length in bytes, then UTF-16
	abort := hostile{
		extra:  func(m *asm.Module) { m.Import(abi.ImportEnv, abi.ImportAbort, four, nil) },
		data:   map[uint32][]byte{4000: text},
		bodies: map[string][]byte{abi.ExportProcess: asm.Code(asm.Const(4004), asm.Const(0), asm.Const(1), asm.Const(2), asm.Op(asm.Call, 0), asm.Const(resultAt))},
	}
	iovecs := hostile{
		extra:  func(m *asm.Module) { m.Import(abi.ImportWASI, "fd_write", four, oneI32) },
		data:   map[uint32][]byte{4000: struct32(8, map[int]uint32{0: 64, 4: math.MaxUint32})},
		bodies: map[string][]byte{abi.ExportProcess: asm.Code(asm.Const(1), asm.Const(4000), asm.Const(1), asm.Const(4064), asm.Op(asm.Call, 0), []byte{asm.Drop}, passFirst())},
	}
	return []attack{
		{name: "giant logs without end", module: logger(-1, 4096).module(), want: ErrBudget, code: CodeLimit, text: "16777216 units"},
		{name: "log of what is not there", module: with(abi.ImportModule, abi.ImportLog, three, nil, asm.Const(3), asm.Const(-1), asm.Const(100), asm.Op(asm.Call, 0), passFirst()), want: ErrTrap, code: CodeTrap, text: "pointer outside memory"},
		{name: "counter with a name of 4 GiB", module: with(abi.ImportModule, abi.ImportCounter, []byte{asm.I32, asm.I32, asm.I64}, nil, asm.Const(1), asm.Const(-1), asm.Const64(1), asm.Op(asm.Call, 0), asm.Const(resultAt)), want: ErrTrap, code: CodeTrap, text: "pointer outside memory"},
		{name: "writes of 4 GiB to standard output", module: iovecs.module(), want: ErrTrap, code: CodeTrap, text: "pointer outside memory"},
		{name: "exit", module: with(abi.ImportWASI, "proc_exit", oneI32, nil, asm.Const(66), asm.Op(asm.Call, 0), passFirst()), want: ErrTrap, code: CodeTrap, text: "exited with status 66"},
		{name: "abort", module: abort.module(), want: ErrTrap, code: CodeTrap, text: "abort: nét"},
		{name: "random bytes without end", module: with(abi.ImportWASI, "random_get", []byte{asm.I32, asm.I32}, oneI32,
			[]byte{asm.Loop, asm.Void}, asm.Const(8192), asm.Const(65536), asm.Op(asm.Call, 0), []byte{asm.Drop, asm.Br, 0, asm.End, asm.Unreachable}),
			limits: Limits{Budget: 1 << 21, MemoryBytes: 4 << 20}, want: ErrBudget, code: CodeLimit, text: "2097152 units"},
	}
}

// returned is a result with one output of three int64, laid out in data: an
// attack spoils a part of it.
type returned struct {
	result, output, root, child, pointers, values []byte
}

// Where the parts of returned lie. The addresses in pointers are of: no
// validity of the root, its child, no validity of the child, its values, and
// the bytes of a string column.
const (
	childAt    = arrayAt + abi.ArraySize
	pointersAt = childAt + abi.ArraySize
	valuesAt   = 8192
	bytesAt    = 8256
)

func newReturned() *returned {
	le := func(words ...uint32) []byte {
		b := make([]byte, 4*len(words))
		for i, w := range words {
			put32(b, 4*i, w)
		}
		return b
	}
	r := &returned{
		result: struct32(abi.ResultSize, map[int]uint32{abi.ResultNOutputs: 1, abi.ResultOutputs: outputAt}),
		output: struct32(abi.OutputSize, map[int]uint32{abi.OutputArray: arrayAt}),
		root:   struct32(abi.ArraySize, map[int]uint32{abi.ArrayLength: 3, abi.ArrayNBuffers: 1, abi.ArrayNChildren: 1, abi.ArrayBuffers: pointersAt, abi.ArrayChildren: pointersAt + 4}),
		child:  struct32(abi.ArraySize, map[int]uint32{abi.ArrayLength: 3, abi.ArrayNBuffers: 2, abi.ArrayBuffers: pointersAt + 8}),
	}
	r.pointers = le(0, childAt, 0, valuesAt, bytesAt)
	r.values = make([]byte, 128)
	return r
}

func put32(b []byte, at int, v uint32) { copy(b[at:], struct32(4, map[int]uint32{0: v})) }

// spoiled is a plugin that returns what spoil leaves of a returned.
func spoiled(describe string, spoil func(r *returned)) hostile {
	r := newReturned()
	spoil(r)
	return hostile{
		describe: describe,
		bodies:   map[string][]byte{abi.ExportProcess: asm.Const(resultAt)},
		data: map[uint32][]byte{
			resultAt: r.result, outputAt: r.output, arrayAt: r.root, childAt: r.child, pointersAt: r.pointers, valuesAt: r.values,
		},
	}
}

// hostileOutputs return structs that lie.
func hostileOutputs() []attack {
	returns := func(spoil func(r *returned)) []byte { return spoiled("", spoil).module() }
	status := func(v uint32) []byte {
		return returns(func(r *returned) { put32(r.result, abi.ResultStatus, v) })
	}
	many := make([]string, 100)
	fields := make([]arrow.Field, len(many))
	for i := range many {
		name := "c" + strings.Repeat("x", i)
		many[i] = `{"name":"` + name + `","format":"l"}`
		fields[i] = arrow.Field{Name: name, Type: arrow.PrimitiveTypes.Int64, Nullable: true}
	}
	shared := strings.Replace(identity, `[{"name":"id","format":"l","nullable":false}]`, "["+strings.Join(many, ",")+"]", 1)
	overlapping := spoiled(shared, func(r *returned) { // a hundred columns that are one and the same
		put32(r.root, abi.ArrayNChildren, 100)
		put32(r.root, abi.ArrayChildren, valuesAt+32)
		r.values = append(r.values, make([]byte, 400)...)
		for i := range 100 {
			put32(r.values, 32+4*i, childAt)
		}
	})
	overlapping.at = arenaAt + 8192 // it is long
	return []attack{
		{name: "result outside memory", module: processing(asm.Const(-32)), want: ErrOutput, code: CodeOutput, text: "result: 32 bytes at 0xffffffe0"},
		{name: "result not aligned", module: processing(asm.Const(resultAt + 2)), want: ErrOutput, code: CodeOutput, text: "result: the address 0x402 is not aligned"},
		{name: "unknown status", module: status(9), want: ErrOutput, code: CodeOutput, text: "status 9"},
		{name: "status failed", module: status(abi.StatusFailed), want: ErrTrap, code: CodeTrap, text: "status 1"},
		{name: "a status of its own", module: status(77), want: ErrTrap, code: CodeTrap, text: "status 77"},
		{name: "status retry without end", module: status(abi.StatusRetry), want: ErrTrap, code: CodeTrap, text: "for now"},
		{name: "message outside memory", module: returns(func(r *returned) {
			put32(r.result, abi.ResultMessagePtr, math.MaxUint32)
			put32(r.result, abi.ResultMessageLen, 9)
		}), want: ErrOutput, code: CodeOutput, text: "message: 9 bytes"},
		{name: "four thousand million outputs", module: returns(func(r *returned) { put32(r.result, abi.ResultNOutputs, math.MaxUint32) }), want: ErrOutput, code: CodeOutput, text: "4294967295 outputs"},
		{name: "a stream nobody declared", module: returns(func(r *returned) { put32(r.output, abi.OutputStream, 3) }), want: ErrOutput, code: CodeOutput, text: "output stream 3"},
		{name: "array outside memory", module: returns(func(r *returned) { put32(r.output, abi.OutputArray, 0x7ffffff8) }), want: ErrOutput, code: CodeOutput, text: "64 bytes at 0x7ffffff8"},
		{name: "row errors outside memory", module: returns(func(r *returned) { put32(r.result, abi.ResultRowErrors, 0x7ffffff8) }), want: ErrOutput, code: CodeOutput, text: "row errors"},
		{name: "selection outside memory", module: returns(func(r *returned) { put32(r.output, abi.OutputSelection, math.MaxUint32) }), want: ErrOutput, code: CodeOutput, text: "selection"},
		{name: "rows that are not of the input", module: returns(func(r *returned) {
			put32(r.output, abi.OutputRows, valuesAt+64)
			put32(r.values, 68, 99)
		}), want: ErrOutput, code: CodeOutput, text: "rows[1] is 99"},
		{name: "more rows than the input", module: returns(func(r *returned) { put32(r.root, abi.ArrayLength, 4) }), want: ErrOutput, code: CodeOutput, text: "4 rows for"},
		{name: "a negative length", module: returns(func(r *returned) { put32(r.root, abi.ArrayLength+4, 1<<31) }), want: ErrOutput, code: CodeOutput, text: "length -9223372036854775805"},
		{name: "two thousand million rows", module: returns(func(r *returned) {
			put32(r.root, abi.ArrayLength, math.MaxInt32-100)
			put32(r.output, abi.OutputRows, valuesAt)
		}), want: ErrOutputLimit, code: CodeLimit, text: "2147483547 rows"},
		{name: "another number of columns", module: returns(func(r *returned) { put32(r.root, abi.ArrayNChildren, 7) }), want: ErrOutput, code: CodeOutput, text: "7 columns, 1 are declared"},
		{name: "a column shorter than the rows", module: returns(func(r *returned) { put32(r.child, abi.ArrayLength, 1) }), want: ErrOutput, code: CodeOutput, text: "1 rows, the output has"},
		{name: "lying null count", module: returns(func(r *returned) {
			put32(r.child, abi.ArrayNullCount, 2)
			put32(r.pointers, 8, valuesAt+32)
			r.values[32] = 0b101
		}), want: ErrOutput, code: CodeOutput, text: "null_count is 2, but the validity bitmap has"},
		{name: "nulls without a bitmap", module: returns(func(r *returned) { put32(r.child, abi.ArrayNullCount, 1) }), want: ErrOutput, code: CodeOutput, text: "there is no validity bitmap"},
		{name: "a null where none may be", module: returns(func(r *returned) {
			put32(r.child, abi.ArrayNullCount, math.MaxUint32)
			put32(r.child, abi.ArrayNullCount+4, math.MaxUint32)
			put32(r.pointers, 8, valuesAt+32)
			r.values[32] = 0b0
		}), want: ErrOutput, code: CodeOutput, text: "declared never to be null"},
		{name: "a wild buffer", module: returns(func(r *returned) { put32(r.pointers, 12, math.MaxUint32-7) }), want: ErrOutput, code: CodeOutput, text: "bytes at 0xfffffff8"},
		{name: "a buffer that is not aligned", module: returns(func(r *returned) { put32(r.pointers, 12, valuesAt+4) }), want: ErrOutput, code: CodeOutput, text: "0x2004 is not aligned to 8 bytes"},
		{name: "another number of buffers", module: returns(func(r *returned) { put32(r.child, abi.ArrayNBuffers, 1<<30) }), want: ErrOutput, code: CodeOutput, text: "1073741824 buffers"},
		{name: "a child that is its parent", module: returns(func(r *returned) { put32(r.pointers, 4, arrayAt) }), want: ErrOutput, code: CodeOutput, text: "1 buffers, a long has 2"},
		{name: "overlapping buffers", module: overlapping.module(), output: arrow.NewSchema(fields, nil), limits: Limits{Budget: 1 << 24, MemoryBytes: 4 << 20, OutputBytes: 600}, want: ErrOutputLimit, code: CodeLimit, text: "more bytes than the limit"},
	}
}

// hostileTexts return strings that are none.
func hostileTexts() []attack {
	describe := strings.Replace(identity, `"format":"l"`, `"format":"u"`, 1)
	output := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}}, nil)
	text := func(name, want string, spoil func(r *returned)) attack {
		h := spoiled(describe, func(r *returned) {
			put32(r.child, abi.ArrayNBuffers, 3)
			for i, o := range []uint32{0, 2, 4, 6} {
				put32(r.values, 4*i, o)
			}
			copy(r.values[bytesAt-valuesAt:], "añb½c")
			spoil(r)
		})
		limits := small
		limits.OutputBytes = math.MaxInt64
		return attack{name: name, module: h.module(), output: output, limits: limits, want: ErrOutput, code: CodeOutput, text: want}
	}
	return []attack{
		text("bad UTF-8", "row 0 is not UTF-8", func(r *returned) { r.values[bytesAt-valuesAt+1] = 0xff }),
		text("offsets inside a rune", "is not UTF-8", func(r *returned) {}),
		text("offsets that decrease", "offsets decrease", func(r *returned) { put32(r.values, 8, 1) }),
		text("offsets that are negative", "negative", func(r *returned) { put32(r.values, 0, math.MaxUint32) }),
		text("offsets beyond memory", "bytes: 2147483647 bytes", func(r *returned) {
			put32(r.values, 12, math.MaxInt32)
		}),
	}
}
