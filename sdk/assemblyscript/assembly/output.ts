import {
  ACTION_DELETE, ACTION_IGNORE, ACTION_NEW_VERSION, ACTION_OVERWRITE,
  ARRAY_BUFFERS, ARRAY_CHILDREN, ARRAY_LENGTH, ARRAY_N_BUFFERS, ARRAY_N_CHILDREN, ARRAY_NULL_COUNT, ARRAY_SIZE,
  OUTPUT_ARRAY, OUTPUT_ROWS, OUTPUT_SELECTION, OUTPUT_STREAM,
} from "./abi";
import { BooleanBuilder, Builder, DecimalBuilder, TextBuilder, ValueBuilder } from "./builder";
import { Column } from "./column";
import { RowErrors } from "./errors";
import { Vector, checkRow } from "./input";
import { bitmapBytes, clearBit, setBits, take, takeZero } from "./memory";

// Action is what to do with a change.
export enum Action {
  Ignore = ACTION_IGNORE,
  Overwrite = ACTION_OVERWRITE,
  NewVersion = ACTION_NEW_VERSION,
  Delete = ACTION_DELETE,
}

// Output is the rows that a transform makes. As a rule it has a row for each row of
// the input, at the same place: rows not set are null, and rows dropped or reported
// as errors are left out. Where one input row makes several rows, call ownRows
// first, begin each output row with addRow, and set its number.
export class Output {
  used: bool = false;
  private own: bool = false;
  private builders: StaticArray<Builder | null>;
  private selection: usize = 0;
  private origins: usize = 0; // of rows of its own the input row of each
  private room: i32 = 0;
  private count: i32 = 0;
  private last: i32 = 0;
  private actions: usize = 0; // of decisions
  unset: Vector[] | null = null; // what columns that are not set are; null: they must be set

  constructor(
    private number: u32,
    private columns: Column[],
    private rows: i32,
    private all: Output[],
    private errors: RowErrors,
  ) {
    this.builders = new StaticArray<Builder | null>(columns.length);
  }

  // Makes an input column an output column, without copying it.
  pass(name: string, column: Vector): void {
    const b = new Builder(this.rows, true);
    b.passed = column.array;
    this.builders[this.find(name, column.column.format)] = b;
  }

  // Begin a column that the plugin declares; asked for again, the same one.

  boolean(name: string): BooleanBuilder {
    return this.build<BooleanBuilder>(name, "b");
  }

  int(name: string): ValueBuilder<i32> {
    return this.build<ValueBuilder<i32>>(name, "i");
  }

  long(name: string): ValueBuilder<i64> {
    return this.build<ValueBuilder<i64>>(name, "l");
  }

  float(name: string): ValueBuilder<f32> {
    return this.build<ValueBuilder<f32>>(name, "f");
  }

  double(name: string): ValueBuilder<f64> {
    return this.build<ValueBuilder<f64>>(name, "g");
  }

  decimal(name: string): DecimalBuilder {
    return this.build<DecimalBuilder>(name, "d:");
  }

  string(name: string): TextBuilder {
    return this.build<TextBuilder>(name, "u");
  }

  binary(name: string): TextBuilder {
    return this.build<TextBuilder>(name, "z");
  }

  // Days since 1970-01-01.
  date(name: string): ValueBuilder<i32> {
    return this.build<ValueBuilder<i32>>(name, "tdD");
  }

  // Microseconds since 1970-01-01, of a timestamp or a timestamptz.
  timestamp(name: string): ValueBuilder<i64> {
    return this.build<ValueBuilder<i64>>(name, "tsu:");
  }

  // Leaves row i out: a filtered row.
  drop(i: i32): void {
    this.used = true;
    this.checkRow(i);
    if (this.selection == 0) {
      this.selection = take(bitmapBytes(this.rows));
      setBits(this.selection, this.rows);
    }
    clearBit(this.selection, i);
  }

  // Reports that input row i cannot be used: it is left out of every output and
  // becomes a dead letter with its original bytes. code is the reason to count by
  // (lower case, digits and underscores), column the input column at fault (empty
  // if none in particular), message is for a person. The first error of a row
  // counts.
  rowError(i: i32, code: string, column: string, message: string): void {
    checkRow(i, this.errors.rows);
    this.errors.add(i, code, column, message);
  }

  // Sets what to do with change i. A change without an action is ignored. Only a
  // plugin of kind scd has actions.
  action(i: i32, action: Action): void {
    this.checkRow(i);
    if (this.actions == 0) throw new Error("an action of a plugin that is not of kind scd");
    store<u8>(this.actions + i, <u8>action);
  }

  // Prepares for changes to be decided upon, to be ignored at first.
  beginActions(): void {
    this.actions = takeZero(<usize>this.rows + 1);
  }

  // Says that the output's rows are those of addRow, none before the first.
  // Columns cannot be passed through then, nor rows dropped.
  ownRows(): void {
    if (this.own) return;
    this.used = true;
    this.own = true;
    for (let i = 0; i < this.builders.length; i++) {
      const b = this.builders[i];
      if (b != null) b.fixed = false;
    }
  }

  // Begins an output row made of input row i and returns its number, which is what
  // setting a column takes. Input rows must come in order.
  addRow(i: i32): i32 {
    this.checkRow(i);
    if (!this.own) throw new Error("addRow without ownRows: call ownRows before anything else of the output");
    if (i < this.last) {
      throw new Error(
        "row " + i.toString() + " is added after row " + this.last.toString() + ": add rows in the order of the input",
      );
    }
    if (this.count == this.room) this.growOrigins();
    store<i32>(this.origins + (<usize>this.count << 2), i);
    this.last = i;
    return this.count++;
  }

  // The output of another stream of a plugin that declares several; 0 is the
  // output itself. A stream other than 0 that is not touched is empty for this
  // batch.
  stream(number: i32): Output {
    if (<u32>number < <u32>this.all.length) return this.all[number];
    throw new Error("the plugin declares no output stream " + number.toString());
  }

  // Writes the output's struct.
  finish(to: usize): void {
    if (this.own && this.selection != 0) {
      throw new Error("an output with rows of its own cannot drop rows: do not add them");
    }
    const rows = this.own ? this.count : this.rows;
    const first = this.actions != 0 ? 1 : 0, n = first + this.columns.length;
    const children = takeZero(<usize>n << 2);
    if (first > 0) store<u32>(children, <u32>this.actionArray());
    for (let i = first; i < n; i++) {
      store<u32>(children + (<usize>i << 2), <u32>this.finishColumn(i - first, rows));
    }
    store<u32>(to, this.number, OUTPUT_STREAM);
    store<u32>(to, <u32>table(rows, n, children), OUTPUT_ARRAY);
    store<u32>(to, <u32>this.selection, OUTPUT_SELECTION);
    if (this.own && this.origins == 0) this.growOrigins();
    store<u32>(to, <u32>this.origins, OUTPUT_ROWS);
  }

  // The ArrowArray of the column _action.
  private actionArray(): usize {
    const a = takeZero(ARRAY_SIZE), buffers = takeZero(8);
    store<u32>(buffers, <u32>this.actions, 4);
    store<i64>(a, this.rows, ARRAY_LENGTH);
    store<i64>(a, 2, ARRAY_N_BUFFERS);
    store<u32>(a, <u32>buffers, ARRAY_BUFFERS);
    return a;
  }

  private finishColumn(i: i32, rows: i32): usize {
    const name = this.columns[i].name, b = this.builders[i], unset = this.unset;
    if (b == null && unset != null) return unset[i].array;
    if (b == null) throw new Error('output column "' + name + '" was not set');
    if (b.passed == 0) return columnArray(b, rows, true);
    if (this.own) {
      throw new Error(
        'output column "' + name + '": a column cannot be passed through to an output with rows of its own',
      );
    }
    return b.passed;
  }

  private build<B extends Builder>(name: string, format: string): B {
    const i = this.find(name, format), had = this.builders[i];
    if (had != null && had.passed == 0) return changetype<B>(had);
    const b = instantiate<B>(this.rows, !this.own);
    b.begin();
    this.builders[i] = b;
    return b;
  }

  private find(name: string, format: string): i32 {
    this.used = true;
    for (let i = 0; i < this.columns.length; i++) {
      const c = this.columns[i];
      if (c.name != name) continue;
      if (c.format.startsWith(format)) return i;
      throw new Error('output column "' + name + '" is declared with format "' + c.format + '", not "' + format + '"');
    }
    throw new Error('output column "' + name + '" is not declared');
  }

  private checkRow(i: i32): void {
    checkRow(i, this.rows);
  }

  private growOrigins(): void {
    this.room = this.room > 0 ? 2 * this.room : this.rows + 8;
    const bytes = <usize>this.room << 2;
    this.origins = this.origins == 0 ? take(bytes) : heap.realloc(this.origins, bytes);
  }
}

// The ArrowArray of a table.
export function table(rows: i32, columns: i32, children: usize): usize {
  const a = takeZero(ARRAY_SIZE);
  store<i64>(a, rows, ARRAY_LENGTH);
  store<i64>(a, 1, ARRAY_N_BUFFERS);
  store<i64>(a, columns, ARRAY_N_CHILDREN);
  store<u32>(a, <u32>takeZero(4), ARRAY_BUFFERS);
  store<u32>(a, <u32>children, ARRAY_CHILDREN);
  return a;
}

// The ArrowArray of a column; nulls tells whether it may have any.
export function columnArray(b: Builder, rows: i32, nulls: bool): usize {
  const a = takeZero(ARRAY_SIZE), buffers = b.buffers(rows);
  if (!nulls) store<u32>(buffers, 0);
  store<i64>(a, rows, ARRAY_LENGTH);
  store<i64>(a, nulls ? -1 : 0, ARRAY_NULL_COUNT);
  store<i64>(a, b.nBuffers(), ARRAY_N_BUFFERS);
  store<u32>(a, <u32>buffers, ARRAY_BUFFERS);
  return a;
}
