import {
  FLAG_NULLABLE, SCHEMA_CHILDREN, SCHEMA_FLAGS, SCHEMA_FORMAT, SCHEMA_N_CHILDREN, SCHEMA_NAME, SCHEMA_SIZE,
} from "./abi";
import { Column } from "./column";
import { take, takeZero } from "./memory";
import { utf8Size, writeUtf8 } from "./text";

// The columns below an ArrowSchema.
export function readColumns(schema: usize): Column[] {
  const n = <i32>load<i64>(schema, SCHEMA_N_CHILDREN), children = <usize>load<u32>(schema, SCHEMA_CHILDREN);
  const columns = new Array<Column>(n);
  for (let i = 0; i < n; i++) {
    const child = <usize>load<u32>(children + (<usize>i << 2));
    const c = new Column(terminated(load<u32>(child, SCHEMA_NAME)), terminated(load<u32>(child, SCHEMA_FORMAT)), readColumns(child));
    c.notNull = (load<i64>(child, SCHEMA_FLAGS) & FLAG_NULLABLE) == 0;
    columns[i] = c;
  }
  return columns;
}

// The ArrowSchema of a struct of columns.
export function writeSchema(columns: Column[]): usize {
  return writeColumn(new Column("", "+s", columns).required());
}

function writeColumn(c: Column): usize {
  const s = takeZero(SCHEMA_SIZE), n = c.children.length, children = takeZero(<usize>n << 2);
  for (let i = 0; i < n; i++) store<u32>(children + (<usize>i << 2), <u32>writeColumn(c.children[i]));
  store<u32>(s, <u32>terminate(c.format), SCHEMA_FORMAT);
  store<u32>(s, <u32>terminate(c.name), SCHEMA_NAME);
  store<i64>(s, c.notNull ? 0 : FLAG_NULLABLE, SCHEMA_FLAGS);
  store<i64>(s, n, SCHEMA_N_CHILDREN);
  store<u32>(s, <u32>children, SCHEMA_CHILDREN);
  return s;
}

function terminated(at: usize): string {
  let n: usize = 0;
  while (load<u8>(at + n) != 0) n++;
  return String.UTF8.decodeUnsafe(at, n);
}

function terminate(s: string): usize {
  const size = utf8Size(s), at = take(size + 1);
  writeUtf8(s, at);
  store<u8>(at + size, 0);
  return at;
}
