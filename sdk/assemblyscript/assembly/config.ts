import { isLong, parseDouble, parseLong } from "./parse";
import { Text } from "./text";

const QUOTE: u8 = 0x22;
const BACKSLASH: u8 = 0x5c;
const TRUE = Text.of("true");
const FALSE = Text.of("false");
const NOTHING = Text.of("");

// Config is the config of the model, as JSON, and reads members of an object at
// its top level.
export class Config {
  // json is the whole text: "null" if the model has none.
  constructor(public json: Text) {}

  // The member of that name, or null where there is none that is a string.
  string(name: string): string | null {
    const t = this.raw(name);
    return t[0] == QUOTE ? unquote(t) : null;
  }

  // The member of that name, or otherwise where there is none that is a number.
  double(name: string, otherwise: f64 = NaN): f64 {
    const v = parseDouble(this.raw(name));
    return isNaN(v) ? otherwise : v;
  }

  // The member of that name, or otherwise where there is none that is a whole
  // number.
  long(name: string, otherwise: i64 = 0): i64 {
    return parseLong(this.raw(name), otherwise);
  }

  // The member of that name, or otherwise where there is none that is true or
  // false.
  boolean(name: string, otherwise: bool = false): bool {
    const t = this.raw(name);
    return isBoolean(t) ? t[0] == 0x74 : otherwise;
  }

  hasString(name: string): bool {
    return this.raw(name)[0] == QUOTE;
  }

  hasDouble(name: string): bool {
    return !isNaN(this.double(name));
  }

  hasLong(name: string): bool {
    return isLong(this.raw(name));
  }

  hasBoolean(name: string): bool {
    return isBoolean(this.raw(name));
  }

  // The JSON text of a member, for what the others do not read; empty where there
  // is none.
  raw(name: string): Text {
    const s = new Scanner(this.json), wanted = Text.of(name);
    if (!s.takeByte(0x7b)) return NOTHING;
    while (!s.takeByte(0x7d)) {
      s.takeByte(0x2c);
      const key = s.value();
      if (key.size < 2 || !s.takeByte(0x3a)) return NOTHING;
      const value = s.value();
      if (value.size == 0) return NOTHING;
      if (key.slice(1, key.size - 1) == wanted) return value;
    }
    return NOTHING;
  }
}

function isBoolean(t: Text): bool {
  return t == TRUE || t == FALSE;
}

// Scanner reads values of JSON that is known to be well formed.
class Scanner {
  at: usize;
  end: usize;

  constructor(json: Text) {
    this.at = json.data;
    this.end = json.data + json.size;
  }

  skipSpace(): void {
    while (this.at < this.end && load<u8>(this.at) <= 0x20) this.at++;
  }

  takeByte(c: u8): bool {
    this.skipSpace();
    if (this.at >= this.end || load<u8>(this.at) != c) return false;
    this.at++;
    return true;
  }

  // The text of the next value, empty at the end.
  value(): Text {
    this.skipSpace();
    const start = this.at;
    let depth = 0;
    while (this.at < this.end) {
      const c = load<u8>(this.at);
      if (c == QUOTE) {
        this.skipString();
      } else if (c == 0x7b || c == 0x5b) {
        depth++;
        this.at++;
      } else if (depth == 0 && (c == 0x7d || c == 0x5d || c == 0x2c || c == 0x3a || c <= 0x20)) {
        break;
      } else {
        this.at++;
        if (c != 0x7d && c != 0x5d) continue;
        depth--;
      }
      if (depth == 0) break;
    }
    return Text.at(start, <u32>(this.at - start));
  }

  skipString(): void {
    this.at++;
    while (this.at < this.end && load<u8>(this.at) != QUOTE) this.at += load<u8>(this.at) == BACKSLASH ? 2 : 1;
    this.at = min(this.at + 1, this.end);
  }
}

// The string that a JSON string stands for.
function unquote(t: Text): string {
  let text = "";
  let from: u32 = 1, i: u32 = 1;
  const end = t.size - 1;
  while (i < end) {
    if (t[i] != BACKSLASH) {
      i++;
      continue;
    }
    text += t.slice(from, i).toString();
    const c = t[i + 1];
    if (c == 0x75) {
      text += String.fromCharCode(<i32>hex4(t, i + 2));
      i += 6;
    } else {
      text += String.fromCharCode(escaped(c));
      i += 2;
    }
    from = i;
  }
  return text + t.slice(from, end).toString();
}

function escaped(c: u8): i32 {
  switch (c) {
    case 0x62: return 0x08; // \b
    case 0x66: return 0x0c; // \f
    case 0x6e: return 0x0a; // \n
    case 0x72: return 0x0d; // \r
    case 0x74: return 0x09; // \t
    default: return c;
  }
}

function hex4(t: Text, from: u32): u32 {
  let v: u32 = 0;
  for (let i: u32 = 0; i < 4; i++) {
    const c = <u32>t[from + i];
    v = (v << 4) | (c <= 0x39 ? c - 0x30 : (c | 0x20) - 0x57);
  }
  return v;
}
