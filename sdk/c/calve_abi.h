// Generated from sdk/abi. Do not edit.
//
// ABI version 1, written from the package sdk/abi of Calve, which documents it, by
// go test ./sdk/abi -run TestGeneratedConstants -update
#ifndef CALVE_ABI_H
#define CALVE_ABI_H

// Alignment and slack of the buffers that the host writes, in bytes.
#define CALVE_BUFFER_ALIGN 64u
#define CALVE_BUFFER_SLACK 16u

// ArrowArray: offsets of its fields, in bytes. Counts are i64, pointers u32.
#define CALVE_ARRAY_SIZE 64u
#define CALVE_ARRAY_LENGTH 0u
#define CALVE_ARRAY_NULL_COUNT 8u
#define CALVE_ARRAY_OFFSET 16u
#define CALVE_ARRAY_N_BUFFERS 24u
#define CALVE_ARRAY_N_CHILDREN 32u
#define CALVE_ARRAY_BUFFERS 40u
#define CALVE_ARRAY_CHILDREN 44u
#define CALVE_ARRAY_DICTIONARY 48u
#define CALVE_ARRAY_RELEASE 52u
#define CALVE_ARRAY_PRIVATE_DATA 56u

// ArrowSchema: offsets of its fields, in bytes. flags and n_children are i64,
// pointers u32; format and name are NUL-terminated UTF-8.
#define CALVE_SCHEMA_SIZE 48u
#define CALVE_SCHEMA_FORMAT 0u
#define CALVE_SCHEMA_NAME 4u
#define CALVE_SCHEMA_METADATA 8u
#define CALVE_SCHEMA_FLAGS 16u
#define CALVE_SCHEMA_N_CHILDREN 24u
#define CALVE_SCHEMA_CHILDREN 32u
#define CALVE_SCHEMA_DICTIONARY 36u
#define CALVE_SCHEMA_RELEASE 40u
#define CALVE_SCHEMA_PRIVATE_DATA 44u

// Bits of ArrowSchema.flags.
#define CALVE_FLAG_DICTIONARY_ORDERED 1u
#define CALVE_FLAG_NULLABLE 2u
#define CALVE_FLAG_MAP_KEYS_SORTED 4u

// batch: offsets of its fields, in bytes.
#define CALVE_BATCH_SIZE 64u
#define CALVE_BATCH_STRUCT_SIZE 0u
#define CALVE_BATCH_ARRAY 4u
#define CALVE_BATCH_STATE 8u
#define CALVE_BATCH_FLAGS 12u
#define CALVE_BATCH_ID 16u
#define CALVE_BATCH_WATERMARK 24u
#define CALVE_BATCH_RESERVED 32u
#define CALVE_BATCH_META 40u

// result: offsets of its fields, in bytes.
#define CALVE_RESULT_SIZE 32u
#define CALVE_RESULT_STATUS 0u
#define CALVE_RESULT_N_OUTPUTS 4u
#define CALVE_RESULT_OUTPUTS 8u
#define CALVE_RESULT_ROW_ERRORS 12u
#define CALVE_RESULT_MESSAGE_PTR 16u
#define CALVE_RESULT_MESSAGE_LEN 20u

// output: offsets of its fields, in bytes.
#define CALVE_OUTPUT_SIZE 24u
#define CALVE_OUTPUT_STREAM 0u
#define CALVE_OUTPUT_SCHEMA 4u
#define CALVE_OUTPUT_ARRAY 8u
#define CALVE_OUTPUT_SELECTION 12u
#define CALVE_OUTPUT_ROWS 16u
#define CALVE_OUTPUT_FLAGS 20u

// Columns of batch.meta, in order.
#define CALVE_META_TOPIC 0u
#define CALVE_META_PARTITION 1u
#define CALVE_META_OFFSET 2u
#define CALVE_META_TIMESTAMP 3u
#define CALVE_META_COLUMNS 4u

// Columns of result.row_errors, in order.
#define CALVE_ROW_ERROR_ROW 0u
#define CALVE_ROW_ERROR_CODE 1u
#define CALVE_ROW_ERROR_COLUMN 2u
#define CALVE_ROW_ERROR_MESSAGE 3u
#define CALVE_ROW_ERROR_COLUMNS 4u

// Bounds on what a guest may say about itself. They are part of the contract:
// a module that stays within them is accepted by every host.
#define CALVE_MAX_DESCRIBE_BYTES 1048576u
#define CALVE_MAX_COLUMNS 2000u // fields of one stream, nested ones included
#define CALVE_MAX_DEPTH 8u // levels of nesting below a column
#define CALVE_MAX_NAME_BYTES 256u // of a column, a metric or the plugin
#define CALVE_MAX_STREAMS 64u
#define CALVE_MAX_MESSAGE_BYTES 4096u // of a result's or a row error's message; longer ones are cut
#define CALVE_MAX_CODE_BYTES 64u // of a row error's code

// Defaults of the limits that an operator may set.

// CALVE_DEFAULT_MEMORY_BYTES bounds linear memory.
#define CALVE_DEFAULT_MEMORY_BYTES 268435456u

// CALVE_DEFAULT_BUDGET bounds the work of one call, in checks: one at each loop
// iteration and function entry, more where 128 bytes of code or 64 bytes
// of a bulk operation lie between two. A tight loop does about 10⁹ a second.
#define CALVE_DEFAULT_BUDGET 2147483648u

// CALVE_DEFAULT_OUTPUT_BYTES bounds what one call may return, every column counted
// even where several share a buffer.
#define CALVE_DEFAULT_OUTPUT_BYTES 268435456u

// CALVE_DEFAULT_OUTPUT_ROWS bounds the rows of one output.
#define CALVE_DEFAULT_OUTPUT_ROWS 1048576u

// CALVE_DEFAULT_LOG_BYTES bounds what one call may log.
#define CALVE_DEFAULT_LOG_BYTES 65536u

// CALVE_DEFAULT_METRICS bounds the names of counters and histograms of one call.
#define CALVE_DEFAULT_METRICS 64u

// CALVE_VERSION is the ABI version this package defines.
#define CALVE_VERSION 1u

// Names a module exports.
#define CALVE_EXPORT_MARKER "calve_abi_1"
#define CALVE_EXPORT_MEMORY "memory"
#define CALVE_EXPORT_ALLOC "calve_alloc"
#define CALVE_EXPORT_DESCRIBE "calve_describe"
#define CALVE_EXPORT_INIT "calve_init"
#define CALVE_EXPORT_PROCESS "calve_process"
#define CALVE_EXPORT_CLOSE "calve_close"
#define CALVE_EXPORT_ACCUMULATE "calve_accumulate"
#define CALVE_EXPORT_MERGE "calve_merge"
#define CALVE_EXPORT_FINISH "calve_finish"

// CALVE_EXPORT_INITIALIZE is the start of a WASI preview 1 reactor. The host
// calls it once, before anything else, if it is there.
#define CALVE_EXPORT_INITIALIZE "_initialize"

// Names a module may import from CALVE_IMPORT_MODULE.
#define CALVE_IMPORT_MODULE "calve"
#define CALVE_IMPORT_LOG "log" // (level i32, ptr i32, len i32)
#define CALVE_IMPORT_LOG_LEVEL "log_level" // () -> i32, the lowest level that is kept
#define CALVE_IMPORT_COUNTER "counter_add" // (name_ptr i32, name_len i32, delta i64)
#define CALVE_IMPORT_HISTOGRAM "histogram" // (name_ptr i32, name_len i32, value f64)
#define CALVE_IMPORT_ABORT "abort" // of module env: AssemblyScript's trap (message, file, line, column)
#define CALVE_IMPORT_ENV "env" // holds abort
#define CALVE_IMPORT_WASI "wasi_snapshot_preview1"

// Levels of CALVE_IMPORT_LOG.
#define CALVE_LEVEL_DEBUG 0u
#define CALVE_LEVEL_INFO 1u
#define CALVE_LEVEL_WARN 2u
#define CALVE_LEVEL_ERROR 3u

// Status of a result.
#define CALVE_STATUS_OK 0u
#define CALVE_STATUS_FAILED 1u // the batch failed, do not retry
#define CALVE_STATUS_RETRY 2u // the batch failed, retry
#define CALVE_STATUS_REFUSED 3u // the configuration is refused
#define CALVE_STATUS_OWN 16u // from here on the plugin's own: failed, do not retry

// Kinds of plugin.
#define CALVE_KIND_TRANSFORM "transform"
#define CALVE_KIND_SESSION "session"
#define CALVE_KIND_SCD "scd"

// Columns that the host adds to what a session plugin is given: CALVE_COLUMN_GROUP to
// the rows of calve_accumulate, the others to the state of calve_finish.
#define CALVE_COLUMN_GROUP "_group" // uint32, the row of state that a row belongs to
#define CALVE_COLUMN_KEY "_key" // the session's key, of the model's type
#define CALVE_COLUMN_START "_start" // timestamp[us, UTC], of the first event
#define CALVE_COLUMN_END "_end" // timestamp[us, UTC], of the last event
#define CALVE_COLUMN_COUNT "_count" // int64, rows that were accumulated
#define CALVE_COLUMN_CLOSED "_closed" // bool, whether the session is over

// Columns of the changes that an scd plugin is given, before the attributes,
// and the column of its output that says what to do.
#define CALVE_COLUMN_OP "_op" // utf8, c created, u updated, d deleted, r read in a snapshot
#define CALVE_COLUMN_EFFECTIVE_AT "_effective_at" // timestamp[us, UTC]
#define CALVE_COLUMN_ACTION "_action" // int8

// Values of CALVE_COLUMN_ACTION.
#define CALVE_ACTION_IGNORE 0u
#define CALVE_ACTION_OVERWRITE 1u
#define CALVE_ACTION_NEW_VERSION 2u
#define CALVE_ACTION_DELETE 3u

// Streams of an output. A transform with one output uses CALVE_STREAM_MAIN; others
// are for routing.
#define CALVE_STREAM_MAIN 0u

// CALVE_NO_WATERMARK is batch.watermark_us while the model has no watermark yet.
#define CALVE_NO_WATERMARK (-9223372036854775807LL - 1)

#endif
