// Package wasmtest assembles small plugins for tests of the packages around the
// host.
package wasmtest

import (
	"encoding/binary"

	"github.com/calvelake/calve/plugins/wasm/internal/asm"
	"github.com/calvelake/calve/sdk/abi"
)

// Identity describes a plugin that takes and returns the column id.
const Identity = `{"abi":1,"name":"identity","version":"1.0.0","kind":"transform",
	"input":[{"name":"id","format":"l","nullable":false}],
	"outputs":[{"stream":0,"columns":[{"name":"id","format":"l","nullable":false}]}]}`

// Behaviour is what a plugin does with a batch.
type Behaviour int

// The behaviours.
const (
	Pass         Behaviour = iota // the input's first column is the output's
	Trap                          // on every batch
	DropWhenUsed                  // all rows of every batch but the first of an instance
	Spin                          // for ever
)

// Plugin is a module to assemble. As a session, if Describe says that it is one,
// it traps.
type Plugin struct {
	Describe string      // "" takes Identity
	Imports  [][2]string // module and name of functions without parameters
	Leave    string      // an export that is left out
	Process  Behaviour
}

// Where a plugin keeps what it returns.
const (
	resultAt   = 1024
	outputAt   = 1088
	initAt     = 1536
	describeAt = 2048
	nothingAt  = 32 << 10 // a selection without a bit
	arenaAt    = 64 << 10
	pages      = 8
)

// Module assembles the plugin.
func (p Plugin) Module() []byte {
	m := &asm.Module{}
	for _, i := range p.Imports {
		m.Import(i[0], i[1], nil, nil)
	}
	m.Memory(pages)
	m.Global(0)
	describe := p.Describe
	if describe == "" {
		describe = Identity
	}
	m.Data(describeAt, []byte(describe))
	result := make([]byte, abi.ResultSize)
	binary.LittleEndian.PutUint32(result[abi.ResultNOutputs:], 1)
	binary.LittleEndian.PutUint32(result[abi.ResultOutputs:], outputAt)
	m.Data(resultAt, result)
	address := []byte{asm.I32}
	for _, e := range []struct {
		name            string
		params, results []byte
		body            []byte
	}{
		{abi.ExportMarker, nil, nil, nil},
		{abi.ExportAlloc, address, address, asm.Const(arenaAt)},
		{abi.ExportDescribe, nil, []byte{asm.I64}, asm.Const64(describeAt<<32 | int64(len(describe)))},
		{abi.ExportInit, []byte{asm.I32, asm.I32}, address, asm.Const(initAt)},
		{abi.ExportProcess, address, address, p.Process.body()},
		{abi.ExportAccumulate, address, address, Trap.body()},
		{abi.ExportMerge, address, address, Trap.body()},
		{abi.ExportFinish, address, address, Trap.body()},
	} {
		if e.name != p.Leave {
			m.Export(e.name, asm.Function, m.Func(e.params, e.results, nil, e.body...))
		}
	}
	return m.Bytes()
}

func (b Behaviour) body() []byte {
	// outputs[0].array = batch.array
	pass := asm.Code(asm.Const(outputAt+abi.OutputArray), asm.Op(asm.LocalGet, 0), []byte{0x28, 2, abi.BatchArray}, []byte{0x36, 2, 0}, asm.Const(resultAt))
	switch b {
	case Trap:
		return []byte{asm.Unreachable}
	case Spin:
		return []byte{asm.Loop, asm.Void, asm.Br, 0, asm.End, asm.Unreachable}
	case DropWhenUsed:
		drop := asm.Code(asm.Const(outputAt+abi.OutputSelection), asm.Const(nothingAt), []byte{0x36, 2, 0})
		used := asm.Code(asm.Op(asm.GlobalGet, 0), []byte{asm.If, asm.Void}, drop, []byte{asm.End})
		return asm.Code(used, asm.Const(1), asm.Op(asm.GlobalSet, 0), pass)
	}
	return pass
}
