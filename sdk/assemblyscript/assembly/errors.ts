import { ROW_ERROR_CODE, ROW_ERROR_COLUMN, ROW_ERROR_COLUMNS, ROW_ERROR_MESSAGE, ROW_ERROR_ROW } from "./abi";
import { Builder, TextBuilder, ValueBuilder } from "./builder";
import { bitAt, bitmapBytes, setBit, takeZero } from "./memory";
import { columnArray, table } from "./output";

// RowErrors are the errors of a batch: a first one for each row at fault.
export class RowErrors {
  private seen: usize = 0;
  private row: ValueBuilder<i32> = new ValueBuilder<i32>(8, false);
  private code: TextBuilder = new TextBuilder(8, false);
  private column: TextBuilder = new TextBuilder(8, false);
  private message: TextBuilder = new TextBuilder(8, false);

  // rows is how many rows the errors may be about.
  constructor(public rows: i32) {}

  add(i: i32, code: string, column: string, message: string): void {
    if (this.seen == 0) this.begin();
    if (bitAt(this.seen, i)) return;
    setBit(this.seen, i);
    const n = this.code.length;
    this.row.set(n, i);
    this.code.setString(n, code);
    this.column.setString(n, column);
    this.message.setString(n, message);
  }

  private begin(): void {
    this.seen = takeZero(bitmapBytes(this.rows));
    this.row.begin();
    this.code.begin();
    this.column.begin();
    this.message.begin();
  }

  // The ArrowArray of the errors, or 0.
  finish(): usize {
    if (this.seen == 0) return 0;
    const n = this.code.length, children = takeZero(ROW_ERROR_COLUMNS << 2);
    put(children, ROW_ERROR_ROW, this.row, n);
    put(children, ROW_ERROR_CODE, this.code, n);
    put(children, ROW_ERROR_COLUMN, this.column, n);
    put(children, ROW_ERROR_MESSAGE, this.message, n);
    return table(n, ROW_ERROR_COLUMNS, children);
  }
}

function put(children: usize, i: u32, b: Builder, rows: i32): void {
  store<u32>(children + ((<usize>i) << 2), <u32>columnArray(b, rows, false));
}
