import { quote } from "./text";

// Column declares a column or a nested field: its name, and its type as a format
// string of the Arrow C Data Interface. Make one with Column.long and the like,
// whose names are those of data_type in a model. Columns may be null unless
// required.
export class Column {
  notNull: bool = false;
  initialValue: string = ""; // of a column of state, as JSON; else null

  constructor(
    public name: string,
    public format: string,
    public children: Column[] = [],
  ) {}

  // The same column, never null.
  required(): Column {
    this.notNull = true;
    return this;
  }

  // The same column of state with an initial value, as JSON.
  initial(json: string): Column {
    this.initialValue = json;
    return this;
  }

  static boolean(name: string): Column {
    return new Column(name, "b");
  }

  // 32-bit integers.
  static int(name: string): Column {
    return new Column(name, "i");
  }

  // 64-bit integers.
  static long(name: string): Column {
    return new Column(name, "l");
  }

  static float(name: string): Column {
    return new Column(name, "f");
  }

  static double(name: string): Column {
    return new Column(name, "g");
  }

  // UTF-8 text.
  static string(name: string): Column {
    return new Column(name, "u");
  }

  static binary(name: string): Column {
    return new Column(name, "z");
  }

  // Days since 1970-01-01.
  static date(name: string): Column {
    return new Column(name, "tdD");
  }

  // Microseconds since 1970-01-01 00:00:00 without a time zone.
  static timestamp(name: string): Column {
    return new Column(name, "tsu:");
  }

  // Instants: microseconds since 1970-01-01 00:00:00 UTC.
  static timestamptz(name: string): Column {
    return new Column(name, "tsu:UTC");
  }

  // precision digits (1 to 38), scale of them after the point.
  static decimal(name: string, precision: i32, scale: i32): Column {
    return new Column(name, "d:" + precision.toString() + "," + scale.toString());
  }

  // Nested columns can be passed through, not read or built.
  static list(name: string, element: Column): Column {
    return new Column(name, "+l", [element]);
  }

  static struct(name: string, fields: Column[]): Column {
    return new Column(name, "+s", fields);
  }

  // Keys are never null.
  static map(name: string, key: Column, value: Column): Column {
    return new Column(name, "+m", [Column.struct("entries", [key.required(), value]).required()]);
  }
}

// The JSON of columns in a plugin's description.
export function describeColumns(columns: Column[]): string {
  const all = new Array<string>(columns.length);
  for (let i = 0; i < columns.length; i++) all[i] = describeColumn(columns[i]);
  return "[" + all.join(",") + "]";
}

function describeColumn(c: Column): string {
  let text = '{"name":' + quote(c.name) + ',"format":' + quote(c.format);
  if (c.notNull) text += ',"nullable":false';
  if (c.initialValue.length > 0) text += ',"initial":' + c.initialValue;
  if (c.children.length > 0) text += ',"children":' + describeColumns(c.children);
  return text + "}";
}
