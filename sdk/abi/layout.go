package abi

// Alignment and slack of the buffers that the host writes, in bytes.
const (
	BufferAlign = 64
	BufferSlack = 16
)

// ArrowArray: offsets of its fields, in bytes. Counts are i64, pointers u32.
const (
	ArraySize        = 64
	ArrayLength      = 0
	ArrayNullCount   = 8
	ArrayOffset      = 16
	ArrayNBuffers    = 24
	ArrayNChildren   = 32
	ArrayBuffers     = 40
	ArrayChildren    = 44
	ArrayDictionary  = 48
	ArrayRelease     = 52
	ArrayPrivateData = 56
)

// ArrowSchema: offsets of its fields, in bytes. flags and n_children are i64,
// pointers u32; format and name are NUL-terminated UTF-8.
const (
	SchemaSize        = 48
	SchemaFormat      = 0
	SchemaName        = 4
	SchemaMetadata    = 8
	SchemaFlags       = 16
	SchemaNChildren   = 24
	SchemaChildren    = 32
	SchemaDictionary  = 36
	SchemaRelease     = 40
	SchemaPrivateData = 44
)

// Bits of ArrowSchema.flags.
const (
	FlagDictionaryOrdered = 1
	FlagNullable          = 2
	FlagMapKeysSorted     = 4
)

// batch: offsets of its fields, in bytes.
const (
	BatchSize       = 64
	BatchStructSize = 0
	BatchArray      = 4
	BatchState      = 8
	BatchFlags      = 12
	BatchID         = 16
	BatchWatermark  = 24
	BatchReserved   = 32
	BatchMeta       = 40
)

// result: offsets of its fields, in bytes.
const (
	ResultSize       = 32
	ResultStatus     = 0
	ResultNOutputs   = 4
	ResultOutputs    = 8
	ResultRowErrors  = 12
	ResultMessagePtr = 16
	ResultMessageLen = 20
)

// output: offsets of its fields, in bytes.
const (
	OutputSize      = 24
	OutputStream    = 0
	OutputSchema    = 4
	OutputArray     = 8
	OutputSelection = 12
	OutputRows      = 16
	OutputFlags     = 20
)

// Columns of batch.meta, in order.
const (
	MetaTopic     = 0
	MetaPartition = 1
	MetaOffset    = 2
	MetaTimestamp = 3
	MetaColumns   = 4
)

// Columns of result.row_errors, in order.
const (
	RowErrorRow     = 0
	RowErrorCode    = 1
	RowErrorColumn  = 2
	RowErrorMessage = 3
	RowErrorColumns = 4
)
