// The conformance plugin of the AssemblyScript SDK for sessions:
// sdk/conformance/README.md says what it does.
import {
  Batch, Booleans, Column, Config, Decimals, Output, Plugin, State, StateBooleans, StateDecimals, StateValues, Text,
  Values, fail, register,
} from "../assembly";
export * from "../assembly/exports";

const TRAP = Text.of("trap"), FAIL = Text.of("fail"), REFUSE = Text.of("refuse"), FORGET = Text.of("forget");
const DROP = Text.of("drop"), PLUS = Text.of("+");

register(
  Plugin.session("conformance", "1.2.3", accumulate, merge, finish)
    .summary("sums up sessions")
    .batchRowsHint(65536)
    .input([
      Column.boolean("flag"), Column.int("small"), Column.long("big"), Column.float("single"), Column.double("double"),
      Column.decimal("amount", 20, 2), Column.string("text"), Column.binary("raw"), Column.date("day"),
      Column.timestamp("at"), Column.timestamptz("at_utc"),
    ])
    .state([
      Column.long("rows").required().initial("0"),
      Column.boolean("flag").initial("false"),
      Column.int("small").initial("-1"),
      Column.long("big"),
      Column.float("single").initial("0.5"),
      Column.double("double"),
      Column.decimal("amount", 20, 2).initial('"1.50"'),
      Column.date("day"),
      Column.timestamp("at"),
      Column.timestamptz("at_utc").initial('"2026-01-01T00:00:00Z"'),
      Column.string("texts").initial('""'),
      Column.binary("raw"),
      Column.string("kept").required().initial('"as \\"it\\" was"'),
      Column.list("list", Column.string("element")).initial('["a"]'),
    ])
    .output([
      Column.long("rows").required(), Column.boolean("flag"), Column.int("small"), Column.long("big"),
      Column.float("single"), Column.double("double"), Column.decimal("amount", 20, 2), Column.date("day"),
      Column.timestamp("at"), Column.timestamptz("at_utc"), Column.string("texts"), Column.binary("raw"),
      Column.string("kept").required(), Column.list("list", Column.string("element")), Column.string("key"),
      Column.timestamptz("began"), Column.timestamptz("ended"), Column.long("events"), Column.boolean("closed"),
    ])
    .configure((config: Config, input: Column[]) => {
      if (config.json.toString() == '"refuse"') fail("this config is refused");
    }),
);

// Changing is a column of fixed width that rows and state have in common.
class Changing<T> {
  constructor(
    public from: Values<T>,
    public to: StateValues<T>,
  ) {}

  // What is not null in row i becomes row g of the state.
  take(i: i32, g: i32): void {
    if (!this.from.isNull(i)) this.to[g] = this.from[i];
  }
}

class Columns {
  flagIn: Booleans;
  flag: StateBooleans;
  amountIn: Decimals;
  amount: StateDecimals;
  small: Changing<i32>;
  big: Changing<i64>;
  single: Changing<f32>;
  double: Changing<f64>;
  day: Changing<i32>;
  at: Changing<i64>;
  atUtc: Changing<i64>;

  constructor(from: Batch, state: State) {
    this.flagIn = from.boolean("flag");
    this.flag = state.boolean("flag");
    this.amountIn = from.decimal("amount");
    this.amount = state.decimal("amount");
    this.small = new Changing<i32>(from.int("small"), state.int("small"));
    this.big = new Changing<i64>(from.long("big"), state.long("big"));
    this.single = new Changing<f32>(from.float("single"), state.float("single"));
    this.double = new Changing<f64>(from.double("double"), state.double("double"));
    this.day = new Changing<i32>(from.date("day"), state.date("day"));
    this.at = new Changing<i64>(from.timestamp("at"), state.timestamp("at"));
    this.atUtc = new Changing<i64>(from.timestamp("at_utc"), state.timestamp("at_utc"));
  }

  take(i: i32, g: i32): void {
    if (!this.flagIn.isNull(i)) this.flag[g] = this.flagIn[i];
    if (!this.amountIn.isNull(i)) this.amount.set(g, this.amountIn.low(i), this.amountIn.high(i));
    this.small.take(i, g);
    this.big.take(i, g);
    this.single.take(i, g);
    this.double.take(i, g);
    this.day.take(i, g);
    this.at.take(i, g);
    this.atUtc.take(i, g);
  }

  forget(g: i32): void {
    this.flag.setNull(g);
    this.amount.setNull(g);
    this.small.to.setNull(g);
    this.big.to.setNull(g);
    this.single.to.setNull(g);
    this.double.to.setNull(g);
    this.day.to.setNull(g);
    this.at.to.setNull(g);
    this.atUtc.to.setNull(g);
  }
}

// Does what the text asks for; true if it asks for a row error.
function refuses(what: string, text: Text, i: i32): bool {
  if (text == TRAP) unreachable();
  if (text == FAIL) fail(`${what} ${i} fails`);
  return text == REFUSE;
}

function accumulate(input: Batch, groups: Values<i32>, state: State): void {
  const columns = new Columns(input, state), rows = state.long("rows");
  const text = input.string("text"), raw = input.binary("raw");
  const oldText = state.string("texts"), oldRaw = state.binary("raw");
  const texts = state.buildString("texts"), raws = state.buildBinary("raw");
  let i = 0;
  for (let g = 0; g < state.rows; g++) {
    let last = oldRaw[g], any = !oldRaw.isNull(g);
    texts.set(g, oldText[g]);
    for (; i < input.rows && groups[i] == g; i++) {
      if (refuses("row", text[i], i)) {
        state.rowError(i, "refused", "text", "this row is refused");
        continue;
      }
      rows[g] += 1;
      if (text[i] == FORGET) {
        columns.forget(g);
        continue;
      }
      columns.take(i, g);
      texts.append(text[i]);
      if (!raw.isNull(i)) {
        any = true;
        last = raw[i];
      }
    }
    if (any) raws.set(g, last);
  }
}

function merge(into: State, from: Batch): void {
  const columns = new Columns(from, into), rows = into.long("rows"), more = from.long("rows");
  const text = into.string("texts"), newText = from.string("texts");
  const raw = into.binary("raw"), newRaw = from.binary("raw");
  const texts = into.buildString("texts"), raws = into.buildBinary("raw");
  for (let i = 0; i < into.rows; i++) {
    if (refuses("pair", newText[i], i)) into.rowError(i, "refused", "texts", "no pair is refused");
    rows[i] += more[i];
    columns.take(i, i);
    texts.set(i, text[i]);
    texts.append(PLUS);
    texts.append(newText[i]);
    const latest = newRaw.isNull(i) ? raw : newRaw;
    if (!latest.isNull(i)) raws.set(i, latest[i]);
  }
}

function finish(input: Batch, out: Output): void {
  const texts = input.string("texts");
  for (let i = 0; i < input.rows; i++) {
    if (refuses("session", texts[i], i)) out.rowError(i, "refused", "texts", "this session is refused");
    if (texts[i] == DROP) out.drop(i);
  }
  const state = [
    "rows", "flag", "small", "big", "single", "double", "amount", "day", "at", "at_utc", "texts", "raw", "kept", "list",
  ];
  for (let i = 0; i < state.length; i++) out.pass(state[i], input.column(state[i]));
  out.pass("key", input.column("_key"));
  out.pass("began", input.column("_start"));
  out.pass("ended", input.column("_end"));
  out.pass("events", input.column("_count"));
  out.pass("closed", input.column("_closed"));
}
