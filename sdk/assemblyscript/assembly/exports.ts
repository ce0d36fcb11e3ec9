// What a plugin's module exports. The main file of a plugin has the line
// export * from "calve/assembly/exports".
import {
  BATCH_ARRAY, BATCH_META, BATCH_STATE, BATCH_WATERMARK, KIND_SESSION, KIND_TRANSFORM,
  OUTPUT_SCHEMA, OUTPUT_SIZE, OUTPUT_STREAM, RESULT_MESSAGE_LEN, RESULT_MESSAGE_PTR, RESULT_N_OUTPUTS, RESULT_OUTPUTS,
  RESULT_ROW_ERRORS, RESULT_SIZE, RESULT_STATUS, STATUS_FAILED, STATUS_OK, STATUS_REFUSED, STREAM_MAIN,
} from "./abi";
import { Column } from "./column";
import { Config } from "./config";
import { RowErrors } from "./errors";
import { clearFailure, failureMessage, failureStatus } from "./failure";
import { Batch } from "./input";
import { begin, beginWithInput, keep, takeZero } from "./memory";
import { Output } from "./output";
import { describe, registeredPlugin } from "./plugin";
import { readColumns, writeSchema } from "./schema";
import { State } from "./state";
import { Text } from "./text";

let inputColumns: Column[] = [];
let besideColumns: Column[] = []; // of calve_finish, or of what is in force
let streams: Column[][] = [];

export function calve_abi_1(): void {}

export function calve_alloc(size: u32): u32 {
  return <u32>beginWithInput(size);
}

export function calve_describe(): u64 {
  begin();
  const t = Text.of(describe(registeredPlugin()));
  return (<u64>t.data << 32) | t.size;
}

export function calve_init(data: u32, size: u32): u32 {
  clearFailure();
  const result = setUp(new Config(Text.at(data, size)));
  keep(); // the config, the input's columns, and what was made of them
  return <u32>result;
}

function setUp(init: Config): usize {
  const plugin = registeredPlugin(), json = init.raw("config");
  if (json.size == 0 || !init.hasLong("input_schema")) return failed(STATUS_FAILED, "malformed JSON from the host");
  const config = new Config(json), configure = plugin.configureWith, derive = plugin.deriveWith;
  inputColumns = readColumns(<usize>init.long("input_schema"));
  const beside = <usize>init.long("state_schema");
  if (beside != 0) besideColumns = readColumns(beside);
  if (configure != null) configure(config, inputColumns);
  streams = [plugin.outputColumns];
  if (failureStatus() == STATUS_OK && derive != null) streams[STREAM_MAIN] = derive(config, inputColumns);
  for (let i = 0; i < plugin.moreStreams.length; i++) streams.push(plugin.moreStreams[i]);
  if (failureStatus() != STATUS_OK) return failed(STATUS_REFUSED, failureMessage());
  const result = takeZero(RESULT_SIZE);
  if (derive == null) return result;
  const output = takeZero(OUTPUT_SIZE);
  store<u32>(output, STREAM_MAIN, OUTPUT_STREAM);
  store<u32>(output, <u32>writeSchema(streams[STREAM_MAIN]), OUTPUT_SCHEMA);
  store<u32>(result, 1, RESULT_N_OUTPUTS);
  store<u32>(result, <u32>output, RESULT_OUTPUTS);
  return result;
}

export function calve_process(batch: u32): u32 {
  clearFailure();
  const plugin = registeredPlugin(), decide = plugin.decideWith;
  if (plugin.accumulateWith != null) return notOfKind(KIND_TRANSFORM);
  const input = batchAt(batch, inputColumns), errors = new RowErrors(input.rows);
  const outputs = makeOutputs(input.rows, streams, errors), out = outputs[STREAM_MAIN];
  if (decide != null) {
    out.beginActions();
    decide(input, besideAt(batch, besideColumns), out);
  } else {
    plugin.run(input, out);
  }
  return finish(outputs, errors);
}

export function calve_accumulate(batch: u32): u32 {
  clearFailure();
  const accumulate = registeredPlugin().accumulateWith;
  if (accumulate == null) return notOfKind(KIND_SESSION);
  const input = batchAt(batch, inputColumns), rows = besideAt(batch, stateColumns());
  const errors = new RowErrors(input.rows), outputs = makeStateOutput(rows, errors);
  accumulate(input, input.groups(), new State(rows, outputs[STREAM_MAIN]));
  return finish(outputs, errors);
}

export function calve_merge(batch: u32): u32 {
  clearFailure();
  const merge = registeredPlugin().mergeWith;
  if (merge == null) return notOfKind(KIND_SESSION);
  const rows = batchAt(batch, stateColumns()), from = besideAt(batch, stateColumns());
  const errors = new RowErrors(0), outputs = makeStateOutput(rows, errors);
  merge(new State(rows, outputs[STREAM_MAIN]), from);
  return finish(outputs, errors);
}

export function calve_finish(batch: u32): u32 {
  clearFailure();
  const plugin = registeredPlugin();
  if (plugin.accumulateWith == null) return notOfKind(KIND_SESSION);
  const input = batchAt(batch, besideColumns), errors = new RowErrors(input.rows);
  const outputs = makeOutputs(input.rows, streams, errors);
  plugin.run(input, outputs[STREAM_MAIN]);
  return finish(outputs, errors);
}

function notOfKind(kind: string): u32 {
  return <u32>failed(STATUS_FAILED, "the plugin is of kind " + registeredPlugin().kind + ", not " + kind);
}

function batchAt(batch: usize, columns: Column[]): Batch {
  return new Batch(load<u32>(batch, BATCH_ARRAY), columns, load<u32>(batch, BATCH_META), load<i64>(batch, BATCH_WATERMARK));
}

function besideAt(batch: usize, columns: Column[]): Batch {
  return new Batch(load<u32>(batch, BATCH_STATE), columns);
}

// The columns of state: the first of those of calve_finish.
function stateColumns(): Column[] {
  return besideColumns.slice(0, registeredPlugin().stateColumns.length);
}

function makeOutputs(rows: i32, streams: Column[][], errors: RowErrors): Output[] {
  const outputs: Output[] = [];
  for (let i = 0; i < streams.length; i++) outputs.push(new Output(i, streams[i], rows, outputs, errors));
  return outputs;
}

// The output for state, whose columns are those of before unless they are built.
function makeStateOutput(before: Batch, errors: RowErrors): Output[] {
  const outputs = makeOutputs(before.rows, [stateColumns()], errors);
  outputs[STREAM_MAIN].unset = before.vectors;
  return outputs;
}

function finish(outputs: Output[], errors: RowErrors): u32 {
  if (failureStatus() != STATUS_OK) return <u32>failed(failureStatus(), failureMessage());
  const structs = takeZero(<usize>outputs.length * OUTPUT_SIZE), result = takeZero(RESULT_SIZE);
  let n: u32 = 0;
  for (let i = 0; i < outputs.length; i++) {
    if (i != STREAM_MAIN && !outputs[i].used) continue;
    outputs[i].finish(structs + <usize>n * OUTPUT_SIZE);
    n++;
  }
  store<u32>(result, n, RESULT_N_OUTPUTS);
  store<u32>(result, <u32>structs, RESULT_OUTPUTS);
  store<u32>(result, <u32>errors.finish(), RESULT_ROW_ERRORS);
  return <u32>result;
}

function failed(status: u32, message: string): usize {
  const result = takeZero(RESULT_SIZE), t = Text.of(message);
  store<u32>(result, status, RESULT_STATUS);
  store<u32>(result, <u32>t.data, RESULT_MESSAGE_PTR);
  store<u32>(result, t.size, RESULT_MESSAGE_LEN);
  return result;
}

export function calve_close(): void {}
