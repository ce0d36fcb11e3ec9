import { KIND_TRANSFORM, VERSION } from "./abi";
import { Column, describeColumns } from "./column";
import { Config } from "./config";
import { Batch } from "./input";
import { Output } from "./output";
import { quote } from "./text";

// Plugin is a transform: what it is called, its columns, and its functions.
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
  configJsonSchema: string = "";
  rowsHint: u32 = 0;
  configureWith: ((config: Config, input: Column[]) => void) | null = null;
  deriveWith: ((config: Config, input: Column[]) => Column[]) | null = null;

  // run makes the outputs of a batch. fail and a trap, such as an exception, fail
  // the batch: the host then tries its rows in smaller batches, to find those that
  // are at fault. Use Output.rowError for rows known to be.
  constructor(name: string, version: string, run: (input: Batch, out: Output) => void) {
    this.name = name;
    this.version = version;
    this.run = run;
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
    ',"kind":"' + KIND_TRANSFORM + '","input":' + (input == null ? '"any"' : describeColumns(input)) +
    ',"outputs":[{"stream":0,"columns":' + (plugin.deriveWith != null ? '"derived"' : describeColumns(plugin.outputColumns)) + "}";
  for (let i = 0; i < plugin.moreStreams.length; i++) {
    text += ',{"stream":' + (i + 1).toString() + ',"columns":' + describeColumns(plugin.moreStreams[i]) + "}";
  }
  text += "]";
  if (plugin.summaryLine.length > 0) text += ',"summary":' + quote(plugin.summaryLine);
  if (plugin.configJsonSchema.length > 0) text += ',"config_schema":' + plugin.configJsonSchema;
  if (plugin.rowsHint > 0) text += ',"batch_rows_hint":' + plugin.rowsHint.toString();
  return text + "}";
}
