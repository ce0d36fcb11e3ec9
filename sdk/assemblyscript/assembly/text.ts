import { take } from "./memory";

// Text is UTF-8 text, or bytes, in memory that lasts until the transform returns.
// == and != compare what it says.
// @ts-ignore: decorator
@final @unmanaged
export class Text {
  data: usize;
  size: u32;

  // The text of a string. Make those that every batch needs once, at the top
  // level of the module: const PAID = Text.of("paid").
  static of(s: string): Text {
    const size = utf8Size(s);
    const data = take(size);
    writeUtf8(s, data);
    return Text.at(data, size);
  }

  // The text of that many bytes of memory.
  static at(data: usize, size: u32): Text {
    const t = changetype<Text>(take(offsetof<Text>()));
    t.data = data;
    t.size = size;
    return t;
  }

  // @ts-ignore: decorator
  @operator("==")
  equals(other: Text): bool {
    if (this.size != other.size) return false;
    return sameBytes(this.data, other.data, this.size);
  }

  // @ts-ignore: decorator
  @operator("!=")
  differs(other: Text): bool {
    return !this.equals(other);
  }

  // The byte at i, of size; 0 behind the end.
  // @ts-ignore: decorator
  @operator("[]")
  byteAt(i: u32): u8 {
    return i < this.size ? load<u8>(this.data + i) : 0;
  }

  // The bytes from one up to another.
  slice(from: u32, to: u32): Text {
    const end = min(to, this.size), start = min(from, end);
    return Text.at(this.data + start, end - start);
  }

  // The text as a string of AssemblyScript, which is UTF-16. That takes memory
  // until the transform returns: do not do it for every row without need.
  toString(): string {
    return String.UTF8.decodeUnsafe(this.data, this.size);
  }
}

// @ts-ignore: decorator
@inline
function sameBytes(a: usize, b: usize, n: usize): bool {
  while (n >= 8) {
    if (load<u64>(a) != load<u64>(b)) return false;
    a += 8;
    b += 8;
    n -= 8;
  }
  while (n > 0) {
    if (load<u8>(a) != load<u8>(b)) return false;
    a++;
    b++;
    n--;
  }
  return true;
}

export function utf8Size(s: string): u32 {
  return String.UTF8.byteLength(s);
}

// Writes a string's UTF-8. Halves of surrogate pairs become U+FFFD, which is as
// long as what utf8Size counts for them.
export function writeUtf8(s: string, to: usize): void {
  String.UTF8.encodeUnsafe(changetype<usize>(s), s.length, to, false, String.UTF8.ErrorMode.REPLACE);
}

// A string as it stands in JSON.
export function quote(s: string): string {
  let quoted = '"', from = 0;
  for (let i = 0; i < s.length; i++) {
    const c = s.charCodeAt(i);
    if (c >= 0x20 && c != 0x22 && c != 0x5c) continue;
    quoted += s.substring(from, i) + (c < 0x20 ? "\\u00" + hexDigit(c >> 4) + hexDigit(c & 15) : "\\" + s.charAt(i));
    from = i + 1;
  }
  return quoted + s.substring(from) + '"';
}

function hexDigit(n: i32): string {
  return "0123456789abcdef".charAt(n);
}
