// The conformance plugin of the AssemblyScript SDK: sdk/conformance/README.md says
// what each mode does.
import {
  Batch, Column, Config, Level, NO_TIMESTAMP, Output, Plugin, Text, Values, count, fail, log, observe, parseTimestamp,
  register,
} from "../assembly";
export * from "../assembly/exports";

class Mode {
  constructor(
    public name: string,
    public run: (input: Batch, out: Output) => void,
    public output: Column[] | null = null, // null: those of the input
  ) {}
}

let columns: Column[] = [];
let config: Config | null = null;

const modes: Mode[] = [
  new Mode("pass", pass),
  new Mode("copy", copy),
  new Mode("values", values),
  new Mode("even", even),
  new Mode("errors", errors),
  new Mode("fill", fill, [Column.string("text")]),
  new Mode("explode", explode, [Column.long("id").required(), Column.string("word").required()]),
  new Mode("route", route),
  new Mode("sparse", sparse, [
    Column.long("number"), Column.string("word"), Column.binary("raw"), Column.boolean("flag"),
    Column.decimal("amount", 20, 2),
  ]),
  new Mode("timestamps", timestamps, [Column.timestamptz("at")]),
  new Mode("positions", positions, [
    Column.string("topic"), Column.int("partition"), Column.long("offset"), Column.timestamptz("at"),
  ]),
  new Mode("config", members, [
    Column.string("text"), Column.double("number"), Column.long("count"), Column.boolean("flag"),
  ]),
  new Mode("log", logs),
  new Mode("metrics", metrics),
  new Mode("fail", failing),
  new Mode("trap", trap),
  new Mode("forget", forget),
  new Mode("missing", missing),
  new Mode("mistype", mistype),
  new Mode("undeclared", undeclared),
  new Mode("misbuild", misbuild),
  new Mode("backwards", backwards),
  new Mode("nostream", nostream),
  new Mode("ownpass", ownpass),
];

let mode: Mode = modes[0];

register(
  new Plugin("conformance", "1.2.3", (input: Batch, out: Output) => { mode.run(input, out); })
    .summary('does "what its config says"')
    .configSchema('{"type":"object"}')
    .batchRowsHint(4096)
    .configure(configure)
    .derive((config: Config, input: Column[]) => {
      const output = mode.output;
      return output != null ? output : input;
    })
    .stream([Column.long("id"), Column.string("why")]),
);

function configure(given: Config, input: Column[]): void {
  const text = given.string("mode"), name = text != null ? text : "";
  config = given;
  columns = input;
  for (let i = 0; i < modes.length; i++) {
    mode = modes[i];
    if (mode.name == name) return;
  }
  fail('mode "' + name + '" is unknown');
}

function pass(input: Batch, out: Output): void {
  for (let i = 0; i < columns.length; i++) out.pass(columns[i].name, input.column(columns[i].name));
}

function copy(input: Batch, out: Output): void {
  for (let i = 0; i < columns.length; i++) copyColumn(input, out, columns[i].name, columns[i].format);
}

function copyColumn(input: Batch, out: Output, name: string, format: string): void {
  if (format == "b") copyBooleans(input, out, name);
  else if (format == "i") copyInts(input, out, name);
  else if (format == "l") copyLongs(input, out, name);
  else if (format == "f") copyFloats(input, out, name);
  else if (format == "g") copyDoubles(input, out, name);
  else if (format.startsWith("d:")) copyDecimals(input, out, name);
  else if (format == "u") copyStrings(input, out, name);
  else if (format == "z") copyBytes(input, out, name);
  else if (format == "tdD") copyDates(input, out, name);
  else if (format.startsWith("ts")) copyTimestamps(input, out, name);
  else out.pass(name, input.column(name));
}

function copyBooleans(input: Batch, out: Output, name: string): void {
  const from = input.boolean(name), to = out.boolean(name);
  for (let i = 0; i < input.rows; i++) if (!from.isNull(i)) to.set(i, from[i]);
}

function copyInts(input: Batch, out: Output, name: string): void {
  const from = input.int(name), to = out.int(name);
  for (let i = 0; i < input.rows; i++) if (!from.isNull(i)) to.set(i, from[i]);
}

function copyLongs(input: Batch, out: Output, name: string): void {
  const from = input.long(name), to = out.long(name);
  for (let i = 0; i < input.rows; i++) if (!from.isNull(i)) to.set(i, from[i]);
}

function copyFloats(input: Batch, out: Output, name: string): void {
  const from = input.float(name), to = out.float(name);
  for (let i = 0; i < input.rows; i++) if (!from.isNull(i)) to.set(i, from[i]);
}

function copyDoubles(input: Batch, out: Output, name: string): void {
  const from = input.double(name), to = out.double(name);
  for (let i = 0; i < input.rows; i++) if (!from.isNull(i)) to.set(i, from[i]);
}

function copyDecimals(input: Batch, out: Output, name: string): void {
  const from = input.decimal(name), to = out.decimal(name);
  for (let i = 0; i < input.rows; i++) if (!from.isNull(i)) to.set(i, from.low(i), from.high(i));
}

function copyStrings(input: Batch, out: Output, name: string): void {
  const from = input.string(name), to = out.string(name);
  for (let i = 0; i < input.rows; i++) if (!from.isNull(i)) to.set(i, from[i]);
}

function copyBytes(input: Batch, out: Output, name: string): void {
  const from = input.binary(name), to = out.binary(name);
  for (let i = 0; i < input.rows; i++) if (!from.isNull(i)) to.set(i, from[i]);
}

function copyDates(input: Batch, out: Output, name: string): void {
  const from = input.date(name), to = out.date(name);
  for (let i = 0; i < input.rows; i++) if (!from.isNull(i)) to.set(i, from[i]);
}

function copyTimestamps(input: Batch, out: Output, name: string): void {
  const from = input.timestamp(name), to = out.timestamp(name);
  for (let i = 0; i < input.rows; i++) if (!from.isNull(i)) to.set(i, from[i]);
}

function values(input: Batch, out: Output): void {
  pass(input, out);
  const id = input.long("id").values(), to = out.long("id").values();
  for (let i = 0; i < input.rows; i++) to[i] = 2 * id[i];
}

function even(input: Batch, out: Output): void {
  const id = input.long("id");
  for (let i = 0; i < input.rows; i++) if (id[i] % 2 != 0) out.drop(i);
  pass(input, out);
}

function errors(input: Batch, out: Output): void {
  const id = input.long("id");
  for (let i = 0; i < input.rows; i++) {
    if (id[i] % 3 == 0) {
      out.rowError(i, "by_three", "id", `id ${id[i]} is divisible by 3`);
      out.rowError(i, "again", "", "the first error of a row counts");
    } else if (id[i] % 5 == 0) {
      out.drop(i);
    }
  }
  pass(input, out);
}

function fill(input: Batch, out: Output): void {
  const text = input.string("text"), to = out.string("text"), no = Text.of("(no"), ne = Text.of("ne)");
  to.reserve(8 * input.rows);
  for (let i = 0; i < input.rows; i++) {
    to.set(i, text.or(i, no));
    if (text.isNull(i)) to.append(ne);
  }
}

function explode(input: Batch, out: Output): void {
  out.ownRows();
  const ids = input.long("id"), texts = input.string("text"), id = out.long("id"), word = out.string("word");
  for (let i = 0; i < input.rows; i++) {
    const t = texts[i];
    for (let start: u32 = 0, end: u32 = 0; start < t.size; start = end + 1) {
      for (end = start; end < t.size && t[end] != 0x20; ) end++;
      if (end == start) continue;
      const row = out.addRow(i);
      id.set(row, ids[i]);
      word.setBytes(row, t.data + start, end - start);
    }
  }
}

function route(input: Batch, out: Output): void {
  const id = input.long("id"), other = out.stream(1);
  for (let i = 0; i < input.rows; i++) {
    if (id[i] >= 0) continue;
    out.drop(i);
    other.ownRows();
    const row = other.addRow(i);
    other.long("id").set(row, id[i]);
    other.string("why").setString(row, "negative");
  }
  pass(input, out);
}

function sparse(input: Batch, out: Output): void {
  const id = input.long("id"), text = input.string("text");
  const number = out.long("number"), word = out.string("word"), raw = out.binary("raw");
  const flag = out.boolean("flag"), amount = out.decimal("amount");
  for (let i = input.rows - 1; i >= 0; i--) number.set(i, id[i]);
  for (let i = 0; i < input.rows; i++) {
    if (i % 4 == 0) number.setNull(i);
    if (i % 3 == 0) {
      word.set(i, text[i]);
      raw.set(i, text[i]);
    }
    if (i % 2 == 0) flag.set(i, id[i] % 2 != 0);
    else amount.setLong(i, id[i]);
  }
}

function timestamps(input: Batch, out: Output): void {
  const text = input.string("text"), at = out.timestamp("at");
  for (let i = 0; i < input.rows; i++) {
    const us = parseTimestamp(text[i]);
    if (us != NO_TIMESTAMP) at.set(i, us);
  }
}

function positions(input: Batch, out: Output): void {
  const topic = out.string("topic"), partition = out.int("partition");
  const offset = out.long("offset"), at = out.timestamp("at"), from = input.positions();
  if (from != null) {
    for (let i = 0; i < input.rows; i++) {
      topic.set(i, from.topic[i]);
      partition.set(i, from.partition[i]);
      offset.set(i, from.offset[i]);
      at.set(i, from.timestamp[i]);
    }
  }
  if (input.hasWatermark) count("watermark", input.watermark);
}

function members(input: Batch, out: Output): void {
  const text = out.string("text"), number = out.double("number"), whole = out.long("count"), flag = out.boolean("flag");
  const c = config!;
  for (let i = 0; i < input.rows; i++) {
    const s = c.string("text");
    if (s != null) text.setString(i, s);
    if (c.hasDouble("number")) number.set(i, c.double("number"));
    if (c.hasLong("count")) whole.set(i, c.long("count"));
    if (c.hasBoolean("flag")) flag.set(i, c.boolean("flag"));
  }
}

function logs(input: Batch, out: Output): void {
  const text = config!.string("text");
  log(Level.Info, "an info line: " + (text != null ? text : ""));
  log(Level.Debug, "a debug line");
  pass(input, out);
}

function metrics(input: Batch, out: Output): void {
  count("batches");
  count("rows", input.rows);
  observe("sizes", input.rows);
  observe("sizes", 0.5);
  pass(input, out);
}

// The first row whose text is that, or -1.
function rowWith(input: Batch, wanted: string): i32 {
  const text = input.string("text"), t = Text.of(wanted);
  for (let i = 0; i < input.rows; i++) if (text[i] == t) return i;
  return -1;
}

function failing(input: Batch, out: Output): void {
  const row = rowWith(input, "fail");
  if (row >= 0) fail(`row ${row} is refused`);
  pass(input, out);
}

function trap(input: Batch, out: Output): void {
  if (rowWith(input, "trap") >= 0) unreachable();
  pass(input, out);
}

function forget(input: Batch, out: Output): void {}

function missing(input: Batch, out: Output): void {
  input.long("nope");
}

function mistype(input: Batch, out: Output): void {
  input.long("text");
}

function undeclared(input: Batch, out: Output): void {
  out.long("nope");
}

function misbuild(input: Batch, out: Output): void {
  out.long("text");
}

function backwards(input: Batch, out: Output): void {
  pass(input, out);
  const text = out.string("text"), t = Text.of("a");
  text.set(1, t);
  text.set(0, t);
}

function nostream(input: Batch, out: Output): void {
  out.stream(7);
}

function ownpass(input: Batch, out: Output): void {
  out.ownRows();
  out.pass("id", input.column("id"));
}
