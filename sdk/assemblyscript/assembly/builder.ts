import { Slots } from "./input";
import { bitmapBytes, clearBit, setBit, setBits, take, takeZero } from "./memory";
import { Text, utf8Size, writeUtf8 } from "./text";

// Builder is a column of an output that is being made. Rows that are not set are
// null.
export class Builder {
  valid: usize = 0;
  data: usize = 0;
  capacity: i32 = 0; // rows that there is room for
  passed: usize = 0; // the ArrowArray of an input column

  // rows is what there is room for at first. Where fixed is true there are no more.
  constructor(
    public rows: i32,
    public fixed: bool,
  ) {}

  // Bytes of that many rows' values.
  valueBytes(rows: i32): usize {
    return 0;
  }

  begin(): void {
    this.valid = takeZero(bitmapBytes(this.rows));
    this.data = takeZero(this.valueBytes(this.rows));
    this.capacity = this.rows;
  }

  // Makes room for that many rows; new ones are null.
  grow(rows: i32): void {
    this.valid = enlarge(this.valid, bitmapBytes(this.capacity), bitmapBytes(rows));
    this.data = enlarge(this.data, this.valueBytes(this.capacity), this.valueBytes(rows));
    this.capacity = rows;
  }

  // Called for a row that there is no room for.
  makeRoom(i: i32): void {
    if (i < 0 || (this.fixed && i >= this.rows)) {
      throw new Error("row " + i.toString() + " is outside the batch of " + this.rows.toString() + " rows");
    }
    if (i >= this.capacity) this.grow((i < 1 << 29 ? 2 * i : i) + 8);
  }

  // The buffers of a column of that many rows.
  buffers(rows: i32): usize {
    if (rows > this.capacity) this.grow(rows);
    const b = takeZero(16);
    store<u32>(b, <u32>this.valid);
    store<u32>(b, <u32>this.data, 4);
    return b;
  }

  nBuffers(): i64 {
    return 2;
  }
}

// Makes a block larger; new bytes are zero.
function enlarge(block: usize, had: usize, want: usize): usize {
  const larger = heap.realloc(block, want);
  if (want > had) memory.fill(larger + had, 0, want - had);
  return larger;
}

// ValueBuilder makes a column of numbers, dates or timestamps. Rows may be set in
// any order.
// @ts-ignore: decorator
@final
export class ValueBuilder<T> extends Builder {
  // @ts-ignore: decorator
  @inline
  set(i: i32, value: T): void {
    if (<u32>i >= <u32>this.capacity) this.makeRoom(i);
    store<T>(this.data + (<usize>i << alignof<T>()), value);
    setBit(this.valid, i);
  }

  // Makes row i null again.
  setNull(i: i32): void {
    if (<u32>i < <u32>this.capacity) clearBit(this.valid, i);
  }

  // Every row of the batch, marked as set, to be written: faster than row by row.
  values(): Slots<T> {
    setBits(this.valid, this.rows);
    return changetype<Slots<T>>(this.data);
  }

  valueBytes(rows: i32): usize {
    return <usize>rows * sizeof<T>();
  }
}

// BooleanBuilder makes a column of true and false. Rows may be set in any order.
// @ts-ignore: decorator
@final
export class BooleanBuilder extends Builder {
  // @ts-ignore: decorator
  @inline
  set(i: i32, value: bool): void {
    if (<u32>i >= <u32>this.capacity) this.makeRoom(i);
    if (value) setBit(this.data, i);
    else clearBit(this.data, i);
    setBit(this.valid, i);
  }

  // Makes row i null again.
  setNull(i: i32): void {
    if (<u32>i < <u32>this.capacity) clearBit(this.valid, i);
  }

  valueBytes(rows: i32): usize {
    return bitmapBytes(rows);
  }
}

// DecimalBuilder makes a column of decimals: 128 bits, unscaled, so that 1234 with
// scale 2 is 12.34. Rows may be set in any order.
// @ts-ignore: decorator
@final
export class DecimalBuilder extends Builder {
  // Sets row i to its two halves; high has the sign.
  // @ts-ignore: decorator
  @inline
  set(i: i32, low: u64, high: i64): void {
    if (<u32>i >= <u32>this.capacity) this.makeRoom(i);
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

  // Makes row i null again.
  setNull(i: i32): void {
    if (<u32>i < <u32>this.capacity) clearBit(this.valid, i);
  }

  valueBytes(rows: i32): usize {
    return <usize>rows << 4;
  }
}

// TextBuilder makes a column of strings or bytes. Rows are set in order.
// @ts-ignore: decorator
@final
export class TextBuilder extends Builder {
  private bytes: usize = 0;
  private room: u32 = 0;
  private size: u32 = 0;
  private next: i32 = 0; // the row behind the last one that was set

  begin(): void {
    super.begin();
    this.room = 16 * <u32>this.rows + 64;
    this.bytes = take(this.room);
  }

  // Sets row i, which must come after every row set before. What is to be a string
  // must be UTF-8.
  // @ts-ignore: decorator
  @inline
  set(i: i32, text: Text): void {
    this.setBytes(i, text.data, text.size);
  }

  // Sets row i to that many bytes of memory.
  setBytes(i: i32, data: usize, size: u32): void {
    if (i != this.next || i >= this.capacity || size > this.room - this.size) this.makeTextRoom(i, size);
    memory.copy(this.bytes + this.size, data, size);
    this.endRow(i, size);
  }

  // Sets row i to a string of AssemblyScript.
  setString(i: i32, s: string): void {
    const size = utf8Size(s);
    this.makeTextRoom(i, size);
    writeUtf8(s, this.bytes + this.size);
    this.endRow(i, size);
  }

  // Adds to the row that was set last.
  append(more: Text): void {
    this.makeBytes(more.size);
    memory.copy(this.bytes + this.size, more.data, more.size);
    this.extendRow(more.size);
  }

  appendString(more: string): void {
    const size = utf8Size(more);
    this.makeBytes(size);
    writeUtf8(more, this.bytes + this.size);
    this.extendRow(size);
  }

  // Room for that many bytes of text in all, to spare growing.
  reserve(bytes: u32): void {
    if (bytes > this.size) this.makeBytes(bytes - this.size);
  }

  valueBytes(rows: i32): usize {
    return (<usize>rows + 1) << 2;
  }

  // The number of rows up to the last one that was set.
  get length(): i32 {
    return this.next;
  }

  buffers(rows: i32): usize {
    if (rows > this.capacity) this.grow(rows);
    this.pad(rows);
    const b = super.buffers(rows);
    store<u32>(b, <u32>this.bytes, 8);
    return b;
  }

  nBuffers(): i64 {
    return 3;
  }

  // @ts-ignore: decorator
  @inline
  private endRow(i: i32, size: u32): void {
    const end = this.size + size;
    this.size = end;
    this.next = i + 1;
    store<u32>(this.data + (<usize>i << 2), end, 4);
    setBit(this.valid, i);
  }

  private extendRow(size: u32): void {
    if (this.next == 0) throw new Error("a string is appended to before any row is set");
    this.size += size;
    store<u32>(this.data + (<usize>this.next << 2), this.size);
  }

  private makeTextRoom(i: i32, size: u32): void {
    if (i >= 0 && i < this.next) {
      throw new Error(
        "row " + i.toString() + " is set after row " + (this.next - 1).toString() +
          ": set the rows of strings and bytes in order",
      );
    }
    if (<u32>i >= <u32>this.capacity) this.makeRoom(i);
    this.makeBytes(size);
    this.pad(i);
  }

  private makeBytes(size: u32): void {
    const want = <u64>this.size + size;
    if (want <= this.room) return;
    if (want > <u64>i32.MAX_VALUE) throw new Error("more than 2 GiB of text in one batch");
    this.room = <u32>min<u64>(max<u64>(want, 2 * <u64>this.room), <u64>i32.MAX_VALUE);
    this.bytes = heap.realloc(this.bytes, this.room);
  }

  // Fills rows up to one with null.
  private pad(rows: i32): void {
    for (; this.next < rows; this.next++) store<u32>(this.data + (<usize>this.next << 2), this.size, 4);
  }
}
