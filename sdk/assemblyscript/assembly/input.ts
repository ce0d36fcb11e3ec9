import {
  ARRAY_BUFFERS, ARRAY_CHILDREN, ARRAY_LENGTH, ARRAY_N_BUFFERS, COLUMN_GROUP, META_OFFSET, META_PARTITION,
  META_TIMESTAMP, META_TOPIC, NO_WATERMARK,
} from "./abi";
import { Column } from "./column";
import { bitAt, take } from "./memory";
import { Text } from "./text";

// The buffer of an ArrowArray; 0 where it has none.
export function bufferOf(array: usize, i: u32): usize {
  if (<i64>i >= load<i64>(array, ARRAY_N_BUFFERS)) return 0;
  return load<u32>(<usize>load<u32>(array, ARRAY_BUFFERS) + ((<usize>i) << 2));
}

export function childOf(array: usize, i: u32): usize {
  return load<u32>(<usize>load<u32>(array, ARRAY_CHILDREN) + ((<usize>i) << 2));
}

// Vector is a column of the input, of any type.
export class Vector {
  texts: Texts | null = null; // made when first asked for

  constructor(
    public column: Column,
    public array: usize,
  ) {}

  isNull(i: i32): bool {
    const valid = bufferOf(this.array, 0);
    return valid != 0 && !bitAt(valid, i);
  }
}

// Slots are the values of a column, one after another, without any check: those
// of nulls are unspecified.
// @ts-ignore: decorator
@final @unmanaged
export class Slots<T> {
  // @ts-ignore: decorator
  @inline @operator("[]")
  get(i: i32): T {
    return load<T>(changetype<usize>(this) + (<usize>i << alignof<T>()));
  }

  // @ts-ignore: decorator
  @inline @operator("[]=")
  set(i: i32, value: T): void {
    store<T>(changetype<usize>(this) + (<usize>i << alignof<T>()), value);
  }
}

// What the readers of columns have in common.
export class Reader {
  valid: usize;
  data: usize;
  rows: i32;

  constructor(v: Vector) {
    this.valid = bufferOf(v.array, 0);
    this.data = bufferOf(v.array, 1);
    this.rows = <i32>load<i64>(v.array, ARRAY_LENGTH);
  }

  // Whether row i is null.
  // @ts-ignore: decorator
  @inline
  isNull(i: i32): bool {
    checkRow(i, this.rows);
    return this.valid != 0 && !bitAt(this.valid, i);
  }

  // Whether any row may be null.
  get mayBeNull(): bool {
    return this.valid != 0;
  }
}

// @ts-ignore: decorator
@inline
export function checkRow(i: i32, rows: i32): void {
  if (<u32>i >= <u32>rows) outside(i, rows);
}

function outside(i: i32, rows: i32): void {
  throw new Error("row " + i.toString() + " is outside the batch of " + rows.toString() + " rows");
}

// Values reads a column of numbers, dates or timestamps.
// @ts-ignore: decorator
@final
export class Values<T> extends Reader {
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

  // All rows, for loops that matter.
  // @ts-ignore: decorator
  @inline
  values(): Slots<T> {
    return changetype<Slots<T>>(this.data);
  }
}

// Booleans reads a column of true and false.
// @ts-ignore: decorator
@final
export class Booleans extends Reader {
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
}

// Decimals reads a column of decimals: 128 bits, unscaled, so that 1234 with scale
// 2 is 12.34.
// @ts-ignore: decorator
@final
export class Decimals extends Reader {
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
}

// Texts reads a column of strings or bytes. It knows where each row's text is
// before the first is asked for, so that asking allocates nothing.
// @ts-ignore: decorator
@final
export class Texts extends Reader {
  private places: usize;

  constructor(v: Vector) {
    super(v);
    const offsets = this.data, bytes = bufferOf(v.array, 2), rows = this.rows;
    const places = take(<usize>rows * offsetof<Text>());
    let from = rows > 0 ? load<u32>(offsets) : 0;
    for (let i = 0; i < rows; i++) {
      const to = load<u32>(offsets + (<usize>i << 2), 4), t = changetype<Text>(places + (<usize>i << 3));
      t.data = bytes + from;
      t.size = to - from;
      from = to;
    }
    this.places = places;
    if (this.valid != 0) this.emptyNulls();
  }

  private emptyNulls(): void {
    for (let i = 0; i < this.rows; i++) {
      if (!bitAt(this.valid, i)) changetype<Text>(this.places + (<usize>i << 3)).size = 0;
    }
  }

  // The text of row i, empty for a null.
  // @ts-ignore: decorator
  @inline @operator("[]")
  at(i: i32): Text {
    checkRow(i, this.rows);
    return changetype<Text>(this.places + (<usize>i << 3));
  }

  // The text of row i, or instead where it is null.
  // @ts-ignore: decorator
  @inline
  or(i: i32, instead: Text): Text {
    return this.isNull(i) ? instead : this.at(i);
  }
}

// Batch is the rows of one call. It and all that it hands out last until the
// function that gets it returns.
export class Batch {
  // The number of rows.
  rows: i32;
  vectors: Vector[];
  private present: usize; // of versions in force; 0: all rows are there

  // array is a struct array of those columns.
  constructor(
    array: usize,
    columns: Column[],
    private meta: usize = 0,
    private watermarkUs: i64 = NO_WATERMARK,
  ) {
    this.rows = <i32>load<i64>(array, ARRAY_LENGTH);
    this.vectors = new Array<Vector>(columns.length);
    for (let i = 0; i < columns.length; i++) this.vectors[i] = new Vector(columns[i], childOf(array, i));
    this.present = bufferOf(array, 0);
  }

  // Whether row i is there: of the versions in force, those that there are; of
  // other batches, all.
  has(i: i32): bool {
    checkRow(i, this.rows);
    return this.present == 0 || bitAt(this.present, i);
  }

  // A column of any type, to pass through.
  column(name: string): Vector {
    return this.find(name, "");
  }

  boolean(name: string): Booleans {
    return new Booleans(this.find(name, "b"));
  }

  int(name: string): Values<i32> {
    return new Values<i32>(this.find(name, "i"));
  }

  long(name: string): Values<i64> {
    return new Values<i64>(this.find(name, "l"));
  }

  float(name: string): Values<f32> {
    return new Values<f32>(this.find(name, "f"));
  }

  double(name: string): Values<f64> {
    return new Values<f64>(this.find(name, "g"));
  }

  decimal(name: string): Decimals {
    return new Decimals(this.find(name, "d:"));
  }

  string(name: string): Texts {
    return textsOf(this.find(name, "u"));
  }

  binary(name: string): Texts {
    return textsOf(this.find(name, "z"));
  }

  // Days since 1970-01-01.
  date(name: string): Values<i32> {
    return new Values<i32>(this.find(name, "tdD"));
  }

  // Microseconds since 1970-01-01, of a timestamp or a timestamptz.
  timestamp(name: string): Values<i64> {
    return new Values<i64>(this.find(name, "tsu:"));
  }

  // Whether the model has an event time watermark yet.
  get hasWatermark(): bool {
    return this.watermarkUs != NO_WATERMARK;
  }

  // The model's event time watermark in microseconds since 1970-01-01 UTC.
  get watermark(): i64 {
    return this.watermarkUs;
  }

  // Which Kafka records the rows came from; null for a batch that did not come
  // from Kafka.
  positions(): Positions | null {
    return this.meta != 0 ? new Positions(this.meta) : null;
  }

  // The row of state that each row belongs to.
  groups(): Values<i32> {
    return new Values<i32>(this.find(COLUMN_GROUP, "I"));
  }

  // The column of that name, whose format begins like that.
  find(name: string, format: string): Vector {
    for (let i = 0; i < this.vectors.length; i++) {
      const v = this.vectors[i];
      if (v.column.name != name) continue;
      if (v.column.format.startsWith(format)) return v;
      throw new Error('input column "' + name + '" has format "' + v.column.format + '", not "' + format + '"');
    }
    const names = new Array<string>(this.vectors.length);
    for (let i = 0; i < names.length; i++) names[i] = this.vectors[i].column.name;
    throw new Error('no input column "' + name + '", the input has ' + names.join(", "));
  }
}

function textsOf(v: Vector): Texts {
  let texts = v.texts;
  if (texts == null) {
    texts = new Texts(v);
    v.texts = texts;
  }
  return texts;
}

// Positions are the places of the rows' Kafka records. timestamp is in
// microseconds since 1970-01-01 UTC.
export class Positions {
  topic: Texts;
  partition: Values<i32>;
  offset: Values<i64>;
  timestamp: Values<i64>;

  constructor(meta: usize) {
    this.topic = new Texts(metaColumn(meta, META_TOPIC, "u"));
    this.partition = new Values<i32>(metaColumn(meta, META_PARTITION, "i"));
    this.offset = new Values<i64>(metaColumn(meta, META_OFFSET, "l"));
    this.timestamp = new Values<i64>(metaColumn(meta, META_TIMESTAMP, "tsu:UTC"));
  }
}

function metaColumn(meta: usize, i: u32, format: string): Vector {
  return new Vector(new Column("", format), childOf(meta, i));
}
