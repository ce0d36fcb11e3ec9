// Package abi defines ABI version 1 between the host that runs WebAssembly
// plugins (plugins/wasm) and the guests (sdk/*). It holds names, layouts and
// numbers only; every SDK's copy is compared with it by a test.
//
// # Data
//
// Record batches cross as structs of the Arrow C Data Interface
// (https://arrow.apache.org/docs/format/CDataInterface.html) in the guest's
// linear memory, in their wasm32 layout: little-endian, pointers are u32.
//
//	ArrowArray  64 bytes  i64 length, null_count, offset, n_buffers, n_children;
//	                      u32 buffers, children, dictionary, release, private_data, pad
//	ArrowSchema 48 bytes  u32 format, name, metadata, pad; i64 flags, n_children;
//	                      u32 children, dictionary, release, private_data
//
// A record batch is a struct array (format "+s") without nulls. release and
// private_data are 0 in both directions: ownership follows the calls. Input
// belongs to the host until the call returns and is not to be changed; outputs
// belong to the guest and stay valid until the next call into the instance. An
// output column may be an input column, at the same address: as long as its
// ArrowArray is unchanged the host takes its own copy, so whether it sees what a
// guest wrote into an input buffer all the same is undefined.
//
// The host writes offset 0, buffers aligned to 64 bytes and at least 16
// readable bytes after each, and a validity pointer of 0 where there are no
// nulls; in state columns of fixed width, which a guest may change, the bitmap is
// always there. A guest may return any offset, null_count -1, a validity pointer of 0
// when null_count is 0, and must align each buffer to its element's width (at
// most 8).
//
// # Calls
//
//	calve_abi_1()                       marker, never called
//	calve_alloc(size u32) -> u32        the input arena, 64-byte aligned; a new call may
//	                                    invalidate the old; 0 = no memory
//	calve_describe() -> u64             ptr<<32|len of the JSON of Describe; callable before init
//	calve_init(ptr u32, len u32) -> u32 result*; the JSON of Init
//	calve_process(batch u32) -> u32     result*; kinds transform and scd
//	calve_accumulate(batch u32) -> u32  result*; kind session, as the next two
//	calve_merge(batch u32) -> u32       result*
//	calve_finish(batch u32) -> u32      result*
//	calve_close()                       optional; not promised after a trap
//
//	batch  64 bytes  u32 size, array, state_array, flags; i64 batch_id, watermark_us,
//	                 reserved; u32 meta, pad; 16 bytes reserved
//	result 32 bytes  u32 status, n_outputs, outputs, row_errors, msg_ptr, msg_len,
//	                 reserved, reserved
//	output 24 bytes  u32 stream, schema, array, selection, rows, flags
//
// batch.meta is 0 or an ArrowArray struct<kafka_topic utf8, kafka_partition
// int32, kafka_offset int64, kafka_timestamp timestamp[us, UTC]>, a row for each
// row of the batch. watermark_us is NoWatermark while there is none.
//
// result.outputs points at n_outputs output structs, one after another; a
// stream occurs at most once. output.schema 0 means the columns declared in
// Describe or, of a stream declared "derived", those that calve_init's result
// announced (outputs with a schema and array 0). A schema that is not 0 may
// differ from the announced one in encoding only: a dictionary-encoded utf8 or
// binary column in place of a plain one. output.selection points at a bitmap of
// array.length bits, least significant first, of the rows to keep. output.rows
// points at array.length int32: the input row of each output row, never
// decreasing; 0 means one to one, and array.length then equals the batch's. A
// null in a column that is not nullable is an error only in a row that is kept.
//
// result.row_errors is 0 or an ArrowArray struct<row u32, code utf8, column
// utf8, message utf8>. Such a row is left out of every output and becomes a dead
// letter. An input row in no output and without an error is a counted filter.
//
// # Sessions
//
// The host owns keys, gaps, the watermark and state. State is a struct array of
// the columns that Describe.state declares; a new session begins with their
// initial values (null where none is given). No call keeps anything in the
// guest: any instance may get the next one.
//
//	calve_accumulate  array: the input columns and, last, _group u32, sorted by
//	                  _group and event time. state_array: a row for each group,
//	                  row g being group g; every group has rows. Output 0: the
//	                  state afterwards. Rows of row_errors are the input's; they
//	                  must not have changed the state.
//	calve_merge       array and state_array: state of sessions that became one,
//	                  array's the earlier. Output 0: the state of both, row by
//	                  row. No row errors.
//	calve_finish      array: state, then _key, _start, _end timestamp[us, UTC],
//	                  _count i64, _closed bool. Outputs and row errors as of a
//	                  transform, a row being a session.
//
// Output 0 of calve_accumulate and calve_merge has the declared state columns in
// order, as many rows as state_array, neither selection nor rows, and schema 0.
// Each column is either new or, at the same address, that of state_array
// (calve_merge: of array) whose fixed-width values and validity the guest has
// changed in place. Columns of strings and nested ones are not to be changed in
// place. Init.input_schema is what calve_accumulate gets, _group included, and
// Init.state_schema what calve_finish gets.
//
// # Slowly changing dimensions
//
// calve_process of kind scd gets changes: _op utf8 (c, u, d or r), _effective_at
// timestamp[us, UTC], then the attributes; at most one change of a key. Row i of
// state_array is the version in force then, its columns those of
// Init.state_schema; the row is null where there is none, by the validity bitmap
// of the struct, and so is each of its columns. Output 0 is one to one, with
// neither selection nor rows: _action int8 (0 ignore, 1 overwrite, 2 new version,
// 3 delete), without nulls, then the attributes to store as Describe declares
// them. Rows of row_errors are not decided upon.
package abi
