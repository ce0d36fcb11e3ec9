package daemon_test

import (
	"encoding/binary"
	"slices"

	"github.com/calvelake/calve/sdk/abi"
)

// Where the handmade module keeps what it returns.
const (
	handmadeDescribe = 2048
	handmadeInit     = 64   // a result that says ok
	handmadeResult   = 1024 // a result whose outputs are outside its memory
	handmadeArena    = 4096
)

// handmade is a module that is a plugin by its exports and its description,
// but for the export left out, and returns garbage for every batch.
func handmade(leave string) []byte {
	describe := []byte(`{"abi":1,"name":"handmade","version":"1","kind":"transform","input":"any",
		"outputs":[{"stream":0,"columns":[{"name":"id","format":"l","nullable":false},{"name":"text","format":"u"}]}]}`)
	result := make([]byte, abi.ResultSize)
	binary.LittleEndian.PutUint32(result[abi.ResultNOutputs:], 1)
	binary.LittleEndian.PutUint32(result[abi.ResultOutputs:], 0xfffffff0)

	const i32, i64 = 0x7f, 0x7e
	functions := []struct {
		name            string
		params, results []byte
		body            []byte
	}{
		{abi.ExportMarker, nil, nil, nil},
		{abi.ExportAlloc, []byte{i32}, []byte{i32}, constant(0x41, handmadeArena)},
		{abi.ExportDescribe, nil, []byte{i64}, constant(0x42, handmadeDescribe<<32|int64(len(describe)))},
		{abi.ExportInit, []byte{i32, i32}, []byte{i32}, constant(0x41, handmadeInit)},
		{abi.ExportProcess, []byte{i32}, []byte{i32}, constant(0x41, handmadeResult)},
	}
	var types, declared, exports, code [][]byte
	exports = append(exports, append(counted([]byte(abi.ExportMemory)), 2, 0))
	for i, f := range functions {
		types = append(types, slices.Concat([]byte{0x60}, counted(f.params), counted(f.results)))
		declared = append(declared, []byte{byte(i)})
		code = append(code, counted(slices.Concat([]byte{0}, f.body, []byte{0x0b})))
		if f.name != leave {
			exports = append(exports, append(counted([]byte(f.name)), 0, byte(i)))
		}
	}
	data := [][]byte{
		slices.Concat([]byte{0}, constant(0x41, handmadeDescribe), []byte{0x0b}, counted(describe)),
		slices.Concat([]byte{0}, constant(0x41, handmadeResult), []byte{0x0b}, counted(result)),
	}
	module := []byte{0, 'a', 's', 'm', 1, 0, 0, 0}
	for _, s := range []struct {
		id    byte
		items [][]byte
	}{{1, types}, {3, declared}, {5, [][]byte{{0, 8}}}, {7, exports}, {10, code}, {11, data}} {
		section := append(binary.AppendUvarint(nil, uint64(len(s.items))), slices.Concat(s.items...)...)
		module = append(append(module, s.id), counted(section)...)
	}
	return module
}

// counted is a vector of bytes with its length before it.
func counted(b []byte) []byte { return append(binary.AppendUvarint(nil, uint64(len(b))), b...) }

// constant is i32.const (0x41) or i64.const (0x42) with a signed LEB128.
func constant(op byte, v int64) []byte {
	b := []byte{op}
	for {
		low := byte(v & 0x7f)
		v >>= 7
		if v == 0 && low&0x40 == 0 || v == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}
