// What a plugin's module exports. The main file of a plugin has the line
// export * from "calve/assembly/exports".
import {
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
import { Text } from "./text";

let inputColumns: Column[] = [];
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
  const input = new Batch(batch, inputColumns), errors = new RowErrors(input.rows);
  const outputs: Output[] = [];
  for (let i = 0; i < streams.length; i++) outputs.push(new Output(i, streams[i], input.rows, outputs, errors));
  const plugin = registeredPlugin();
  plugin.run(input, outputs[STREAM_MAIN]);
  if (failureStatus() != STATUS_OK) return <u32>failed(failureStatus(), failureMessage());
  return <u32>finish(outputs, errors);
}

function finish(outputs: Output[], errors: RowErrors): usize {
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
  return result;
}

function failed(status: u32, message: string): usize {
  const result = takeZero(RESULT_SIZE), t = Text.of(message);
  store<u32>(result, status, RESULT_STATUS);
  store<u32>(result, <u32>t.data, RESULT_MESSAGE_PTR);
  store<u32>(result, t.size, RESULT_MESSAGE_LEN);
  return result;
}

export function calve_close(): void {}
