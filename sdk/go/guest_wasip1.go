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
	stateInput  []Column // of calve_finish, or in force
	batch       Batch
	beside      Batch // state, or what is in force
	outputs     *outputs
	state       *outputs // of calve_accumulate and calve_merge
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
	if beside, err := strconv.ParseUint(string(members["state_schema"]), 10, 32); err == nil && beside != 0 {
		guest.stateInput = readColumns(uint32(beside))
	}
	config := append([]byte{}, members["config"]...)
	streams, err := registered.setUp(config, guest.input)
	if err != nil {
		return guest.frame.fail(statusRefused, err.Error())
	}
	guest.outputs = newOutputs(streams)
	if registered.session != nil {
		guest.state = registered.session.stateOutput()
	}
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
	b := readBatch(in, guest.input)
	return answer(guest.outputs, b.length, func(out *Output) error {
		if registered.scd == nil {
			return registered.Transform(b, out)
		}
		return registered.scd.Decide(b, readBeside(in.state, guest.stateInput), out)
	})
}

//go:wasmexport calve_accumulate
func calveAccumulate(batch uint32) (result uint32) {
	defer yield()
	defer failOnPanic(&result)
	s := sessionOnly()
	in := at[batchStruct](batch)
	b, before := readBatch(in, guest.input), readBeside(in.state, stateColumns())
	return answer(guest.state, before.length, func(after *Output) error {
		guest.state.keepState(before, b.length)
		return s.Accumulate(b, values[uint32](b.find(columnGroup, "I")), before, after)
	})
}

//go:wasmexport calve_merge
func calveMerge(batch uint32) (result uint32) {
	defer yield()
	defer failOnPanic(&result)
	s := sessionOnly()
	in := at[batchStruct](batch)
	into, from := readBatch(in, stateColumns()), readBeside(in.state, stateColumns())
	return answer(guest.state, into.length, func(after *Output) error {
		guest.state.keepState(into, 0)
		return s.Merge(into, from, after)
	})
}

//go:wasmexport calve_finish
func calveFinish(batch uint32) (result uint32) {
	defer yield()
	defer failOnPanic(&result)
	s := sessionOnly()
	b := readBatch(at[batchStruct](batch), guest.stateInput)
	return answer(guest.outputs, b.length, func(out *Output) error { return s.Finish(b, out) })
}

func sessionOnly() *Session {
	if registered.session == nil {
		panic(misuse("the plugin is of kind " + registered.kind() + ", not " + kindSession))
	}
	return registered.session
}

// stateColumns is the columns of state: the first of those of calve_finish.
func stateColumns() []Column { return guest.stateInput[:len(registered.session.State)] }

// readBatch views the rows of a call.
func readBatch(in *batchStruct, columns []Column) *Batch {
	b := &guest.batch
	b.length = int(at[arrowArray](in.array).length)
	b.watermark = in.watermark
	b.columns = readVectors(b.columns, columns, in.array)
	b.meta = b.meta[:0]
	if in.meta != 0 {
		b.meta = readVectors(b.meta, metaLayout, in.meta)
	}
	return b
}

// readBeside views the rows beside those of a call.
func readBeside(array uint32, columns []Column) *Batch {
	b, a := &guest.beside, at[arrowArray](array)
	b.length, b.watermark = int(a.length), noWatermark
	b.columns = readVectors(b.columns, columns, array)
	b.present = sliceAt[byte](*at[uint32](a.buffers), bitmapBytes(b.length))
	return b
}

// answer runs what fills the outputs of a call.
func answer(o *outputs, rows int, run func(out *Output) error) uint32 {
	o.begin(rows)
	if err := run(o.streams[streamMain]); err != nil {
		return guest.frame.fail(statusFailed, err.Error())
	}
	r, err := guest.frame.succeed(o)
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
