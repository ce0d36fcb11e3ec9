package wasm

import (
	"bytes"
	"math"
	"strings"

	"github.com/calvelake/calve/plugins/wasm/internal/asm"
	"github.com/calvelake/calve/sdk/abi"
)

// raw is a plugin with more in it.
func raw(extra func(m *asm.Module)) []byte { return hostile{extra: extra}.module() }

// processing is a plugin whose calve_process does that.
func processing(pieces ...[]byte) []byte {
	return hostile{bodies: map[string][]byte{abi.ExportProcess: asm.Code(pieces...)}}.module()
}

// spoil is a plugin of which something is overwritten.
func spoil(last func(m *asm.Module)) []byte { return hostile{last: last}.module() }

// malformedModules are refused before anything of them runs.
func malformedModules() []attack {
	preamble := "\x00asm\x01\x00\x00\x00"
	whole := hostile{}.module()
	leave := func(name string) []byte { return hostile{leave: name}.module() }
	typed := func(name string) []byte {
		return hostile{leave: name, extra: func(m *asm.Module) {
			m.Export(name, asm.Function, m.Func(nil, nil, nil))
		}}.module()
	}
	again := append(bytes.Clone(whole), 5, 3, 1, 0, 1)
	return []attack{
		{name: "no module", module: []byte("#!/bin/sh"), want: ErrNotModule, text: "does not begin with"},
		{name: "garbage behind the preamble", module: []byte(preamble + "garbage"), want: ErrInvalidModule, text: "unexpected end"},
		{name: "cut in the middle", module: whole[:len(whole)/2], want: ErrInvalidModule, text: "unexpected end"},
		{name: "a section that is unknown", module: []byte(preamble + "\x63\x00"), want: ErrInvalidModule, text: "unknown section 99"},
		{name: "a section twice", module: again, want: ErrInvalidModule, text: "section 5 twice or out of order"},
		{name: "no marker", module: leave(abi.ExportMarker), want: ErrMissingExport, text: `"calve_abi_1"`},
		{name: "no alloc", module: leave(abi.ExportAlloc), want: ErrMissingExport, text: `"calve_alloc"`},
		{name: "no process", module: leave(abi.ExportProcess), want: ErrMissingExport, text: `"calve_process"`},
		{name: "process of another type", module: typed(abi.ExportProcess), want: ErrMissingExport, text: `"calve_process" has the wrong type`},
		{name: "an export of nothing", module: raw(func(m *asm.Module) { m.Export("ghost", asm.Function, 999) }), want: ErrInvalidModule, text: `"ghost" of something that is not there`},
		{name: "the name of the meter", module: raw(func(m *asm.Module) { m.Export("calve_meter_budget", asm.Memory, 0) }), want: ErrInvalidModule, text: "is the host's"},
		{name: "writes to the meter", module: processing(asm.Const(0), asm.Op(asm.GlobalSet, 0), passFirst()), want: ErrInvalidModule, text: "global 0 of 0"},
		{name: "calls into the meter", module: processing(asm.Op(asm.Call, 5), passFirst()), want: ErrInvalidModule, text: "function 5 of 5"},
		{name: "start section", module: raw(func(m *asm.Module) { m.Start(0) }), want: ErrStartSection, text: "_initialize"},
		{name: "a call that panics the compiler", module: callOfNoType().Bytes(), want: ErrInvalidModule, text: "type 9 of 1"},
		{name: "code that does not validate", module: hostile{bodies: map[string][]byte{abi.ExportAlloc: nil}}.module(), want: ErrInvalidModule, text: "not enough results"},
		{name: "tail calls", module: processing([]byte{0x12, 0}), want: ErrInvalidModule, text: "operation 0x12"},
		{name: "threads", module: processing([]byte{0xfe, 0x03, 0}), want: ErrInvalidModule, text: "operation 0xfe"},
		{name: "shared memory", module: spoil(func(m *asm.Module) { m.Raw(5, []byte{1, 3, 1, 2}) }), want: ErrInvalidModule, text: "shared"},
		{name: "import of the world", module: raw(importWorld), want: ErrRefusedImport, text: `"sock_open" of module "wasi_snapshot_preview1"`},
		{name: "import of a shell", module: raw(func(m *asm.Module) { m.Import("env", "system", oneI32, oneI32) }), want: ErrRefusedImport, text: `"system" of module "env"`},
		{name: "import of its own export", module: raw(func(m *asm.Module) { m.Import(abi.ImportModule, abi.ExportProcess, oneI32, oneI32) }), want: ErrRefusedImport, text: `"calve_process" of module "calve"`},
		{name: "import of a memory", module: raw(func(m *asm.Module) {
			m.Raw(2, asm.Code([]byte{1, 3}, []byte("env"), []byte{6}, []byte("memory"), []byte{2, 0, 1}))
		}), want: ErrRefusedImport, text: "only functions"},
		{name: "import of another type", module: raw(func(m *asm.Module) { m.Import(abi.ImportModule, abi.ImportLog, nil, nil) }), want: ErrInvalidModule, text: "signature mismatch"},
		{name: "data outside memory", module: raw(func(m *asm.Module) { m.Data(pages*pageBytes, []byte("out")) }), want: ErrInvalidModule, text: "data[0]"},
	}
}

// importWorld imports what is offered, and at the end what is not.
func importWorld(m *asm.Module) {
	for _, f := range wasiFunctions() {
		m.Import(f.module, f.name, f.params, f.results)
	}
	m.Import(abi.ImportWASI, "sock_open", oneI32, oneI32)
}

// bombs make the host allocate or compile without bound.
func bombs() []attack {
	return []attack{
		{name: "table bomb", module: raw(func(m *asm.Module) { m.Table(50_000_000) }), want: ErrModuleTooLarge, text: "table of 50000000"},
		{name: "memory of 4 GiB", module: spoil(func(m *asm.Module) { m.Raw(5, asm.Code([]byte{1, 0}, asm.U32(nil, 65536))) }), want: ErrModuleTooLarge, text: "65536 pages"},
		{name: "locals bomb", module: spoil(func(m *asm.Module) {
			m.Raw(10, asm.Code([]byte{5, 7, 1}, asm.U32(nil, 5_000_000), []byte{asm.I64, asm.End}))
		}), want: ErrModuleTooLarge, text: "more than 50000 locals"},
		{name: "parameters bomb", module: raw(func(m *asm.Module) { m.Type(bytes.Repeat(oneI32, 1000), nil) }), want: ErrModuleTooLarge, text: "1000 parameters"},
		{name: "a count of types without types", module: spoil(func(m *asm.Module) { m.Raw(1, asm.U32(nil, math.MaxUint32)) }), want: ErrModuleTooLarge, text: "4294967295 types"},
		{name: "a count of segments without segments", module: spoil(func(m *asm.Module) { m.Raw(9, asm.U32(nil, 1<<30)) }), want: ErrModuleTooLarge, text: "1073741824 element segments"},
		{name: "giant function", module: processing(bytes.Repeat([]byte{0x01}, 2<<20)), want: ErrModuleTooLarge, text: "bytes in one function"},
		{name: "nested loops", module: processing(bytes.Repeat([]byte{asm.Loop, asm.Void}, 200), bytes.Repeat([]byte{asm.End}, 200), passFirst()), want: ErrModuleTooLarge, text: "loops nested"},
		{name: "nested blocks", module: processing(bytes.Repeat([]byte{asm.Block, asm.Void}, 60_000), bytes.Repeat([]byte{asm.End}, 60_000), passFirst()), want: ErrModuleTooLarge, text: "blocks nested"},
		{name: "jump table bomb", module: processing(asm.Const(0), asm.U32([]byte{0x0e}, math.MaxUint32)), want: ErrModuleTooLarge, text: "targets of a br_table"},
		{name: "locals in every block", module: hostile{locals: bytes.Repeat(oneI32, 20_000), bodies: map[string][]byte{
			abi.ExportProcess: asm.Code(bytes.Repeat([]byte{asm.Block, asm.Void, asm.End}, 300), passFirst())}}.module(), want: ErrModuleTooLarge, text: "20001 locals"},
	}
}

// hostileDescriptions fail in calve_describe.
func hostileDescriptions() []attack {
	does := func(code []byte) []byte {
		return hostile{bodies: map[string][]byte{abi.ExportDescribe: code}}.module()
	}
	says := func(describe string) []byte { return hostile{describe: describe}.module() }
	nested := `{"name":"x","format":"u"}`
	for range abi.MaxDepth + 2 {
		nested = `{"name":"x","format":"+l","children":[` + nested + `]}`
	}
	return []attack{
		{name: "describe traps", module: does([]byte{asm.Unreachable}), want: ErrTrap, text: "calve_describe: unreachable"},
		{name: "describe never returns", module: does(spinForever()), want: ErrBudget, text: "calve_describe"},
		{name: "describe outside memory", module: does(asm.Const64(-1)), want: ErrDescription, text: "outside the memory"},
		{name: "describe is the whole memory", module: hostile{bodies: map[string][]byte{abi.ExportDescribe: asm.Const64(3 << 20)},
			last: func(m *asm.Module) { m.Raw(5, asm.Code([]byte{1, 0}, asm.U32(nil, 64))) }}.module(), want: ErrDescription, text: "3145728 bytes, at most 1048576"},
		{name: "describe is no JSON", module: says("describe me"), want: ErrDescription, text: "invalid character"},
		{name: "describe is no text", module: says("{\"abi\":\"\xff\"}"), want: ErrDescription, text: "not UTF-8"},
		{name: "describe has another key", module: says(`{"abi":1,"colour":"red"}`), want: ErrDescription, text: "colour"},
		{name: "another ABI version", module: says(strings.Replace(identity, `"abi":1`, `"abi":2`, 1)), want: ErrDescription, text: "abi is 2"},
		{name: "a type nested without end", module: says(strings.Replace(identity, `"input":"any"`, `"input":[`+nested+`]`, 1)), want: ErrDescription, text: "nested deeper than 8"},
	}
}

// hostileStarts fail in _initialize or calve_init.
func hostileStarts() []attack {
	refuse := map[uint32][]byte{
		resultAt + 512: struct32(abi.ResultSize, map[int]uint32{abi.ResultStatus: abi.StatusRefused, abi.ResultMessagePtr: 4000, abi.ResultMessageLen: 11}),
		4000:           []byte("no such key"),
	}
	does := func(code []byte) []byte {
		return hostile{bodies: map[string][]byte{abi.ExportInit: code}}.module()
	}
	return []attack{
		{name: "initialize never returns", module: raw(func(m *asm.Module) {
			m.Export(abi.ExportInitialize, asm.Function, m.Func(nil, nil, nil, asm.Code([]byte{asm.Loop, asm.Void, asm.Br, 0, asm.End})...))
		}), want: ErrBudget, text: "_initialize"},
		{name: "configuration refused", module: hostile{data: refuse}.module(), want: ErrRefusedConfig, text: "no such key"},
		{name: "init traps", module: does([]byte{asm.Unreachable}), want: ErrTrap, text: "calve_init: unreachable"},
		{name: "init never returns", module: does(spinForever()), want: ErrBudget, text: "calve_init"},
		{name: "init returns garbage", module: does(asm.Const(-1)), want: ErrOutput, text: "result"},
		{name: "init is a function of the host", module: hostile{leave: abi.ExportInit, extra: func(m *asm.Module) {
			m.Export(abi.ExportInit, asm.Function, m.Import(abi.ImportWASI, "environ_sizes_get", []byte{asm.I32, asm.I32}, oneI32))
		}}.module(), want: ErrTrap, text: "calve_init"},
		{name: "derived, but nothing announced", module: hostile{describe: strings.Replace(identity, `[{"name":"id","format":"l","nullable":false}]`, `"derived"`, 1)}.module(), want: ErrMismatch, text: "announced no schema"},
		{name: "a kind that does not exist", module: hostile{describe: strings.Replace(identity, "transform", "oracle", 1)}.module(), want: ErrMismatch, text: `kind "oracle"`},
		{name: "a type no table can hold", module: hostile{describe: strings.Replace(identity, `"l"`, `"vu"`, 1)}.module(), want: ErrMismatch, text: "utf8_view"},
	}
}
