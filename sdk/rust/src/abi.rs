// Generated from sdk/abi. Do not edit.
//
// ABI version 1, written from the package sdk/abi of Calve, which documents it, by
// go test ./sdk/abi -run TestGeneratedConstants -update

// Alignment and slack of the buffers that the host writes, in bytes.
pub const BUFFER_ALIGN: u32 = 64;
pub const BUFFER_SLACK: u32 = 16;

// ArrowArray: offsets of its fields, in bytes. Counts are i64, pointers u32.
pub const ARRAY_SIZE: u32 = 64;
pub const ARRAY_LENGTH: u32 = 0;
pub const ARRAY_NULL_COUNT: u32 = 8;
pub const ARRAY_OFFSET: u32 = 16;
pub const ARRAY_N_BUFFERS: u32 = 24;
pub const ARRAY_N_CHILDREN: u32 = 32;
pub const ARRAY_BUFFERS: u32 = 40;
pub const ARRAY_CHILDREN: u32 = 44;
pub const ARRAY_DICTIONARY: u32 = 48;
pub const ARRAY_RELEASE: u32 = 52;
pub const ARRAY_PRIVATE_DATA: u32 = 56;

// ArrowSchema: offsets of its fields, in bytes. flags and n_children are i64,
// pointers u32; format and name are NUL-terminated UTF-8.
pub const SCHEMA_SIZE: u32 = 48;
pub const SCHEMA_FORMAT: u32 = 0;
pub const SCHEMA_NAME: u32 = 4;
pub const SCHEMA_METADATA: u32 = 8;
pub const SCHEMA_FLAGS: u32 = 16;
pub const SCHEMA_N_CHILDREN: u32 = 24;
pub const SCHEMA_CHILDREN: u32 = 32;
pub const SCHEMA_DICTIONARY: u32 = 36;
pub const SCHEMA_RELEASE: u32 = 40;
pub const SCHEMA_PRIVATE_DATA: u32 = 44;

// Bits of ArrowSchema.flags.
pub const FLAG_DICTIONARY_ORDERED: u32 = 1;
pub const FLAG_NULLABLE: u32 = 2;
pub const FLAG_MAP_KEYS_SORTED: u32 = 4;

// batch: offsets of its fields, in bytes.
pub const BATCH_SIZE: u32 = 64;
pub const BATCH_STRUCT_SIZE: u32 = 0;
pub const BATCH_ARRAY: u32 = 4;
pub const BATCH_STATE: u32 = 8;
pub const BATCH_FLAGS: u32 = 12;
pub const BATCH_ID: u32 = 16;
pub const BATCH_WATERMARK: u32 = 24;
pub const BATCH_RESERVED: u32 = 32;
pub const BATCH_META: u32 = 40;

// result: offsets of its fields, in bytes.
pub const RESULT_SIZE: u32 = 32;
pub const RESULT_STATUS: u32 = 0;
pub const RESULT_N_OUTPUTS: u32 = 4;
pub const RESULT_OUTPUTS: u32 = 8;
pub const RESULT_ROW_ERRORS: u32 = 12;
pub const RESULT_MESSAGE_PTR: u32 = 16;
pub const RESULT_MESSAGE_LEN: u32 = 20;

// output: offsets of its fields, in bytes.
pub const OUTPUT_SIZE: u32 = 24;
pub const OUTPUT_STREAM: u32 = 0;
pub const OUTPUT_SCHEMA: u32 = 4;
pub const OUTPUT_ARRAY: u32 = 8;
pub const OUTPUT_SELECTION: u32 = 12;
pub const OUTPUT_ROWS: u32 = 16;
pub const OUTPUT_FLAGS: u32 = 20;

// Columns of batch.meta, in order.
pub const META_TOPIC: u32 = 0;
pub const META_PARTITION: u32 = 1;
pub const META_OFFSET: u32 = 2;
pub const META_TIMESTAMP: u32 = 3;
pub const META_COLUMNS: u32 = 4;

// Columns of result.row_errors, in order.
pub const ROW_ERROR_ROW: u32 = 0;
pub const ROW_ERROR_CODE: u32 = 1;
pub const ROW_ERROR_COLUMN: u32 = 2;
pub const ROW_ERROR_MESSAGE: u32 = 3;
pub const ROW_ERROR_COLUMNS: u32 = 4;

// Bounds on what a guest may say about itself. They are part of the contract:
// a module that stays within them is accepted by every host.
pub const MAX_DESCRIBE_BYTES: u32 = 1048576;
pub const MAX_COLUMNS: u32 = 2000; // fields of one stream, nested ones included
pub const MAX_DEPTH: u32 = 8; // levels of nesting below a column
pub const MAX_NAME_BYTES: u32 = 256; // of a column, a metric or the plugin
pub const MAX_STREAMS: u32 = 64;
pub const MAX_MESSAGE_BYTES: u32 = 4096; // of a result's or a row error's message; longer ones are cut
pub const MAX_CODE_BYTES: u32 = 64; // of a row error's code

// Defaults of the limits that an operator may set.

// DEFAULT_MEMORY_BYTES bounds linear memory.
pub const DEFAULT_MEMORY_BYTES: u32 = 268435456;

// DEFAULT_BUDGET bounds the work of one call, in checks: one at each loop
// iteration and function entry, more where 128 bytes of code or 64 bytes
// of a bulk operation lie between two. A tight loop does about 10⁹ a second.
pub const DEFAULT_BUDGET: u32 = 2147483648;

// DEFAULT_OUTPUT_BYTES bounds what one call may return, every column counted
// even where several share a buffer.
pub const DEFAULT_OUTPUT_BYTES: u32 = 268435456;

// DEFAULT_OUTPUT_ROWS bounds the rows of one output.
pub const DEFAULT_OUTPUT_ROWS: u32 = 1048576;

// DEFAULT_LOG_BYTES bounds what one call may log.
pub const DEFAULT_LOG_BYTES: u32 = 65536;

// DEFAULT_METRICS bounds the names of counters and histograms of one call.
pub const DEFAULT_METRICS: u32 = 64;

// VERSION is the ABI version this package defines.
pub const VERSION: u32 = 1;

// Names a module exports.
pub const EXPORT_MARKER: &str = "calve_abi_1";
pub const EXPORT_MEMORY: &str = "memory";
pub const EXPORT_ALLOC: &str = "calve_alloc";
pub const EXPORT_DESCRIBE: &str = "calve_describe";
pub const EXPORT_INIT: &str = "calve_init";
pub const EXPORT_PROCESS: &str = "calve_process";
pub const EXPORT_CLOSE: &str = "calve_close";
pub const EXPORT_ACCUMULATE: &str = "calve_accumulate";
pub const EXPORT_MERGE: &str = "calve_merge";
pub const EXPORT_FINISH: &str = "calve_finish";

// EXPORT_INITIALIZE is the start of a WASI preview 1 reactor. The host
// calls it once, before anything else, if it is there.
pub const EXPORT_INITIALIZE: &str = "_initialize";

// Names a module may import from IMPORT_MODULE.
pub const IMPORT_MODULE: &str = "calve";
pub const IMPORT_LOG: &str = "log"; // (level i32, ptr i32, len i32)
pub const IMPORT_LOG_LEVEL: &str = "log_level"; // () -> i32, the lowest level that is kept
pub const IMPORT_COUNTER: &str = "counter_add"; // (name_ptr i32, name_len i32, delta i64)
pub const IMPORT_HISTOGRAM: &str = "histogram"; // (name_ptr i32, name_len i32, value f64)
pub const IMPORT_ABORT: &str = "abort"; // of module env: AssemblyScript's trap (message, file, line, column)
pub const IMPORT_ENV: &str = "env"; // holds abort
pub const IMPORT_WASI: &str = "wasi_snapshot_preview1";

// Levels of IMPORT_LOG.
pub const LEVEL_DEBUG: u32 = 0;
pub const LEVEL_INFO: u32 = 1;
pub const LEVEL_WARN: u32 = 2;
pub const LEVEL_ERROR: u32 = 3;

// Status of a result.
pub const STATUS_OK: u32 = 0;
pub const STATUS_FAILED: u32 = 1; // the batch failed, do not retry
pub const STATUS_RETRY: u32 = 2; // the batch failed, retry
pub const STATUS_REFUSED: u32 = 3; // the configuration is refused
pub const STATUS_OWN: u32 = 16; // from here on the plugin's own: failed, do not retry

// Kinds of plugin.
pub const KIND_TRANSFORM: &str = "transform";
pub const KIND_SESSION: &str = "session";
pub const KIND_SCD: &str = "scd";

// Columns that the host adds to what a session plugin is given: COLUMN_GROUP to
// the rows of calve_accumulate, the others to the state of calve_finish.
pub const COLUMN_GROUP: &str = "_group"; // uint32, the row of state that a row belongs to
pub const COLUMN_KEY: &str = "_key"; // the session's key, of the model's type
pub const COLUMN_START: &str = "_start"; // timestamp[us, UTC], of the first event
pub const COLUMN_END: &str = "_end"; // timestamp[us, UTC], of the last event
pub const COLUMN_COUNT: &str = "_count"; // int64, rows that were accumulated
pub const COLUMN_CLOSED: &str = "_closed"; // bool, whether the session is over

// Columns of the changes that an scd plugin is given, before the attributes,
// and the column of its output that says what to do.
pub const COLUMN_OP: &str = "_op"; // utf8, c created, u updated, d deleted, r read in a snapshot
pub const COLUMN_EFFECTIVE_AT: &str = "_effective_at"; // timestamp[us, UTC]
pub const COLUMN_ACTION: &str = "_action"; // int8

// Values of COLUMN_ACTION.
pub const ACTION_IGNORE: u32 = 0;
pub const ACTION_OVERWRITE: u32 = 1;
pub const ACTION_NEW_VERSION: u32 = 2;
pub const ACTION_DELETE: u32 = 3;

// Streams of an output. A transform with one output uses STREAM_MAIN; others
// are for routing.
pub const STREAM_MAIN: u32 = 0;

// NO_WATERMARK is batch.watermark_us while the model has no watermark yet.
pub const NO_WATERMARK: i64 = -9223372036854775808;
