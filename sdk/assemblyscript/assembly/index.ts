// SDK for Calve plugins written in AssemblyScript; README.md begins with an
// example.
//
// The same input must give the same output: there is no clock, no randomness, no
// file and no network, and a transform keeps nothing from one batch to the next,
// since any instance may get any batch. What it reads and what it allocates is
// valid until it returns.
//
// A mistake, such as asking for a column that is not there, throws, and so fails
// the batch with a message that names it.
export { STATUS_FAILED, STATUS_OWN, STATUS_RETRY } from "./abi";
export { BooleanBuilder, DecimalBuilder, TextBuilder, ValueBuilder } from "./builder";
export { Column } from "./column";
export { Config } from "./config";
export { fail } from "./failure";
export { Level, count, log, logEnabled, observe } from "./host";
export { Batch, Booleans, Decimals, Positions, Slots, Texts, Values, Vector } from "./input";
export { Action, Output } from "./output";
export { NO_DATE, NO_TIMESTAMP, isLong, parseDate, parseDouble, parseLong, parseTimestamp } from "./parse";
export { Plugin, register } from "./plugin";
export { State, StateBooleans, StateDecimals, StateValues } from "./state";
export { Text } from "./text";
