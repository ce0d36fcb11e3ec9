import { Text } from "./text";

// What parseTimestamp and parseDate return for text that is none.
export const NO_TIMESTAMP: i64 = i64.MIN_VALUE;
export const NO_DATE: i32 = i32.MIN_VALUE;

// @ts-ignore: decorator
@inline
function digit(at: usize): u32 {
  return <u32>load<u8>(at) - 48;
}

// A number of two digits, or a number above 99.
// @ts-ignore: decorator
@inline
function twoDigits(at: usize): u32 {
  const a = digit(at), b = digit(at + 1);
  return select<u32>(100, a * 10 + b, a > 9 || b > 9);
}

function daysIn(year: u32, month: u32): u32 {
  if (month != 2) return 30 + ((month + (month >> 3)) & 1);
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
}

// The date of the ten bytes there.
function dateAt(at: usize): i32 {
  const century = twoDigits(at), rest = twoDigits(at + 2), month = twoDigits(at + 5), day = twoDigits(at + 8);
  if (century > 99 || rest > 99 || month - 1 > 11 || day - 1 > 30) return NO_DATE;
  if (load<u8>(at, 4) != 0x2d || load<u8>(at, 7) != 0x2d) return NO_DATE;
  const year = century * 100 + rest;
  if (day > 28 && day > daysIn(year, month)) return NO_DATE;
  // Years begin with March here, so that the leap day is the last one.
  const early: u32 = month < 3 ? 1 : 0;
  const y = year + 400 - early, m = month + 12 * early - 3; // never negative
  return <i32>(365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1) - 719468 - 146097;
}

// Reads YYYY-MM-DD as days since 1970-01-01; NO_DATE where it cannot.
export function parseDate(text: Text): i32 {
  return text.size == 10 ? dateAt(text.data) : NO_DATE;
}

// Reads RFC 3339 text, 2026-01-02T03:04:05.678+09:00, as microseconds since
// 1970-01-01 UTC; what is finer is cut off. NO_TIMESTAMP where it cannot.
export function parseTimestamp(text: Text): i64 {
  const at = text.data, size = text.size;
  if (size < 20) return NO_TIMESTAMP;
  const days = dateAt(at), h = twoDigits(at + 11), m = twoDigits(at + 14), s = twoDigits(at + 17);
  if (days == NO_DATE || h > 23 || m > 59 || s > 59) return NO_TIMESTAMP;
  if (load<u8>(at, 10) != 0x54 || load<u8>(at, 13) != 0x3a || load<u8>(at, 16) != 0x3a) return NO_TIMESTAMP;
  const seconds = <i64>days * 86400 + <i64>(h * 3600 + m * 60 + s);
  if (size == 20 && load<u8>(at, 19) == 0x5a) return seconds * 1000000;
  return withFractionAndZone(seconds, at + 19, at + size);
}

// Reads what follows the seconds.
function withFractionAndZone(seconds: i64, at: usize, end: usize): i64 {
  let fraction: u32 = 0;
  if (load<u8>(at) == 0x2e) {
    const start = ++at;
    for (let scale: u32 = 100000; at < end && digit(at) < 10; at++, scale /= 10) fraction += digit(at) * scale;
    if (at == start || at == end) return NO_TIMESTAMP;
  }
  const sign = load<u8>(at);
  if (sign == 0x5a) return at + 1 == end ? seconds * 1000000 + fraction : NO_TIMESTAMP;
  if ((sign != 0x2b && sign != 0x2d) || at + 6 != end || load<u8>(at, 3) != 0x3a) return NO_TIMESTAMP;
  const h = twoDigits(at + 1), m = twoDigits(at + 4);
  if (h > 23 || m > 59) return NO_TIMESTAMP;
  const ahead = <i64>(h * 3600 + m * 60);
  return (sign == 0x2d ? seconds + ahead : seconds - ahead) * 1000000 + fraction;
}

// Whether text is a whole number of 64 bits.
export function isLong(text: Text): bool {
  return readLong(text.data, text.data + text.size);
}

// Reads a whole number; otherwise where it cannot.
export function parseLong(text: Text, otherwise: i64 = 0): i64 {
  return isLong(text) ? whole : otherwise;
}

let whole: i64 = 0; // what readLong read

function readLong(at: usize, end: usize): bool {
  const negative = at < end && load<u8>(at) == 0x2d;
  const most = <u64>i64.MAX_VALUE + <u64>negative;
  let n: u64 = 0;
  at += <usize>negative;
  if (at >= end) return false;
  for (; at < end; at++) {
    const d = digit(at);
    if (d > 9 || n > (most - d) / 10) return false;
    n = n * 10 + d;
  }
  whole = negative ? -n : n;
  return true;
}

// Reads a decimal number: the nearest double for up to 15 digits and an exponent
// within 22, else one within a unit of the last place. NaN where it cannot.
export function parseDouble(text: Text): f64 {
  const negative = text[0] == 0x2d, end = text.data + text.size;
  let point = false, digits: u64 = 0, exponent = 0, n = 0;
  let at = text.data + <usize>negative;
  for (; at < end; at++) {
    const d = digit(at);
    if (load<u8>(at) == 0x2e && !point) {
      point = true;
      continue;
    }
    if (d > 9) break;
    n++;
    if (digits > (u64.MAX_VALUE - 9) / 10) { // beyond what a double can tell apart
      if (!point) exponent++;
      continue;
    }
    digits = digits * 10 + d;
    if (point) exponent--;
  }
  if (n == 0) return NaN;
  if (at < end && (load<u8>(at) | 0x20) == 0x65) {
    at++;
    if (at < end && load<u8>(at) == 0x2b) at++;
    if (!readLong(at, end)) return NaN;
    exponent += <i32>min<i64>(max<i64>(whole, -999), 999);
    at = end;
  }
  if (at < end) return NaN;
  const value = digits == 0 ? 0 : scaled(<f64>digits, exponent);
  return negative ? -value : value;
}

const POWERS: StaticArray<f64> = [
  1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

function scaled(value: f64, exponent: i32): f64 {
  for (; exponent > 22; exponent -= 22) value *= POWERS[22];
  for (; exponent < -22; exponent += 22) value /= POWERS[22];
  return exponent < 0 ? value / POWERS[-exponent] : value * POWERS[exponent];
}
