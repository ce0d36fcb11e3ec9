// Code generated from sdk/abi. DO NOT EDIT.

package calve

// ABI version 1, written from the package sdk/abi of Calve, which documents it, by
// go test ./sdk/abi -run TestGeneratedConstants -update
const (
	// Alignment and slack of the buffers that the host writes, in bytes.
	bufferAlign = 64
	bufferSlack = 16

	// ArrowArray: offsets of its fields, in bytes. Counts are i64, pointers u32.
	arraySize        = 64
	arrayLength      = 0
	arrayNullCount   = 8
	arrayOffset      = 16
	arrayNBuffers    = 24
	arrayNChildren   = 32
	arrayBuffers     = 40
	arrayChildren    = 44
	arrayDictionary  = 48
	arrayRelease     = 52
	arrayPrivateData = 56

	// ArrowSchema: offsets of its fields, in bytes. flags and n_children are i64,
	// pointers u32; format and name are NUL-terminated UTF-8.
	schemaSize        = 48
	schemaFormat      = 0
	schemaName        = 4
	schemaMetadata    = 8
	schemaFlags       = 16
	schemaNChildren   = 24
	schemaChildren    = 32
	schemaDictionary  = 36
	schemaRelease     = 40
	schemaPrivateData = 44

	// Bits of ArrowSchema.flags.
	flagDictionaryOrdered = 1
	flagNullable          = 2
	flagMapKeysSorted     = 4

	// batch: offsets of its fields, in bytes.
	batchSize       = 64
	batchStructSize = 0
	batchArray      = 4
	batchState      = 8
	batchFlags      = 12
	batchID         = 16
	batchWatermark  = 24
	batchReserved   = 32
	batchMeta       = 40

	// result: offsets of its fields, in bytes.
	resultSize       = 32
	resultStatus     = 0
	resultNOutputs   = 4
	resultOutputs    = 8
	resultRowErrors  = 12
	resultMessagePtr = 16
	resultMessageLen = 20

	// output: offsets of its fields, in bytes.
	outputSize      = 24
	outputStream    = 0
	outputSchema    = 4
	outputArray     = 8
	outputSelection = 12
	outputRows      = 16
	outputFlags     = 20

	// Columns of batch.meta, in order.
	metaTopic     = 0
	metaPartition = 1
	metaOffset    = 2
	metaTimestamp = 3
	metaColumns   = 4

	// Columns of result.row_errors, in order.
	rowErrorRow     = 0
	rowErrorCode    = 1
	rowErrorColumn  = 2
	rowErrorMessage = 3
	rowErrorColumns = 4

	// Bounds on what a guest may say about itself. They are part of the contract:
	// a module that stays within them is accepted by every host.
	maxDescribeBytes = 1048576
	maxColumns       = 2000 // fields of one stream, nested ones included
	maxDepth         = 8    // levels of nesting below a column
	maxNameBytes     = 256  // of a column, a metric or the plugin
	maxStreams       = 64
	maxMessageBytes  = 4096 // of a result's or a row error's message; longer ones are cut
	maxCodeBytes     = 64   // of a row error's code

	// Defaults of the limits that an operator may set.

	// defaultMemoryBytes bounds linear memory.
	defaultMemoryBytes = 268435456

	// defaultBudget bounds the work of one call, in checks: one at each loop
	// iteration and function entry, more where 128 bytes of code or 64 bytes
	// of a bulk operation lie between two. A tight loop does about 10⁹ a second.
	defaultBudget = 2147483648

	// defaultOutputBytes bounds what one call may return, every column counted
	// even where several share a buffer.
	defaultOutputBytes = 268435456

	// defaultOutputRows bounds the rows of one output.
	defaultOutputRows = 1048576

	// defaultLogBytes bounds what one call may log.
	defaultLogBytes = 65536

	// defaultMetrics bounds the names of counters and histograms of one call.
	defaultMetrics = 64

	// version is the ABI version this package defines.
	version = 1

	// Names a module exports.
	exportMarker     = "calve_abi_1"
	exportMemory     = "memory"
	exportAlloc      = "calve_alloc"
	exportDescribe   = "calve_describe"
	exportInit       = "calve_init"
	exportProcess    = "calve_process"
	exportClose      = "calve_close"
	exportAccumulate = "calve_accumulate"
	exportMerge      = "calve_merge"
	exportFinish     = "calve_finish"

	// exportInitialize is the start of a WASI preview 1 reactor. The host
	// calls it once, before anything else, if it is there.
	exportInitialize = "_initialize"

	// Names a module may import from importModule.
	importModule    = "calve"
	importLog       = "log"         // (level i32, ptr i32, len i32)
	importLogLevel  = "log_level"   // () -> i32, the lowest level that is kept
	importCounter   = "counter_add" // (name_ptr i32, name_len i32, delta i64)
	importHistogram = "histogram"   // (name_ptr i32, name_len i32, value f64)
	importAbort     = "abort"       // of module env: AssemblyScript's trap (message, file, line, column)
	importEnv       = "env"         // holds abort
	importWASI      = "wasi_snapshot_preview1"

	// Levels of importLog.
	levelDebug = 0
	levelInfo  = 1
	levelWarn  = 2
	levelError = 3

	// Status of a result.
	statusOK      = 0
	statusFailed  = 1  // the batch failed, do not retry
	statusRetry   = 2  // the batch failed, retry
	statusRefused = 3  // the configuration is refused
	statusOwn     = 16 // from here on the plugin's own: failed, do not retry

	// Kinds of plugin.
	kindTransform = "transform"
	kindSession   = "session"
	kindSCD       = "scd"

	// Columns that the host adds to what a session plugin is given: columnGroup to
	// the rows of calve_accumulate, the others to the state of calve_finish.
	columnGroup  = "_group"  // uint32, the row of state that a row belongs to
	columnKey    = "_key"    // the session's key, of the model's type
	columnStart  = "_start"  // timestamp[us, UTC], of the first event
	columnEnd    = "_end"    // timestamp[us, UTC], of the last event
	columnCount  = "_count"  // int64, rows that were accumulated
	columnClosed = "_closed" // bool, whether the session is over

	// Columns of the changes that an scd plugin is given, before the attributes,
	// and the column of its output that says what to do.
	columnOp          = "_op"           // utf8, c created, u updated, d deleted, r read in a snapshot
	columnEffectiveAt = "_effective_at" // timestamp[us, UTC]
	columnAction      = "_action"       // int8

	// Values of columnAction.
	actionIgnore     = 0
	actionOverwrite  = 1
	actionNewVersion = 2
	actionDelete     = 3

	// Streams of an output. A transform with one output uses streamMain; others
	// are for routing.
	streamMain = 0

	// noWatermark is batch.watermark_us while the model has no watermark yet.
	noWatermark = -9223372036854775808
)
