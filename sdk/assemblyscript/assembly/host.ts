import { LEVEL_DEBUG, LEVEL_ERROR, LEVEL_INFO, LEVEL_WARN } from "./abi";
import { take } from "./memory";
import { utf8Size, writeUtf8 } from "./text";

// @ts-ignore: decorator
@external("calve", "log")
declare function hostLog(level: u32, data: usize, size: u32): void;
// @ts-ignore: decorator
@external("calve", "log_level")
declare function hostLogLevel(): u32;
// @ts-ignore: decorator
@external("calve", "counter_add")
declare function hostCounter(name: usize, size: u32, delta: i64): void;
// @ts-ignore: decorator
@external("calve", "histogram")
declare function hostHistogram(name: usize, size: u32, value: f64): void;

// Level of a line of the log.
export enum Level {
  Debug = LEVEL_DEBUG,
  Info = LEVEL_INFO,
  Warn = LEVEL_WARN,
  Error = LEVEL_ERROR,
}

// Writes a line to the log of the pipeline. The host bounds what a batch may log.
export function log(level: Level, message: string): void {
  if (!logEnabled(level)) return;
  const size = utf8Size(message), data = borrow(message, size);
  hostLog(level, data, size);
  heap.free(data);
}

// Whether lines of that level are kept, so that making one can be spared.
export function logEnabled(level: Level): bool {
  return <u32>level >= hostLogLevel();
}

// Adds to a counter of the plugin. What a batch counts that fails is not kept.
export function count(name: string, delta: i64 = 1): void {
  const size = utf8Size(name), data = borrow(name, size);
  hostCounter(data, size, delta);
  heap.free(data);
}

// Adds a value to a histogram of the plugin.
export function observe(name: string, value: f64): void {
  const size = utf8Size(name), data = borrow(name, size);
  hostHistogram(data, size, value);
  heap.free(data);
}

// UTF-8 at the top of the heap, where it can be freed.
function borrow(s: string, size: u32): usize {
  const data = take(size);
  writeUtf8(s, data);
  return data;
}
