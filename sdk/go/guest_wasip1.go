//go:build wasip1

package calve

import (
	"runtime"
	"strconv"
	"unsafe"
)

// The state of the instance. The host calls one export at a time.
var guest struct {
	arena       []byte // what calve_alloc gave out
	description string
	input       []Column
	batch       Batch
	outputs     *outputs
	frame       frame
	announced   schemas
}

// metaLayout is the columns of batch.meta.
var metaLayout = []Column{metaTopic: String(""), metaPartition: Int(""), metaOffset: Long(""), metaTimestamp: Timestamptz("")}

// yield lets the garbage collector of this module finish its work: an exported
// call returns to the host without scheduling other goroutines
// (https://go.dev/issue/65199), and without it memory grows without bound.
func yield() {
	for range 16 {
		runtime.Gosched()
	}
}

//go:wasmexport calve_abi_1
func calveABI1() {}

//go:wasmexport calve_alloc
func calveAlloc(size uint32) uint32 {
	defer yield()
	need := int(size) + bufferAlign
	if cap(guest.arena) < need {
		guest.arena = nil
		guest.arena = make([]byte, need+need/4)
	}
	start := sliceAddress(guest.arena)
	return (start + bufferAlign - 1) &^ (bufferAlign - 1)
}

//go:wasmexport calve_describe
func calveDescribe() uint64 {
	defer yield()
	if registered == nil {
		panic("calve: no plugin is registered: call calve.Register in an init function")
	}
	guest.description = registered.describe()
	d := guest.description
	return uint64(sliceAddress(unsafe.Slice(unsafe.StringData(d), len(d))))<<32 | uint64(len(d))
}

//go:wasmexport calve_init
func calveInit(ptr, length uint32) (result uint32) {
	defer yield()
	defer failOnPanic(&result)
	members, err := objectMembers(sliceAt[byte](ptr, int(length)))
	if err != nil {
		return guest.frame.fail(statusFailed, err.Error())
	}
	schema, err := strconv.ParseUint(string(members["input_schema"]), 10, 32)
	if err != nil {
		return guest.frame.fail(statusFailed, errJSON.Error())
	}
	guest.input = readColumns(uint32(schema))
	config := append([]byte{}, members["config"]...)
	streams, err := registered.setUp(config, guest.input)
	if err != nil {
		return guest.frame.fail(statusRefused, err.Error())
	}
	guest.outputs = newOutputs(streams)
	if registered.Derive == nil {
		guest.frame.result = resultStruct{status: statusOK}
		return address(&guest.frame.result)
	}
	return guest.frame.announce(guest.announced.add(Struct("", streams[streamMain]...)))
}

//go:wasmexport calve_process
func calveProcess(batch uint32) (result uint32) {
	defer yield()
	defer failOnPanic(&result)
	in := at[batchStruct](batch)
	b := &guest.batch
	b.length = int(at[arrowArray](in.array).length)
	b.watermark = in.watermark
	b.columns = readVectors(b.columns, guest.input, in.array)
	b.meta = b.meta[:0]
	if in.meta != 0 {
		b.meta = readVectors(b.meta, metaLayout, in.meta)
	}
	guest.outputs.begin(b.length)
	if err := registered.Transform(b, guest.outputs.streams[streamMain]); err != nil {
		return guest.frame.fail(statusFailed, err.Error())
	}
	r, err := guest.frame.succeed(guest.outputs)
	if err != nil {
		return guest.frame.fail(statusFailed, err.Error())
	}
	return r
}

//go:wasmexport calve_close
func calveClose() {}

// failOnPanic turns a panic of the plugin into a failed call, and sends the
// stack to the log.
func failOnPanic(result *uint32) {
	r := recover()
	if r == nil {
		return
	}
	text := "panic"
	switch v := r.(type) {
	case misuse:
		text = v.Error()
	case error:
		text = "panic: " + v.Error()
	case string:
		text = "panic: " + v
	}
	stack := make([]byte, 4096)
	Log(Error, text+"\n"+string(stack[:runtime.Stack(stack, false)]))
	*result = guest.frame.fail(statusFailed, text)
}
