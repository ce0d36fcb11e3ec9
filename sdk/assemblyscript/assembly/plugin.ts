import { KIND_SCD, KIND_SESSION, KIND_TRANSFORM, VERSION } from "./abi";
import { Column, describeColumns } from "./column";
import { Config } from "./config";
import { Batch, Values } from "./input";
import { Output } from "./output";
import { State } from "./state";
import { quote } from "./text";

// Plugin is a transform, or a plugin of another kind made by Plugin.session or
// Plugin.scd: what it is called, its columns, and its functions.
// AssemblyScript has no closures: what configure finds out goes into variables of
// the module.
export class Plugin {
  name: string;
  version: string;
  run: (input: Batch, out: Output) => void;
  summaryLine: string = "";
  inputColumns: Column[] | null = null;
  outputColumns: Column[] = [];
  moreStreams: Column[][] = [];
  stateColumns: Column[] = [];
  configJsonSchema: string = "";
  rowsHint: u32 = 0;
  configureWith: ((config: Config, input: Column[]) => void) | null = null;
  deriveWith: ((config: Config, input: Column[]) => Column[]) | null = null;
  accumulateWith: ((input: Batch, groups: Values<i32>, state: State) => void) | null = null;
  mergeWith: ((into: State, from: Batch) => void) | null = null;
  decideWith: ((changes: Batch, inForce: Batch, out: Output) => void) | null = null;

  // run makes the outputs of a batch. fail and a trap, such as an exception, fail
  // the batch: the host then tries its rows in smaller batches, to find those that
  // are at fault. Use Output.rowError for rows known to be.
  constructor(name: string, version: string, run: (input: Batch, out: Output) => void) {
    this.name = name;
    this.version = version;
    this.run = run;
  }

  // A plugin that sums up sessions. The host owns keys, gaps and state; the plugin
  // gets state as rows, changes it, and keeps nothing between calls.
  //
  // accumulate adds rows to the state of their groups: row i belongs to row
  // groups[i] of state. Rows are sorted by group and event time. A row that is
  // reported as an error must not have changed the state. merge joins sessions that
  // became one, row by row; into is the earlier. finish makes the output of
  // sessions: their state and _key, _start, _end (timestamps), _count (long) and
  // _closed (boolean).
  static session(
    name: string,
    version: string,
    accumulate: (input: Batch, groups: Values<i32>, state: State) => void,
    merge: (into: State, from: Batch) => void,
    finish: (input: Batch, out: Output) => void,
  ): Plugin {
    const p = new Plugin(name, version, finish);
    p.accumulateWith = accumulate;
    p.mergeWith = merge;
    return p;
  }

  // A plugin that decides on changes to a dimension: decide sets the action of each
  // change with Output.action, and the attributes to store. changes has _op (string:
  // c, u, d or r), _effective_at (timestamp) and the attributes; row i of inForce is
  // the version that row i would change, which is there if inForce.has(i). Rows
  // cannot be dropped: ignore them.
  static scd(name: string, version: string, decide: (changes: Batch, inForce: Batch, out: Output) => void): Plugin {
    const p = new Plugin(name, version, (input: Batch, out: Output) => {});
    p.decideWith = decide;
    return p;
  }

  // What it is.
  get kind(): string {
    if (this.accumulateWith != null) return KIND_SESSION;
    return this.decideWith != null ? KIND_SCD : KIND_TRANSFORM;
  }

  // One line for a listing.
  summary(line: string): Plugin {
    this.summaryLine = line;
    return this;
  }

  // The columns that the function reads; any, if this is not called. The model may
  // hand over more.
  input(columns: Column[]): Plugin {
    this.inputColumns = columns;
    return this;
  }

  // The columns that it makes, which must be those of the model.
  output(columns: Column[]): Plugin {
    this.outputColumns = columns;
    return this;
  }

  // The columns of one more stream, 1 and up, for routing.
  stream(columns: Column[]): Plugin {
    this.moreStreams.push(columns);
    return this;
  }

  // The columns of a session's state, some with an initial value by Column.initial.
  state(columns: Column[]): Plugin {
    this.stateColumns = columns;
    return this;
  }

  // A function that is called once, before the first batch, with the config of the
  // model and the columns of its input. fail refuses the model. What it allocates
  // stays.
  configure(f: (config: Config, input: Column[]) => void): Plugin {
    this.configureWith = f;
    return this;
  }

  // A function that computes the columns of the output from the config and the
  // columns of the input, instead of declaring them. It is called once, after
  // configure.
  derive(f: (config: Config, input: Column[]) => Column[]): Plugin {
    this.deriveWith = f;
    return this;
  }

  // A JSON Schema of the plugin's config.
  configSchema(json: string): Plugin {
    this.configJsonSchema = json;
    return this;
  }

  // The number of rows that suits it.
  batchRowsHint(rows: u32): Plugin {
    this.rowsHint = rows;
    return this;
  }
}

let registered: Plugin | null = null;

// Makes a plugin the one of the module. Call it once, at the top level.
export function register(plugin: Plugin): void {
  registered = plugin;
}

export function registeredPlugin(): Plugin {
  const plugin = registered;
  if (plugin == null) throw new Error("the module registers no plugin: call register at its top level");
  return plugin;
}

// The JSON of calve_describe.
export function describe(plugin: Plugin): string {
  const input = plugin.inputColumns;
  let text = '{"abi":' + VERSION.toString() + ',"name":' + quote(plugin.name) + ',"version":' + quote(plugin.version) +
    ',"kind":"' + plugin.kind + '","input":' + (input == null ? '"any"' : describeColumns(input)) +
    ',"outputs":[{"stream":0,"columns":' + (plugin.deriveWith != null ? '"derived"' : describeColumns(plugin.outputColumns)) + "}";
  for (let i = 0; i < plugin.moreStreams.length; i++) {
    text += ',{"stream":' + (i + 1).toString() + ',"columns":' + describeColumns(plugin.moreStreams[i]) + "}";
  }
  text += "]";
  if (plugin.stateColumns.length > 0) text += ',"state":' + describeColumns(plugin.stateColumns);
  if (plugin.summaryLine.length > 0) text += ',"summary":' + quote(plugin.summaryLine);
  if (plugin.configJsonSchema.length > 0) text += ',"config_schema":' + plugin.configJsonSchema;
  if (plugin.rowsHint > 0) text += ',"batch_rows_hint":' + plugin.rowsHint.toString();
  return text + "}";
}
