package calve

// The structs of the ABI as Go structs. Pointers are uint32, not uintptr, which
// has 8 bytes under GOARCH=wasm; what they point at is kept alive by the Go
// values beside them. A test compares the layouts with the constants of the ABI.

type arrowArray struct {
	length, nullCount, offset, nBuffers, nChildren int64

	buffers, children, dictionary, release, privateData, _ uint32
}

type arrowSchema struct {
	format, name, metadata, _ uint32

	flags, nChildren int64

	children, dictionary, release, privateData uint32
}

type batchStruct struct {
	size, array, state, flags uint32

	id, watermark, reserved int64

	meta, _ uint32
	_       [2]int64
}

type resultStruct struct {
	status, nOutputs, outputs, rowErrors, messagePtr, messageLen uint32

	_ [2]uint32
}

type outputStruct struct {
	stream, schema, array, selection, rows, flags uint32
}
