package abi

// Version is the ABI version this package defines.
const Version = 1

// Names a module exports.
const (
	ExportMarker   = "calve_abi_1"
	ExportMemory   = "memory"
	ExportAlloc    = "calve_alloc"
	ExportDescribe = "calve_describe"
	ExportInit     = "calve_init"
	ExportProcess  = "calve_process"
	ExportClose    = "calve_close"

	ExportAccumulate = "calve_accumulate"
	ExportMerge      = "calve_merge"
	ExportFinish     = "calve_finish"

	// ExportInitialize is the start of a WASI preview 1 reactor. The host
	// calls it once, before anything else, if it is there.
	ExportInitialize = "_initialize"
)

// Names a module may import from ImportModule.
const (
	ImportModule    = "calve"
	ImportLog       = "log"         // (level i32, ptr i32, len i32)
	ImportLogLevel  = "log_level"   // () -> i32, the lowest level that is kept
	ImportCounter   = "counter_add" // (name_ptr i32, name_len i32, delta i64)
	ImportHistogram = "histogram"   // (name_ptr i32, name_len i32, value f64)
	ImportAbort     = "abort"       // of module env: AssemblyScript's trap (message, file, line, column)
	ImportEnv       = "env"         // holds abort
	ImportWASI      = "wasi_snapshot_preview1"
)

// Levels of ImportLog.
const (
	LevelDebug = 0
	LevelInfo  = 1
	LevelWarn  = 2
	LevelError = 3
)

// Status of a result.
const (
	StatusOK      = 0
	StatusFailed  = 1  // the batch failed, do not retry
	StatusRetry   = 2  // the batch failed, retry
	StatusRefused = 3  // the configuration is refused
	StatusOwn     = 16 // from here on the plugin's own: failed, do not retry
)

// Kinds of plugin.
const (
	KindTransform = "transform"
	KindSession   = "session"
	KindSCD       = "scd"
)

// Columns that the host adds to what a session plugin is given: ColumnGroup to
// the rows of calve_accumulate, the others to the state of calve_finish.
const (
	ColumnGroup  = "_group"  // uint32, the row of state that a row belongs to
	ColumnKey    = "_key"    // the session's key, of the model's type
	ColumnStart  = "_start"  // timestamp[us, UTC], of the first event
	ColumnEnd    = "_end"    // timestamp[us, UTC], of the last event
	ColumnCount  = "_count"  // int64, rows that were accumulated
	ColumnClosed = "_closed" // bool, whether the session is over
)

// Columns of the changes that an scd plugin is given, before the attributes,
// and the column of its output that says what to do.
const (
	ColumnOp          = "_op"           // utf8, c created, u updated, d deleted, r read in a snapshot
	ColumnEffectiveAt = "_effective_at" // timestamp[us, UTC]
	ColumnAction      = "_action"       // int8
)

// Values of ColumnAction.
const (
	ActionIgnore     = 0
	ActionOverwrite  = 1
	ActionNewVersion = 2
	ActionDelete     = 3
)

// Streams of an output. A transform with one output uses StreamMain; others
// are for routing.
const StreamMain = 0

// NoWatermark is batch.watermark_us while the model has no watermark yet.
const NoWatermark = -1 << 63
