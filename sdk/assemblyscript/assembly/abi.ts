// Generated from sdk/abi. Do not edit.
//
// ABI version 1, written from the package sdk/abi of Calve, which documents it, by
// go test ./sdk/abi -run TestGeneratedConstants -update

// Alignment and slack of the buffers that the host writes, in bytes.
export const BUFFER_ALIGN: u32 = 64;
export const BUFFER_SLACK: u32 = 16;

// ArrowArray: offsets of its fields, in bytes. Counts are i64, pointers u32.
export const ARRAY_SIZE: u32 = 64;
export const ARRAY_LENGTH: u32 = 0;
export const ARRAY_NULL_COUNT: u32 = 8;
export const ARRAY_OFFSET: u32 = 16;
export const ARRAY_N_BUFFERS: u32 = 24;
export const ARRAY_N_CHILDREN: u32 = 32;
export const ARRAY_BUFFERS: u32 = 40;
export const ARRAY_CHILDREN: u32 = 44;
export const ARRAY_DICTIONARY: u32 = 48;
export const ARRAY_RELEASE: u32 = 52;
export const ARRAY_PRIVATE_DATA: u32 = 56;

// ArrowSchema: offsets of its fields, in bytes. flags and n_children are i64,
// pointers u32; format and name are NUL-terminated UTF-8.
export const SCHEMA_SIZE: u32 = 48;
export const SCHEMA_FORMAT: u32 = 0;
export const SCHEMA_NAME: u32 = 4;
export const SCHEMA_METADATA: u32 = 8;
export const SCHEMA_FLAGS: u32 = 16;
export const SCHEMA_N_CHILDREN: u32 = 24;
export const SCHEMA_CHILDREN: u32 = 32;
export const SCHEMA_DICTIONARY: u32 = 36;
export const SCHEMA_RELEASE: u32 = 40;
export const SCHEMA_PRIVATE_DATA: u32 = 44;

// Bits of ArrowSchema.flags.
export const FLAG_DICTIONARY_ORDERED: u32 = 1;
export const FLAG_NULLABLE: u32 = 2;
export const FLAG_MAP_KEYS_SORTED: u32 = 4;

// batch: offsets of its fields, in bytes.
export const BATCH_SIZE: u32 = 64;
export const BATCH_STRUCT_SIZE: u32 = 0;
export const BATCH_ARRAY: u32 = 4;
export const BATCH_STATE: u32 = 8;
export const BATCH_FLAGS: u32 = 12;
export const BATCH_ID: u32 = 16;
export const BATCH_WATERMARK: u32 = 24;
export const BATCH_RESERVED: u32 = 32;
export const BATCH_META: u32 = 40;

// result: offsets of its fields, in bytes.
export const RESULT_SIZE: u32 = 32;
export const RESULT_STATUS: u32 = 0;
export const RESULT_N_OUTPUTS: u32 = 4;
export const RESULT_OUTPUTS: u32 = 8;
export const RESULT_ROW_ERRORS: u32 = 12;
export const RESULT_MESSAGE_PTR: u32 = 16;
export const RESULT_MESSAGE_LEN: u32 = 20;

// output: offsets of its fields, in bytes.
export const OUTPUT_SIZE: u32 = 24;
export const OUTPUT_STREAM: u32 = 0;
export const OUTPUT_SCHEMA: u32 = 4;
export const OUTPUT_ARRAY: u32 = 8;
export const OUTPUT_SELECTION: u32 = 12;
export const OUTPUT_ROWS: u32 = 16;
export const OUTPUT_FLAGS: u32 = 20;

// Columns of batch.meta, in order.
export const META_TOPIC: u32 = 0;
export const META_PARTITION: u32 = 1;
export const META_OFFSET: u32 = 2;
export const META_TIMESTAMP: u32 = 3;
export const META_COLUMNS: u32 = 4;

// Columns of result.row_errors, in order.
export const ROW_ERROR_ROW: u32 = 0;
export const ROW_ERROR_CODE: u32 = 1;
export const ROW_ERROR_COLUMN: u32 = 2;
export const ROW_ERROR_MESSAGE: u32 = 3;
export const ROW_ERROR_COLUMNS: u32 = 4;

// Bounds on what a guest may say about itself. They are part of the contract:
// a module that stays within them is accepted by every host.
export const MAX_DESCRIBE_BYTES: u32 = 1048576;
export const MAX_COLUMNS: u32 = 2000; // fields of one stream, nested ones included
export const MAX_DEPTH: u32 = 8; // levels of nesting below a column
export const MAX_NAME_BYTES: u32 = 256; // of a column, a metric or the plugin
export const MAX_STREAMS: u32 = 64;
export const MAX_MESSAGE_BYTES: u32 = 4096; // of a result's or a row error's message; longer ones are cut
export const MAX_CODE_BYTES: u32 = 64; // of a row error's code

// Defaults of the limits that an operator may set.

// DEFAULT_MEMORY_BYTES bounds linear memory.
export const DEFAULT_MEMORY_BYTES: u32 = 268435456;

// DEFAULT_BUDGET bounds the work of one call, in checks: one at each loop
// iteration and function entry, more where 128 bytes of code or 64 bytes
// of a bulk operation lie between two. A tight loop does about 10⁹ a second.
export const DEFAULT_BUDGET: u32 = 2147483648;

// DEFAULT_OUTPUT_BYTES bounds what one call may return, every column counted
// even where several share a buffer.
export const DEFAULT_OUTPUT_BYTES: u32 = 268435456;

// DEFAULT_OUTPUT_ROWS bounds the rows of one output.
export const DEFAULT_OUTPUT_ROWS: u32 = 1048576;

// DEFAULT_LOG_BYTES bounds what one call may log.
export const DEFAULT_LOG_BYTES: u32 = 65536;

// DEFAULT_METRICS bounds the names of counters and histograms of one call.
export const DEFAULT_METRICS: u32 = 64;

// VERSION is the ABI version this package defines.
export const VERSION: u32 = 1;

// Names a module exports.
// @ts-ignore: decorator
@lazy
export const EXPORT_MARKER: string = "calve_abi_1";
// @ts-ignore: decorator
@lazy
export const EXPORT_MEMORY: string = "memory";
// @ts-ignore: decorator
@lazy
export const EXPORT_ALLOC: string = "calve_alloc";
// @ts-ignore: decorator
@lazy
export const EXPORT_DESCRIBE: string = "calve_describe";
// @ts-ignore: decorator
@lazy
export const EXPORT_INIT: string = "calve_init";
// @ts-ignore: decorator
@lazy
export const EXPORT_PROCESS: string = "calve_process";
// @ts-ignore: decorator
@lazy
export const EXPORT_CLOSE: string = "calve_close";
// @ts-ignore: decorator
@lazy
export const EXPORT_ACCUMULATE: string = "calve_accumulate";
// @ts-ignore: decorator
@lazy
export const EXPORT_MERGE: string = "calve_merge";
// @ts-ignore: decorator
@lazy
export const EXPORT_FINISH: string = "calve_finish";

// EXPORT_INITIALIZE is the start of a WASI preview 1 reactor. The host
// calls it once, before anything else, if it is there.
// @ts-ignore: decorator
@lazy
export const EXPORT_INITIALIZE: string = "_initialize";

// Names a module may import from IMPORT_MODULE.
// @ts-ignore: decorator
@lazy
export const IMPORT_MODULE: string = "calve";
// @ts-ignore: decorator
@lazy
export const IMPORT_LOG: string = "log"; // (level i32, ptr i32, len i32)
// @ts-ignore: decorator
@lazy
export const IMPORT_LOG_LEVEL: string = "log_level"; // () -> i32, the lowest level that is kept
// @ts-ignore: decorator
@lazy
export const IMPORT_COUNTER: string = "counter_add"; // (name_ptr i32, name_len i32, delta i64)
// @ts-ignore: decorator
@lazy
export const IMPORT_HISTOGRAM: string = "histogram"; // (name_ptr i32, name_len i32, value f64)
// @ts-ignore: decorator
@lazy
export const IMPORT_ABORT: string = "abort"; // of module env: AssemblyScript's trap (message, file, line, column)
// @ts-ignore: decorator
@lazy
export const IMPORT_ENV: string = "env"; // holds abort
// @ts-ignore: decorator
@lazy
export const IMPORT_WASI: string = "wasi_snapshot_preview1";

// Levels of IMPORT_LOG.
export const LEVEL_DEBUG: u32 = 0;
export const LEVEL_INFO: u32 = 1;
export const LEVEL_WARN: u32 = 2;
export const LEVEL_ERROR: u32 = 3;

// Status of a result.
export const STATUS_OK: u32 = 0;
export const STATUS_FAILED: u32 = 1; // the batch failed, do not retry
export const STATUS_RETRY: u32 = 2; // the batch failed, retry
export const STATUS_REFUSED: u32 = 3; // the configuration is refused
export const STATUS_OWN: u32 = 16; // from here on the plugin's own: failed, do not retry

// Kinds of plugin.
// @ts-ignore: decorator
@lazy
export const KIND_TRANSFORM: string = "transform";
// @ts-ignore: decorator
@lazy
export const KIND_SESSION: string = "session";
// @ts-ignore: decorator
@lazy
export const KIND_SCD: string = "scd";

// Columns that the host adds to what a session plugin is given: COLUMN_GROUP to
// the rows of calve_accumulate, the others to the state of calve_finish.
// @ts-ignore: decorator
@lazy
export const COLUMN_GROUP: string = "_group"; // uint32, the row of state that a row belongs to
// @ts-ignore: decorator
@lazy
export const COLUMN_KEY: string = "_key"; // the session's key, of the model's type
// @ts-ignore: decorator
@lazy
export const COLUMN_START: string = "_start"; // timestamp[us, UTC], of the first event
// @ts-ignore: decorator
@lazy
export const COLUMN_END: string = "_end"; // timestamp[us, UTC], of the last event
// @ts-ignore: decorator
@lazy
export const COLUMN_COUNT: string = "_count"; // int64, rows that were accumulated
// @ts-ignore: decorator
@lazy
export const COLUMN_CLOSED: string = "_closed"; // bool, whether the session is over

// Columns of the changes that an scd plugin is given, before the attributes,
// and the column of its output that says what to do.
// @ts-ignore: decorator
@lazy
export const COLUMN_OP: string = "_op"; // utf8, c created, u updated, d deleted, r read in a snapshot
// @ts-ignore: decorator
@lazy
export const COLUMN_EFFECTIVE_AT: string = "_effective_at"; // timestamp[us, UTC]
// @ts-ignore: decorator
@lazy
export const COLUMN_ACTION: string = "_action"; // int8

// Values of COLUMN_ACTION.
export const ACTION_IGNORE: u32 = 0;
export const ACTION_OVERWRITE: u32 = 1;
export const ACTION_NEW_VERSION: u32 = 2;
export const ACTION_DELETE: u32 = 3;

// Streams of an output. A transform with one output uses STREAM_MAIN; others
// are for routing.
export const STREAM_MAIN: u32 = 0;

// NO_WATERMARK is batch.watermark_us while the model has no watermark yet.
export const NO_WATERMARK: i64 = i64.MIN_VALUE;
