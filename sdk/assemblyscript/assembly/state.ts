import { ARRAY_NULL_COUNT } from "./abi";
import { TextBuilder } from "./builder";
import { Batch, Reader, Slots, Texts, Vector, checkRow } from "./input";
import { bitAt, clearBit, setBit } from "./memory";
import { Output } from "./output";

// State is the state of sessions, a row each. What is not set stays as it is.
//
// Columns of fixed width are changed where they lie. Those of strings and bytes are
// read as they are and built anew, every row of them.
export class State {
  constructor(
    private batch: Batch,
    private out: Output,
  ) {}

  // The number of rows.
  get rows(): i32 {
    return this.batch.rows;
  }

  // Columns to be read and changed.

  boolean(name: string): StateBooleans {
    return new StateBooleans(this.change(name, "b"));
  }

  int(name: string): StateValues<i32> {
    return new StateValues<i32>(this.change(name, "i"));
  }

  long(name: string): StateValues<i64> {
    return new StateValues<i64>(this.change(name, "l"));
  }

  float(name: string): StateValues<f32> {
    return new StateValues<f32>(this.change(name, "f"));
  }

  double(name: string): StateValues<f64> {
    return new StateValues<f64>(this.change(name, "g"));
  }

  decimal(name: string): StateDecimals {
    return new StateDecimals(this.change(name, "d:"));
  }

  // Days since 1970-01-01.
  date(name: string): StateValues<i32> {
    return new StateValues<i32>(this.change(name, "tdD"));
  }

  // Microseconds since 1970-01-01, of a timestamp or a timestamptz.
  timestamp(name: string): StateValues<i64> {
    return new StateValues<i64>(this.change(name, "tsu:"));
  }

  // Columns as they are, and as they are to be: rows of these that are not set are
  // null.

  string(name: string): Texts {
    return this.batch.string(name);
  }

  binary(name: string): Texts {
    return this.batch.binary(name);
  }

  buildString(name: string): TextBuilder {
    return this.out.string(name);
  }

  buildBinary(name: string): TextBuilder {
    return this.out.binary(name);
  }

  // Reports that input row i cannot be used, as Output.rowError does. Sessions
  // cannot be refused by merge.
  rowError(i: i32, code: string, column: string, message: string): void {
    this.out.rowError(i, code, column, message);
  }

  // The host's struct says how many nulls there were: the plugin may make some.
  private change(name: string, format: string): Vector {
    const v = this.batch.find(name, format);
    store<i64>(v.array, -1, ARRAY_NULL_COUNT);
    return v;
  }
}

// What the columns of state have in common.
class Changer extends Reader {
  // Makes row i null.
  setNull(i: i32): void {
    checkRow(i, this.rows);
    clearBit(this.valid, i);
  }
}

// StateValues is a column of numbers, dates or timestamps of state.
// @ts-ignore: decorator
@final
export class StateValues<T> extends Changer {
  // The value of row i; of a null it is unspecified.
  // @ts-ignore: decorator
  @inline @operator("[]")
  at(i: i32): T {
    checkRow(i, this.rows);
    return load<T>(this.data + (<usize>i << alignof<T>()));
  }

  // The value of row i, or instead where it is null.
  // @ts-ignore: decorator
  @inline
  or(i: i32, instead: T): T {
    return this.isNull(i) ? instead : this.at(i);
  }

  // @ts-ignore: decorator
  @inline @operator("[]=")
  set(i: i32, value: T): void {
    checkRow(i, this.rows);
    store<T>(this.data + (<usize>i << alignof<T>()), value);
    setBit(this.valid, i);
  }

  // All rows, without any check, for loops that matter: those that are null stay so.
  // @ts-ignore: decorator
  @inline
  values(): Slots<T> {
    return changetype<Slots<T>>(this.data);
  }
}

// StateBooleans is a column of true and false of state.
// @ts-ignore: decorator
@final
export class StateBooleans extends Changer {
  // The value of row i; of a null it is unspecified.
  // @ts-ignore: decorator
  @inline @operator("[]")
  at(i: i32): bool {
    checkRow(i, this.rows);
    return bitAt(this.data, i);
  }

  // @ts-ignore: decorator
  @inline
  or(i: i32, instead: bool): bool {
    return this.isNull(i) ? instead : this.at(i);
  }

  // @ts-ignore: decorator
  @inline @operator("[]=")
  set(i: i32, value: bool): void {
    checkRow(i, this.rows);
    if (value) setBit(this.data, i);
    else clearBit(this.data, i);
    setBit(this.valid, i);
  }
}

// StateDecimals is a column of decimals of state: 128 bits, unscaled, so that 1234
// with scale 2 is 12.34.
// @ts-ignore: decorator
@final
export class StateDecimals extends Changer {
  // The lower half of row i; of a null it is unspecified.
  // @ts-ignore: decorator
  @inline
  low(i: i32): u64 {
    checkRow(i, this.rows);
    return load<u64>(this.data + (<usize>i << 4));
  }

  // The upper half of row i, which has the sign.
  // @ts-ignore: decorator
  @inline
  high(i: i32): i64 {
    checkRow(i, this.rows);
    return load<i64>(this.data + (<usize>i << 4), 8);
  }

  // Sets row i to its two halves.
  // @ts-ignore: decorator
  @inline
  set(i: i32, low: u64, high: i64): void {
    checkRow(i, this.rows);
    const at = this.data + (<usize>i << 4);
    store<u64>(at, low);
    store<i64>(at, high, 8);
    setBit(this.valid, i);
  }

  // Sets row i to an unscaled value of 64 bits.
  // @ts-ignore: decorator
  @inline
  setLong(i: i32, value: i64): void {
    this.set(i, <u64>value, value >> 63);
  }
}
