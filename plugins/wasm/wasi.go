package wasm

import (
	"encoding/binary"
	"log/slog"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"github.com/calvelake/calve/sdk/abi"
)

// The part of WASI preview 1 that language runtimes call to start, answered the
// same way every time: there are no arguments, no environment and no files, the
// clock stands still but for sleeping, random bytes are a function of the
// plugin's digest, and what is written to standard output or error goes to the
// log. https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md

// Error numbers of WASI.
const (
	wasiSuccess    = 0
	wasiBadFile    = 8
	wasiInvalid    = 28
	wasiNotCapable = 76
)

// clockStart is what guests see as now: 2020-01-01T00:00:00Z, in ns.
const clockStart = 1_577_836_800_000_000_000

// yieldNanos is what sched_yield adds to the clock: Go's runtime waits for a
// time by yielding until it has come.
const yieldNanos = 1_000_000

const (
	maxIovecs        = 1024
	maxSubscriptions = 1024
	maxRandomBytes   = 64 << 10
)

func wasi(name string, run func(*environment, api.Module, []uint64), types ...api.ValueType) hostFunction {
	return hostFunction{abi.ImportWASI, name, types, params(i32), run}
}

func wasiFunctions() []hostFunction {
	functions := []hostFunction{
		wasi("args_get", succeed, i32, i32),
		wasi("args_sizes_get", noStrings, i32, i32),
		wasi("environ_get", succeed, i32, i32),
		wasi("environ_sizes_get", noStrings, i32, i32),
		wasi("clock_res_get", clockResolution, i32, i32),
		wasi("clock_time_get", (*environment).clock, i32, i64, i32),
		wasi("random_get", (*environment).randomBytes, i32, i32),
		wasi("sched_yield", (*environment).yield),
		wasi("poll_oneoff", (*environment).poll, i32, i32, i32, i32),
		wasi("fd_write", (*environment).fdWrite, i32, i32, i32, i32),
		{abi.ImportWASI, "proc_exit", params(i32), nil, (*environment).exit},
	}
	return append(functions, fileFunctions()...)
}

// fileFunctions is what programs link that could open files. None exists.
func fileFunctions() []hostFunction {
	var functions []hostFunction
	for name, types := range map[string][]api.ValueType{
		"fd_close": {i32}, "fd_sync": {i32}, "fd_datasync": {i32},
		"fd_fdstat_get": {i32, i32}, "fd_fdstat_set_flags": {i32, i32}, "fd_fdstat_set_rights": {i32, i64, i64},
		"fd_filestat_get": {i32, i32}, "fd_filestat_set_size": {i32, i64}, "fd_filestat_set_times": {i32, i64, i64, i32},
		"fd_prestat_get": {i32, i32}, "fd_prestat_dir_name": {i32, i32, i32},
		"fd_read": {i32, i32, i32, i32}, "fd_pread": {i32, i32, i32, i64, i32}, "fd_pwrite": {i32, i32, i32, i64, i32},
		"fd_readdir": {i32, i32, i32, i64, i32}, "fd_seek": {i32, i64, i32, i32}, "fd_tell": {i32, i32},
		"sock_accept": {i32, i32, i32}, "sock_shutdown": {i32, i32},
	} {
		functions = append(functions, wasi(name, answer(wasiBadFile), types...))
	}
	for name, types := range map[string][]api.ValueType{
		"path_create_directory": {i32, i32, i32}, "path_remove_directory": {i32, i32, i32}, "path_unlink_file": {i32, i32, i32},
		"path_filestat_get": {i32, i32, i32, i32, i32}, "path_filestat_set_times": {i32, i32, i32, i32, i64, i64, i32},
		"path_link": {i32, i32, i32, i32, i32, i32, i32}, "path_symlink": {i32, i32, i32, i32, i32},
		"path_readlink": {i32, i32, i32, i32, i32, i32}, "path_rename": {i32, i32, i32, i32, i32, i32},
		"path_open": {i32, i32, i32, i32, i32, i64, i64, i32, i32},
	} {
		functions = append(functions, wasi(name, answer(wasiNotCapable), types...))
	}
	return functions
}

func answer(errno uint64) func(*environment, api.Module, []uint64) {
	return func(_ *environment, _ api.Module, stack []uint64) { stack[0] = errno }
}

func succeed(_ *environment, _ api.Module, stack []uint64) { stack[0] = wasiSuccess }

// noStrings answers that there are 0 strings of 0 bytes.
func noStrings(_ *environment, m api.Module, stack []uint64) {
	putU32(m, stack[0], 0)
	putU32(m, stack[1], 0)
	stack[0] = wasiSuccess
}

func clockResolution(_ *environment, m api.Module, stack []uint64) {
	putU64(m, stack[1], 1)
	stack[0] = wasiSuccess
}

func (e *environment) clock(m api.Module, stack []uint64) {
	putU64(m, stack[2], clockStart+e.slept)
	stack[0] = wasiSuccess
}

func (e *environment) yield(_ api.Module, stack []uint64) {
	e.slept += yieldNanos
	stack[0] = wasiSuccess
}

func (e *environment) randomBytes(m api.Module, stack []uint64) {
	n := uint64(uint32(stack[1]))
	if n > maxRandomBytes {
		stack[0] = wasiInvalid
		return
	}
	e.charge(n)
	_, _ = e.random.Read(region(m, stack[0], n)) // it never fails
	stack[0] = wasiSuccess
}

func (e *environment) exit(_ api.Module, stack []uint64) {
	e.exited, e.status = true, uint32(stack[0])
	panic(exited{})
}

type exited struct{}

func (exited) Error() string { return "exit" }

// fdWrite keeps the end of what is written for the text of a trap, and logs it
// line by line. It always takes everything.
func (e *environment) fdWrite(m api.Module, stack []uint64) {
	fd, n := uint32(stack[0]), uint64(uint32(stack[2]))
	if fd != 1 && fd != 2 {
		stack[0] = wasiBadFile
		return
	}
	if n > maxIovecs {
		stack[0] = wasiInvalid
		return
	}
	iovecs := region(m, stack[1], 8*n)
	total := uint64(0)
	for i := range int(n) {
		size := uint64(le32(iovecs[8*i+4:]))
		b := region(m, uint64(le32(iovecs[8*i:])), size)
		total += size
		e.print(b[max(0, len(b)-tailBytes):])
	}
	e.charge(min(total, n*tailBytes))
	putU32(m, stack[3], uint32(total))
	stack[0] = wasiSuccess
}

func (e *environment) print(b []byte) {
	e.stderr.write(b)
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			e.write(slog.LevelInfo, strings.ToValidUTF8(line, "\uFFFD"))
		}
	}
}

// Sizes and offsets of the structs of poll_oneoff.
const (
	subscriptionBytes   = 48
	subscriptionTag     = 8
	subscriptionTimeout = 24
	subscriptionFlags   = 40
	eventBytes          = 32
	eventError          = 8
	eventType           = 10
	tagClock            = 0
	flagAbsolute        = 1
)

// poll answers that every subscription is ready: to sleep is to move the clock.
func (e *environment) poll(m api.Module, stack []uint64) {
	n := uint64(uint32(stack[2]))
	if n == 0 || n > maxSubscriptions {
		stack[0] = wasiInvalid
		return
	}
	e.charge(n * subscriptionBytes)
	in, out := region(m, stack[0], n*subscriptionBytes), region(m, stack[1], n*eventBytes)
	until := uint64(0)
	for i := range int(n) {
		s, event := in[i*subscriptionBytes:][:subscriptionBytes], out[i*eventBytes:][:eventBytes]
		user, tag := binary.LittleEndian.Uint64(s), s[subscriptionTag]
		timeout := binary.LittleEndian.Uint64(s[subscriptionTimeout:])
		absolute := binary.LittleEndian.Uint16(s[subscriptionFlags:])&flagAbsolute != 0
		clear(event)
		binary.LittleEndian.PutUint64(event, user)
		event[eventType] = tag
		switch {
		case tag != tagClock:
			binary.LittleEndian.PutUint16(event[eventError:], wasiBadFile)
		case !absolute:
			until = max(until, e.slept+timeout)
		case timeout > clockStart:
			until = max(until, timeout-clockStart)
		}
	}
	e.slept = max(e.slept, until)
	putU32(m, stack[3], uint32(n))
	stack[0] = wasiSuccess
}

// region is n bytes of memory at an address, or a trap.
func region(m api.Module, address, n uint64) []byte {
	b := bytesOf(m)
	if end := uint64(uint32(address)) + n; end <= uint64(len(b)) {
		return b[uint32(address):end:end]
	}
	panic(badPointer{})
}

func putU32(m api.Module, address uint64, v uint32) {
	binary.LittleEndian.PutUint32(region(m, address, 4), v)
}

func putU64(m api.Module, address, v uint64) {
	binary.LittleEndian.PutUint64(region(m, address, 8), v)
}

func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
