// The part of the SDK that is compiled once: memory, the exports of the ABI, and
// what need not be inlined. See calve.h.
#include "calve.h"

#define ALIGN_UP(n, to) (((n) + (to)-1) & ~(uintptr_t)((to)-1))

// ---- What the compiler calls for, since there is no libc

__attribute__((target("bulk-memory"), no_builtin)) void *memcpy(void *to, const void *from, size_t n) {
  __asm__ volatile("local.get %0\nlocal.get %1\nlocal.get %2\nmemory.copy 0, 0" ::"r"(to), "r"(from), "r"(n) : "memory");
  return to;
}

__attribute__((target("bulk-memory"), no_builtin)) void *memmove(void *to, const void *from, size_t n) {
  return memcpy(to, from, n);  // memory.copy minds overlaps
}

__attribute__((target("bulk-memory"), no_builtin)) void *memset(void *to, int byte, size_t n) {
  __asm__ volatile("local.get %0\nlocal.get %1\nlocal.get %2\nmemory.fill 0" ::"r"(to), "r"(byte), "r"(n) : "memory");
  return to;
}

__attribute__((no_builtin)) int memcmp(const void *a, const void *b, size_t n) {
  const unsigned char *x = a, *y = b;
  for (size_t i = 0; i < n; i++)
    if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
  return 0;
}

__attribute__((no_builtin)) size_t strlen(const char *s) {
  size_t n = 0;
  while (s[n]) n++;
  return n;
}

// ---- Memory
//
// One stack of allocations: what the plugin keeps from its configuration, above
// it the input of a call, above that what the call allocates. calve_alloc comes
// first in a call and takes off what the call before left.

extern unsigned char __heap_base;
static uintptr_t top, kept;

enum { page = 64 << 10 };

// Raises the top by n bytes; false when the host grants no memory.
static bool raise_top(uintptr_t from, uintptr_t n) {
  uintptr_t end = from + n + CALVE_BUFFER_SLACK;
  uintptr_t have = __builtin_wasm_memory_size(0) * (uintptr_t)page;
  if (end < from) return false;
  if (end > have && __builtin_wasm_memory_grow(0, (end - have + page - 1) / page) == (size_t)-1) return false;
  top = from + n;
  return true;
}

static void ready(void) {
  if (top == 0) top = kept = (uintptr_t)&__heap_base;
}

// Memory that holds what the call before left.
static void *take(uintptr_t n) {
  uintptr_t at = ALIGN_UP(top, 16);
  if (!raise_top(at, n)) __builtin_trap();  // the host sees that memory was denied
  return (void *)at;
}

static void *take_zero(uintptr_t n) { return memset(take(n), 0, n); }

// Makes a block of used bytes larger: in place if it is the last one.
static void *enlarge(void *block, uintptr_t used, uintptr_t had, uintptr_t want) {
  if (block && (uintptr_t)block + had == top) {
    if (!raise_top((uintptr_t)block, want)) __builtin_trap();
    return block;
  }
  void *larger = take(want);
  return memcpy(larger, block, used);
}

void *calve_alloc_bytes(size_t n) { return take_zero(n); }

// ---- The structs of the ABI

typedef struct {
  int64_t length, null_count, offset, n_buffers, n_children;
  const void *const *buffers;
  const void *const *children;
  uint32_t dictionary, release, private_data, pad;
} arrow_array;

typedef struct {
  const char *format, *name;
  uint32_t metadata, pad;
  int64_t flags, n_children;
  const void *const *children;
  uint32_t dictionary, release, private_data;
} arrow_schema;

typedef struct {
  uint32_t size;
  const arrow_array *array, *state;
  uint32_t flags;
  int64_t id, watermark, reserved;
  const arrow_array *meta;
  uint32_t pad;
  int64_t more[2];
} batch_struct;

typedef struct {
  uint32_t stream;
  const arrow_schema *schema;
  const arrow_array *array;
  const uint8_t *selection;
  const int32_t *rows;
  uint32_t flags;
} output_struct;

typedef struct {
  uint32_t status, n_outputs;
  const output_struct *outputs;
  const arrow_array *row_errors;
  const char *message;
  uint32_t message_size, reserved[2];
} result_struct;

#define CHECK_OFFSET(type, field, offset) _Static_assert(offsetof(type, field) == offset, #field)
_Static_assert(sizeof(arrow_array) == CALVE_ARRAY_SIZE, "array");
CHECK_OFFSET(arrow_array, null_count, CALVE_ARRAY_NULL_COUNT);
CHECK_OFFSET(arrow_array, offset, CALVE_ARRAY_OFFSET);
CHECK_OFFSET(arrow_array, n_buffers, CALVE_ARRAY_N_BUFFERS);
CHECK_OFFSET(arrow_array, n_children, CALVE_ARRAY_N_CHILDREN);
CHECK_OFFSET(arrow_array, buffers, CALVE_ARRAY_BUFFERS);
CHECK_OFFSET(arrow_array, children, CALVE_ARRAY_CHILDREN);
CHECK_OFFSET(arrow_array, dictionary, CALVE_ARRAY_DICTIONARY);
_Static_assert(sizeof(arrow_schema) == CALVE_SCHEMA_SIZE, "schema");
CHECK_OFFSET(arrow_schema, name, CALVE_SCHEMA_NAME);
CHECK_OFFSET(arrow_schema, metadata, CALVE_SCHEMA_METADATA);
CHECK_OFFSET(arrow_schema, flags, CALVE_SCHEMA_FLAGS);
CHECK_OFFSET(arrow_schema, n_children, CALVE_SCHEMA_N_CHILDREN);
CHECK_OFFSET(arrow_schema, children, CALVE_SCHEMA_CHILDREN);
CHECK_OFFSET(arrow_schema, dictionary, CALVE_SCHEMA_DICTIONARY);
_Static_assert(sizeof(batch_struct) == CALVE_BATCH_SIZE, "batch");
CHECK_OFFSET(batch_struct, array, CALVE_BATCH_ARRAY);
CHECK_OFFSET(batch_struct, state, CALVE_BATCH_STATE);
CHECK_OFFSET(batch_struct, flags, CALVE_BATCH_FLAGS);
CHECK_OFFSET(batch_struct, id, CALVE_BATCH_ID);
CHECK_OFFSET(batch_struct, watermark, CALVE_BATCH_WATERMARK);
CHECK_OFFSET(batch_struct, meta, CALVE_BATCH_META);
_Static_assert(sizeof(output_struct) == CALVE_OUTPUT_SIZE, "output");
CHECK_OFFSET(output_struct, schema, CALVE_OUTPUT_SCHEMA);
CHECK_OFFSET(output_struct, array, CALVE_OUTPUT_ARRAY);
CHECK_OFFSET(output_struct, selection, CALVE_OUTPUT_SELECTION);
CHECK_OFFSET(output_struct, rows, CALVE_OUTPUT_ROWS);
_Static_assert(sizeof(result_struct) == CALVE_RESULT_SIZE, "result");
CHECK_OFFSET(result_struct, n_outputs, CALVE_RESULT_N_OUTPUTS);
CHECK_OFFSET(result_struct, outputs, CALVE_RESULT_OUTPUTS);
CHECK_OFFSET(result_struct, row_errors, CALVE_RESULT_ROW_ERRORS);
CHECK_OFFSET(result_struct, message, CALVE_RESULT_MESSAGE_PTR);
CHECK_OFFSET(result_struct, message_size, CALVE_RESULT_MESSAGE_LEN);

// ---- Text

calve_text calve_text_of(const char *terminated) {
  return (calve_text){terminated, terminated ? (uint32_t)strlen(terminated) : 0};
}

// Pieces written one behind another at the top, which nothing else may raise
// meanwhile.
typedef struct {
  char *start;
  uint32_t size;
} writing;

static writing begin_writing(void) { return (writing){take(0), 0}; }

static void write(writing *w, const char *text, size_t n) {
  if (!raise_top((uintptr_t)w->start, w->size + n)) __builtin_trap();
  memcpy(w->start + w->size, text, n);
  w->size += (uint32_t)n;
}

static void write_string(writing *w, const char *text) { write(w, text, strlen(text)); }

static void write_integer(writing *w, int64_t n) {
  char digits[20];
  int at = sizeof digits;
  uint64_t left = n < 0 ? -(uint64_t)n : (uint64_t)n;
  do digits[--at] = (char)('0' + left % 10);
  while (left /= 10);
  if (n < 0) digits[--at] = '-';
  write(w, digits + at, sizeof digits - (size_t)at);
}

static void write_quoted(writing *w, const char *text) {
  static const char hex[] = "0123456789abcdef";
  write(w, "\"", 1);
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\') {
      write(w, (char[]){'\\', (char)c}, 2);
    } else if (c < 0x20) {
      write(w, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
    } else {
      write(w, text, 1);
    }
  }
  write(w, "\"", 1);
}

const char *calve_format(const char *format, ...) {
  writing w = begin_writing();
  va_list args;
  va_start(args, format);
  for (; *format; format++) {
    if (*format != '%') {
      write(&w, format, 1);
      continue;
    }
    switch (*++format) {
      case 's': write_string(&w, va_arg(args, const char *)); break;
      case 'd': write_integer(&w, va_arg(args, int)); break;
      case 'l': write_integer(&w, va_arg(args, int64_t)); break;
      case 't': {
        calve_text t = va_arg(args, calve_text);
        write(&w, t.data, t.size);
        break;
      }
      case 0: format--; break;
      default: write(&w, format, 1);
    }
  }
  va_end(args);
  write(&w, "", 1);
  return w.start;
}

static bool has_prefix(const char *text, const char *prefix) {
  while (*prefix)
    if (*text++ != *prefix++) return false;
  return true;
}

static bool same(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

// ---- JSON

typedef struct {
  const char *at, *end;
} scanner;

static void skip_space(scanner *s) {
  while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t')) s->at++;
}

static bool take_char(scanner *s, char c) {
  skip_space(s);
  if (s->at == s->end || *s->at != c) return false;
  s->at++;
  return true;
}

static void skip_string(scanner *s) {
  for (s->at++; s->at < s->end && *s->at != '"'; s->at++)
    if (*s->at == '\\') s->at++;
  s->at = s->at < s->end ? s->at + 1 : s->end;
}

// The text of the next value, empty at the end.
static calve_text scan_value(scanner *s) {
  skip_space(s);
  const char *start = s->at;
  for (int depth = 0; s->at < s->end;) {
    char c = *s->at;
    if (c == '"') {
      skip_string(s);
    } else if (c == '{' || c == '[') {
      depth++;
      s->at++;
    } else if (depth == 0 && (c == '}' || c == ']' || c == ',' || c == ':' || (unsigned char)c <= ' ')) {
      break;
    } else {
      s->at++;
      if (c != '}' && c != ']') continue;
      depth--;
    }
    if (depth == 0) break;
  }
  return (calve_text){start, (uint32_t)(s->at - start)};
}

bool calve_config_raw(calve_text object, const char *name, calve_text *value) {
  scanner s = {object.data, object.data + object.size};
  uint32_t size = (uint32_t)strlen(name);
  if (!take_char(&s, '{')) return false;
  while (!take_char(&s, '}')) {
    take_char(&s, ',');
    calve_text key = scan_value(&s);
    if (key.size < 2 || !take_char(&s, ':')) return false;
    calve_text v = scan_value(&s);
    if (v.size == 0) return false;
    if (key.size == size + 2 && memcmp(key.data + 1, name, size) == 0) {
      *value = v;
      return true;
    }
  }
  return false;
}

static int hex4(const char *at) {
  int v = 0;
  for (int i = 0; i < 4; i++) {
    char c = at[i];
    int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (d < 0) return -1;
    v = v << 4 | d;
  }
  return v;
}

static char *put_rune(char *to, uint32_t r) {
  if (r < 0x80) {
    *to++ = (char)r;
  } else if (r < 0x800) {
    *to++ = (char)(0xc0 | r >> 6);
    *to++ = (char)(0x80 | (r & 63));
  } else if (r < 0x10000) {
    *to++ = (char)(0xe0 | r >> 12);
    *to++ = (char)(0x80 | (r >> 6 & 63));
    *to++ = (char)(0x80 | (r & 63));
  } else {
    *to++ = (char)(0xf0 | r >> 18);
    *to++ = (char)(0x80 | (r >> 12 & 63));
    *to++ = (char)(0x80 | (r >> 6 & 63));
    *to++ = (char)(0x80 | (r & 63));
  }
  return to;
}

// Reads the four digits behind \u at from, and the second half of a pair.
static const char *take_rune(const char *from, const char *end, uint32_t *rune) {
  int r = end - from >= 4 ? hex4(from) : -1;
  from += r < 0 ? 0 : 4;
  if (r >= 0xd800 && r < 0xdc00 && end - from >= 6 && from[0] == '\\' && from[1] == 'u') {
    int low = hex4(from + 2);
    if (low >= 0xdc00 && low < 0xe000) {
      *rune = 0x10000 + ((uint32_t)(r - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
      return from + 6;
    }
  }
  *rune = r < 0 || (r >= 0xd800 && r < 0xe000) ? 0xfffd : (uint32_t)r;
  return from;
}

bool calve_config_string(calve_text object, const char *name, calve_text *value) {
  calve_text raw;
  if (!calve_config_raw(object, name, &raw) || raw.size < 2 || raw.data[0] != '"') return false;
  const char *from = raw.data + 1, *end = raw.data + raw.size - 1;
  char *start = take(raw.size), *to = start;
  while (from < end) {
    if (*from != '\\' || from + 1 == end) {
      *to++ = *from++;
      continue;
    }
    char c = from[1];
    from += 2;
    uint32_t rune;
    switch (c) {
      case 'b': *to++ = '\b'; break;
      case 'f': *to++ = '\f'; break;
      case 'n': *to++ = '\n'; break;
      case 'r': *to++ = '\r'; break;
      case 't': *to++ = '\t'; break;
      case 'u':
        from = take_rune(from, end, &rune);
        to = put_rune(to, rune);
        break;
      default: *to++ = c;
    }
  }
  *value = (calve_text){start, (uint32_t)(to - start)};
  return true;
}

bool calve_config_double(calve_text object, const char *name, double *value) {
  calve_text raw;
  return calve_config_raw(object, name, &raw) && calve_parse_double(raw, value);
}

bool calve_config_long(calve_text object, const char *name, int64_t *value) {
  calve_text raw;
  return calve_config_raw(object, name, &raw) && calve_parse_long(raw, value);
}

bool calve_config_boolean(calve_text object, const char *name, bool *value) {
  calve_text raw;
  if (!calve_config_raw(object, name, &raw)) return false;
  *value = calve_text_equal(raw, CALVE_TEXT("true"));
  return *value || calve_text_equal(raw, CALVE_TEXT("false"));
}

// ---- Numbers and times

bool calve_parse_long(calve_text t, int64_t *value) {
  uint32_t i = t.size > 0 && t.data[0] == '-';
  bool negative = i == 1;
  uint64_t n = 0, most = (uint64_t)INT64_MAX + negative;
  if (i == t.size) return false;
  for (; i < t.size; i++) {
    uint32_t d = (uint32_t)(unsigned char)t.data[i] - '0';
    if (d > 9 || n > (most - d) / 10) return false;
    n = n * 10 + d;
  }
  *value = (int64_t)(negative ? -n : n);
  return true;
}

static double scaled(double v, int32_t exponent) {
  static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  for (; exponent > 22; exponent -= 22) v *= powers[22];
  for (; exponent < -22; exponent += 22) v /= powers[22];
  return exponent < 0 ? v / powers[-exponent] : v * powers[exponent];
}

bool calve_parse_double(calve_text t, double *value) {
  uint32_t i = t.size > 0 && t.data[0] == '-';
  bool negative = i == 1, point = false;
  uint64_t digits = 0;
  int32_t exponent = 0, n = 0;
  for (; i < t.size; i++) {
    uint32_t d = (uint32_t)(unsigned char)t.data[i] - '0';
    if (t.data[i] == '.' && !point) {
      point = true;
    } else if (d > 9) {
      break;
    } else {
      n++;
      if (digits > (UINT64_MAX - 9) / 10) {  // beyond what a double can tell apart
        exponent += !point;
        continue;
      }
      digits = digits * 10 + d;
      exponent -= point;
    }
  }
  if (n == 0) return false;
  if (i < t.size && (t.data[i] == 'e' || t.data[i] == 'E')) {
    uint32_t plus = i + 1 < t.size && t.data[i + 1] == '+';
    int64_t e;
    if (!calve_parse_long((calve_text){t.data + i + 1 + plus, t.size - i - 1 - plus}, &e)) return false;
    exponent += (int32_t)(e > 999 ? 999 : e < -999 ? -999 : e);
    i = t.size;
  }
  double v = digits == 0 ? 0 : scaled((double)digits, exponent);
  *value = negative ? -v : v;
  return i == t.size;
}

// A number of exactly n digits, or a number above 9999.
static uint32_t digits(const char *at, int n) {
  uint32_t v = 0, bad = 0;
  for (int i = 0; i < n; i++) {
    uint32_t d = (uint32_t)(unsigned char)at[i] - '0';
    bad |= d > 9;
    v = v * 10 + d;
  }
  return bad ? 10000 : v;
}

bool calve_parse_date(calve_text t, int32_t *days) {
  static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (t.size != 10 || t.data[4] != '-' || t.data[7] != '-') return false;
  uint32_t y = digits(t.data, 4), m = digits(t.data + 5, 2), d = digits(t.data + 8, 2);
  if (y > 9999 || m < 1 || m > 12 || d < 1) return false;
  bool leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
  if (d > lengths[m - 1] + (uint32_t)(m == 2 && leap)) return false;
  // Years begin with March here, so that the leap day is the last one.
  int32_t year = (int32_t)y - (m <= 2) + 400;  // never negative
  int32_t month = (int32_t)(m + 9) % 12;
  *days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + (int32_t)d - 1 - 719468 - 146097;
  return true;
}

bool calve_parse_timestamp(calve_text t, int64_t *us) {
  int32_t days;
  if (t.size < 20 || t.data[10] != 'T' || t.data[13] != ':' || t.data[16] != ':') return false;
  if (!calve_parse_date((calve_text){t.data, 10}, &days)) return false;
  uint32_t h = digits(t.data + 11, 2), m = digits(t.data + 14, 2), s = digits(t.data + 17, 2), i = 19;
  if (h > 23 || m > 59 || s > 59) return false;
  int32_t fraction = 0;
  if (t.data[i] == '.') {
    int32_t scale = 100000;
    uint32_t start = ++i;
    for (; i < t.size && (unsigned char)t.data[i] - (unsigned)'0' <= 9; i++, scale /= 10) fraction += (t.data[i] - '0') * scale;
    if (i == start || i == t.size) return false;
  }
  int32_t zone = 0;
  if (t.data[i] == '+' || t.data[i] == '-') {
    if (t.size != i + 6 || t.data[i + 3] != ':') return false;
    uint32_t zh = digits(t.data + i + 1, 2), zm = digits(t.data + i + 4, 2);
    if (zh > 23 || zm > 59) return false;
    zone = (int32_t)(zh * 60 + zm) * (t.data[i] == '-' ? -60 : 60);
  } else if (t.data[i] != 'Z' || t.size != i + 1) {
    return false;
  }
  int64_t seconds = (int64_t)days * 86400 + (int64_t)(h * 3600 + m * 60 + s) - zone;
  *us = seconds * 1000000 + fraction;
  return true;
}

// ---- The host

__attribute__((import_module(CALVE_IMPORT_MODULE), import_name(CALVE_IMPORT_LOG))) void host_log(uint32_t, const char *, uint32_t);
__attribute__((import_module(CALVE_IMPORT_MODULE), import_name(CALVE_IMPORT_LOG_LEVEL))) uint32_t host_log_level(void);
__attribute__((import_module(CALVE_IMPORT_MODULE), import_name(CALVE_IMPORT_COUNTER))) void host_counter(const char *, uint32_t, int64_t);
__attribute__((import_module(CALVE_IMPORT_MODULE), import_name(CALVE_IMPORT_HISTOGRAM))) void host_histogram(const char *, uint32_t, double);

bool calve_log_enabled(uint32_t level) { return level >= host_log_level(); }

void calve_log(uint32_t level, const char *message) {
  if (calve_log_enabled(level)) host_log(level, message, (uint32_t)strlen(message));
}

void calve_count(const char *name, int64_t delta) { host_counter(name, (uint32_t)strlen(name), delta); }

void calve_observe(const char *name, double value) { host_histogram(name, (uint32_t)strlen(name), value); }

// ---- Input

struct calve_vector {
  const calve_column *column;
  const arrow_array *array;
  const void *buffers[3];  // validity; values or offsets; bytes
};

static calve_columns input_columns;
static calve_columns beside_columns;  // of calve_finish, or of what is in force
static int32_t batch_rows;            // of the output
static int32_t error_rows;            // that a row error may be about
static struct {
  uint32_t status;
  const char *message;
} failure;

void calve_fail_with(uint32_t status, const char *message) {
  if (failure.status == CALVE_STATUS_OK) failure.status = status, failure.message = message;
}

void calve_fail(const char *message) { calve_fail_with(CALVE_STATUS_FAILED, message); }

static const calve_vector *read_vectors(calve_columns columns, const arrow_array *array) {
  calve_vector *vectors = take_zero(columns.n * sizeof(calve_vector));
  for (uint32_t i = 0; i < columns.n; i++) {
    const arrow_array *a = array->children[i];
    vectors[i].column = &columns.items[i];
    vectors[i].array = a;
    for (int64_t k = 0; k < a->n_buffers && k < 3; k++) vectors[i].buffers[k] = a->buffers[k];
  }
  return vectors;
}

// What a mistake reads: rows that are all null, and empty.
static const calve_vector *no_vector(void) {
  calve_vector *v = take_zero(sizeof *v);
  int32_t rows = batch_rows > error_rows ? batch_rows : error_rows;
  v->buffers[0] = v->buffers[1] = v->buffers[2] = take_zero(16 * ((uintptr_t)rows + 1));
  return v;
}

static const calve_vector *find_input(const calve_batch *in, const char *name, const char *format) {
  for (uint32_t i = 0; i < in->n_columns; i++) {
    const calve_vector *v = &in->columns[i];
    if (!same(v->column->name, name)) continue;
    if (has_prefix(v->column->format, format)) return v;
    calve_fail(calve_format("input column \"%s\" has format \"%s\", not \"%s\"", name, v->column->format, format));
    return no_vector();
  }
  writing w = begin_writing();
  write_string(&w, "no input column \"");
  write_string(&w, name);
  write_string(&w, "\", the input has ");
  for (uint32_t i = 0; i < in->n_columns; i++) {
    if (i > 0) write_string(&w, ", ");
    write_string(&w, in->columns[i].column->name);
  }
  write(&w, "", 1);
  calve_fail(w.start);
  return no_vector();
}

#define DEFINE_READ(function, reader, format)                         \
  reader function(const calve_batch *in, const char *name) {          \
    const calve_vector *v = find_input(in, name, format);             \
    return (reader){v->buffers[1], v->buffers[0]};                    \
  }
#define DEFINE_READ_TEXT(function, format)                            \
  calve_texts function(const calve_batch *in, const char *name) {     \
    const calve_vector *v = find_input(in, name, format);             \
    return (calve_texts){v->buffers[1], v->buffers[2], v->buffers[0]}; \
  }

DEFINE_READ(calve_read_boolean, calve_booleans, "b")
DEFINE_READ(calve_read_int, calve_ints, "i")
DEFINE_READ(calve_read_long, calve_longs, "l")
DEFINE_READ(calve_read_float, calve_floats, "f")
DEFINE_READ(calve_read_double, calve_doubles, "g")
DEFINE_READ(calve_read_decimal, calve_decimals, "d:")
DEFINE_READ(calve_read_date, calve_ints, "tdD")
DEFINE_READ(calve_read_timestamp, calve_longs, "tsu:")
DEFINE_READ_TEXT(calve_read_string, "u")
DEFINE_READ_TEXT(calve_read_binary, "z")

bool calve_position_of(const calve_batch *in, int32_t row, calve_position *position) {
  const calve_vector *m = in->meta;
  if (!m || row < 0 || row >= in->rows) return false;
  const int32_t *offsets = m[CALVE_META_TOPIC].buffers[1];
  position->topic.data = (const char *)m[CALVE_META_TOPIC].buffers[2] + offsets[row];
  position->topic.size = (uint32_t)(offsets[row + 1] - offsets[row]);
  position->partition = ((const int32_t *)m[CALVE_META_PARTITION].buffers[1])[row];
  position->offset = ((const int64_t *)m[CALVE_META_OFFSET].buffers[1])[row];
  position->timestamp = ((const int64_t *)m[CALVE_META_TIMESTAMP].buffers[1])[row];
  return true;
}

// ---- Output

struct calve_output {
  uint32_t stream;
  bool used, own;
  calve_columns columns;
  calve_builder *builders;  // a column each; column is null until it is begun
  uint8_t *selection;       // null: all rows
  int32_t *rows;            // of rows of its own the input row of each
  int32_t n_rows, room;
  calve_output *all;         // of the batch
  uint32_t n_all;
  const calve_batch *unset;  // what columns that are not set are; null: they must be set
  uint8_t *actions;          // of decisions
};

static uint32_t n_streams;
static calve_columns *streams;

// The row errors of the batch: a first one for each row at fault.
static struct {
  uint8_t *seen;
  calve_builder row, code, column, message;
} row_errors;

static uintptr_t bitmap_bytes(int32_t rows) { return ((uintptr_t)rows + 7) >> 3; }

// Sets the first n bits; the last byte's others become 0.
static void set_bits(uint8_t *bits, int32_t n) {
  memset(bits, 0xff, (uintptr_t)n >> 3);
  if (n & 7) bits[n >> 3] = (uint8_t)((1 << (n & 7)) - 1);
}

// Where writes of a mistake go: to a builder of no column.
static calve_builder *no_builder(calve_output *out) {
  calve_builder *b = take_zero(sizeof *b);
  b->output = out;
  return b;
}

// Makes room for that many rows; new ones are null.
static void grow_rows(calve_builder *b, int32_t rows) {
  uintptr_t had = bitmap_bytes(b->capacity), want = bitmap_bytes(rows);
  b->valid = enlarge(b->valid, had, had, want);
  memset(b->valid + had, 0, want - had);
  if (b->offsets) {
    b->offsets = enlarge(b->offsets, 4 * ((uintptr_t)b->next + 1), 4 * ((uintptr_t)b->capacity + 1), 4 * ((uintptr_t)rows + 1));
  } else {
    had = b->width ? b->width * (uintptr_t)b->capacity : had;
    want = b->width ? b->width * (uintptr_t)rows : want;
    b->values = enlarge(b->values, had, had, want);
    memset((char *)b->values + had, 0, want - had);
  }
  b->capacity = rows;
}

static void begin_rows(calve_builder *b, bool text, uint32_t width, int32_t rows) {
  b->width = width;
  if (text) {
    b->offsets = take(4 * ((uintptr_t)rows + 1));
    b->offsets[0] = 0;
    b->room = 16 * (uint32_t)rows + 64;
    b->values = take(b->room);
  } else {
    b->values = take_zero(width ? width * (uintptr_t)rows : bitmap_bytes(rows));
  }
  b->valid = take_zero(bitmap_bytes(rows));
  b->capacity = rows;
}

static calve_builder *find_output(calve_output *out, const char *name, const char *format) {
  out->used = true;
  for (uint32_t i = 0; i < out->columns.n; i++) {
    const calve_column *c = &out->columns.items[i];
    if (!same(c->name, name)) continue;
    if (has_prefix(c->format, format)) {
      out->builders[i].output = out;
      return &out->builders[i];
    }
    calve_fail(calve_format("output column \"%s\" is declared with format \"%s\", not \"%s\"", name, c->format, format));
    return 0;
  }
  calve_fail(calve_format("output column \"%s\" is not declared", name));
  return 0;
}

static calve_builder *begin_column(calve_output *out, const char *name, const char *format, uint32_t width) {
  calve_builder *b = find_output(out, name, format);
  if (!b) b = no_builder(out);
  if (b->values && !b->passed) return b;
  bool text = *format == 'u' || *format == 'z';
  *b = (calve_builder){.output = out};
  begin_rows(b, text, width, batch_rows);
  return b;
}

#define DEFINE_BUILD(name, kind, format, width)                                         \
  calve_##kind##_builder *calve_build_##name(calve_output *out, const char *column) {   \
    return (calve_##kind##_builder *)begin_column(out, column, format, width);          \
  }

DEFINE_BUILD(boolean, boolean, "b", 0)
DEFINE_BUILD(int, int, "i", 4)
DEFINE_BUILD(long, long, "l", 8)
DEFINE_BUILD(float, float, "f", 4)
DEFINE_BUILD(double, double, "g", 8)
DEFINE_BUILD(decimal, decimal, "d:", 16)
DEFINE_BUILD(date, int, "tdD", 4)
DEFINE_BUILD(timestamp, long, "tsu:", 8)
DEFINE_BUILD(string, string, "u", 0)
DEFINE_BUILD(binary, string, "z", 0)

static bool is_row_of(int32_t i, int32_t rows) {
  if (i >= 0 && i < rows) return true;
  calve_fail(calve_format("row %d is outside the batch of %d rows", i, rows));
  return false;
}

static bool is_row(int32_t i) { return is_row_of(i, batch_rows); }

bool calve_make_room(calve_builder *b, int32_t i) {
  if (b->output && !b->output->own && !is_row(i)) return false;
  if (i < 0) {
    calve_fail(calve_format("row %d is set", i));
    return false;
  }
  if (i >= b->capacity) grow_rows(b, (i < 1 << 29 ? 2 * i : i) + 8);
  return true;
}

void calve_clear_row(calve_builder *b, int32_t i) {
  if (i >= 0 && i < b->capacity) b->valid[i >> 3] &= (uint8_t) ~(1 << (i & 7));
}

void *calve_all_rows(calve_builder *b) {
  set_bits(b->valid, batch_rows);
  return b->values;
}

// Fills rows up to one with null.
static void pad(calve_builder *b, int32_t rows) {
  for (; b->next < rows; b->next++) b->offsets[b->next + 1] = (int32_t)b->size;
}

static bool make_bytes(calve_builder *b, uint32_t n) {
  uint64_t want = (uint64_t)b->size + n + 16;
  if (want > INT32_MAX) {
    calve_fail("more than 2 GiB of text in one batch");
    return false;
  }
  if (want <= b->room) return true;
  uint64_t doubled = 2 * (uint64_t)b->room;
  uint32_t room = (uint32_t)(want > doubled ? want : doubled > INT32_MAX ? INT32_MAX : doubled);
  b->values = enlarge(b->values, b->size, b->room, room);
  b->room = room;
  return true;
}

bool calve_make_text_room(calve_builder *b, int32_t i, uint32_t n) {
  if (i < b->next && i >= 0) {
    calve_fail(calve_format("row %d is set after row %d: set the rows of strings and bytes in order", i, b->next - 1));
    return false;
  }
  if (!calve_make_room(b, i) || !make_bytes(b, n)) return false;
  pad(b, i);
  return true;
}

void calve_append(calve_string_builder *b, calve_text more) {
  calve_builder *c = &b->b;
  if (c->next == 0) {
    calve_fail("calve_append before any row is set");
    return;
  }
  if (!make_bytes(c, more.size)) return;
  calve_copy((char *)c->values + c->size, more.data, more.size);
  c->size += more.size;
  c->offsets[c->next] = (int32_t)c->size;
}

void calve_reserve(calve_string_builder *b, uint32_t bytes) {
  if (bytes > b->b.size) make_bytes(&b->b, bytes - b->b.size);
}

void calve_pass(calve_output *out, const char *name, const calve_batch *in, const char *column) {
  const calve_vector *v = find_input(in, column, "");
  if (!v->column) return;
  calve_builder *b = find_output(out, name, v->column->format);
  if (b) *b = (calve_builder){.output = out, .passed = v};
}

void calve_drop(calve_output *out, int32_t i) {
  out->used = true;
  if (!is_row(i)) return;
  if (!out->selection) {
    out->selection = take(bitmap_bytes(batch_rows));
    set_bits(out->selection, batch_rows);
  }
  out->selection[i >> 3] &= (uint8_t) ~(1 << (i & 7));
}

static void set_error(calve_builder *b, int32_t n, const char *text) {
  calve_set_string((calve_string_builder *)b, n, calve_text_of(text ? text : ""));
}

void calve_row_error(calve_output *out, int32_t i, const char *code, const char *column, const char *message) {
  (void)out;
  if (!is_row_of(i, error_rows)) return;
  if (!row_errors.seen) {
    row_errors.seen = take_zero(bitmap_bytes(error_rows));
    begin_rows(&row_errors.row, false, 4, 8);
    begin_rows(&row_errors.code, true, 0, 8);
    begin_rows(&row_errors.column, true, 0, 8);
    begin_rows(&row_errors.message, true, 0, 8);
  }
  if (calve_bit(row_errors.seen, i)) return;
  row_errors.seen[i >> 3] |= (uint8_t)(1 << (i & 7));
  int32_t n = row_errors.code.next;
  calve_set_int((calve_int_builder *)&row_errors.row, n, i);
  set_error(&row_errors.code, n, code);
  set_error(&row_errors.column, n, column);
  set_error(&row_errors.message, n, message);
}

void calve_own_rows(calve_output *out) { out->used = out->own = true; }

int32_t calve_add_row(calve_output *out, int32_t i) {
  if (!is_row(i)) return 0;
  if (!out->own) {
    calve_fail("calve_add_row without calve_own_rows: call calve_own_rows before anything else of the output");
    return 0;
  }
  if (out->n_rows > 0 && out->rows[out->n_rows - 1] > i) {
    calve_fail(calve_format("row %d is added after row %d: add rows in the order of the input", i, out->rows[out->n_rows - 1]));
    return 0;
  }
  if (out->n_rows == out->room) {
    int32_t room = out->room ? 2 * out->room : batch_rows + 8;
    out->rows = enlarge(out->rows, 4 * (uintptr_t)out->n_rows, 4 * (uintptr_t)out->room, 4 * (uintptr_t)room);
    out->room = room;
  }
  out->rows[out->n_rows] = i;
  return out->n_rows++;
}

void calve_set_action(calve_output *out, int32_t i, uint32_t action) {
  if (!out->actions) {
    calve_fail("calve_set_action outside decide: only a plugin of kind scd has actions");
  } else if (action > CALVE_ACTION_DELETE) {
    calve_fail(calve_format("row %d: action %d is unknown", i, (int)action));
  } else if (is_row(i)) {
    out->actions[i] = (uint8_t)action;
  }
}

// The column of state of that name, which the plugin may change.
static const calve_vector *find_state(calve_state *state, const char *name, const char *format) {
  const calve_vector *v = find_input(state->rows, name, format);
  if (v->array) ((arrow_array *)v->array)->null_count = -1;
  return v;
}

#define DEFINE_STATE(function, column, format)                       \
  column function(calve_state *state, const char *name) {            \
    const calve_vector *v = find_state(state, name, format);         \
    return (column){(void *)v->buffers[1], (uint8_t *)v->buffers[0]}; \
  }

DEFINE_STATE(calve_state_boolean, calve_state_booleans, "b")
DEFINE_STATE(calve_state_int, calve_state_ints, "i")
DEFINE_STATE(calve_state_long, calve_state_longs, "l")
DEFINE_STATE(calve_state_float, calve_state_floats, "f")
DEFINE_STATE(calve_state_double, calve_state_doubles, "g")
DEFINE_STATE(calve_state_decimal, calve_state_decimals, "d:")
DEFINE_STATE(calve_state_date, calve_state_ints, "tdD")
DEFINE_STATE(calve_state_timestamp, calve_state_longs, "tsu:")

calve_output *calve_stream(calve_output *out, uint32_t stream) {
  if (stream < out->n_all) return &out->all[stream];
  calve_fail(calve_format("the plugin declares no output stream %d", (int)stream));
  calve_output *none = take_zero(sizeof *none);
  none->all = out->all;
  none->n_all = out->n_all;
  return none;
}

// ---- Results

static const void *nowhere[2];  // what buffers without bytes point at

static const arrow_array *table(int64_t rows, uint32_t n, const void *const *children) {
  arrow_array *a = take_zero(sizeof *a);
  *a = (arrow_array){.length = rows, .n_buffers = 1, .n_children = n, .buffers = nowhere, .children = children};
  return a;
}

static const arrow_array *column_array(calve_builder *b, int32_t rows, bool nulls) {
  arrow_array *a = take_zero(sizeof *a);
  const void **buffers = take_zero(3 * sizeof *buffers);
  bool text = b->offsets != 0;
  if (rows > b->capacity) grow_rows(b, rows);
  if (nulls) buffers[0] = b->valid;
  buffers[1] = text ? b->offsets : b->values;
  buffers[2] = text ? b->values : 0;
  if (text) pad(b, rows);
  *a = (arrow_array){.length = rows, .null_count = nulls ? -1 : 0, .n_buffers = text ? 3 : 2, .buffers = buffers};
  return a;
}

// The column _action, before the others where there are actions.
static const arrow_array *action_array(const uint8_t *actions) {
  const void **buffers = take_zero(2 * sizeof *buffers);
  buffers[1] = actions;
  arrow_array *a = take_zero(sizeof *a);
  *a = (arrow_array){.length = batch_rows, .n_buffers = 2, .buffers = buffers};
  return a;
}

static bool finish_output(calve_output *out, output_struct *to) {
  int32_t rows = out->own ? out->n_rows : batch_rows;
  uint32_t first = out->actions != 0;
  const void **children = take_zero((first + out->columns.n) * sizeof *children);
  if (first) children[0] = action_array(out->actions);
  if (out->own && out->selection) calve_fail("an output with rows of its own cannot drop rows: do not add them");
  for (uint32_t i = 0; i < out->columns.n; i++) {
    calve_builder *b = &out->builders[i];
    const char *name = out->columns.items[i].name;
    if (!b->passed && !b->values && out->unset) b->passed = &out->unset->columns[i];
    if (!b->passed && !b->values) {
      calve_fail(calve_format("output column \"%s\" was not set", name));
      return false;
    }
    if (b->passed && out->own) {
      calve_fail(calve_format("output column \"%s\": a column cannot be passed through to an output with rows of its own", name));
      return false;
    }
    children[first + i] = b->passed ? b->passed->array : column_array(b, rows, true);
  }
  const arrow_array *rows_of = table(rows, first + out->columns.n, children);
  *to = (output_struct){.stream = out->stream, .array = rows_of, .selection = out->selection};
  if (out->own) to->rows = out->rows ? out->rows : (const int32_t *)nowhere;
  return true;
}

static const arrow_array *finish_errors(void) {
  if (!row_errors.seen) return 0;
  int32_t n = row_errors.code.next;
  const void **children = take_zero(CALVE_ROW_ERROR_COLUMNS * sizeof *children);
  children[CALVE_ROW_ERROR_ROW] = column_array(&row_errors.row, n, false);
  children[CALVE_ROW_ERROR_CODE] = column_array(&row_errors.code, n, false);
  children[CALVE_ROW_ERROR_COLUMN] = column_array(&row_errors.column, n, false);
  children[CALVE_ROW_ERROR_MESSAGE] = column_array(&row_errors.message, n, false);
  return table(n, CALVE_ROW_ERROR_COLUMNS, children);
}

static const result_struct *failed(uint32_t status, const char *message) {
  result_struct *r = take_zero(sizeof *r);
  calve_text t = calve_text_of(message);
  *r = (result_struct){.status = status, .message = t.data, .message_size = t.size};
  return r;
}

static const result_struct *finish_batch(calve_output *outputs) {
  output_struct *structs = take_zero(outputs->n_all * sizeof *structs);
  uint32_t n = 0;
  for (uint32_t i = 0; i < outputs->n_all; i++)
    if (outputs[i].used || i == CALVE_STREAM_MAIN) n += finish_output(&outputs[i], &structs[n]);
  if (failure.status != CALVE_STATUS_OK) return failed(failure.status, failure.message);
  result_struct *r = take_zero(sizeof *r);
  *r = (result_struct){.n_outputs = n, .outputs = structs, .row_errors = finish_errors()};
  return r;
}

// ---- Exports

#define EXPORT(name) __attribute__((export_name(name)))

EXPORT(CALVE_EXPORT_MARKER) void calve_export_marker(void) {}

EXPORT(CALVE_EXPORT_ALLOC) uint32_t calve_export_alloc(uint32_t size) {
  ready();
  uintptr_t at = ALIGN_UP(kept, CALVE_BUFFER_ALIGN);
  return raise_top(at, size) ? (uint32_t)at : 0;
}

static void write_columns(writing *w, calve_columns columns) {
  write_string(w, "[");
  for (uint32_t i = 0; i < columns.n; i++) {
    const calve_column *c = &columns.items[i];
    write_string(w, i > 0 ? ",{\"name\":" : "{\"name\":");
    write_quoted(w, c->name);
    write_string(w, ",\"format\":");
    write_quoted(w, c->format);
    if (c->required) write_string(w, ",\"nullable\":false");
    if (c->initial) {
      write_string(w, ",\"initial\":");
      write_string(w, c->initial);
    }
    if (c->n_children > 0) {
      write_string(w, ",\"children\":");
      write_columns(w, (calve_columns){c->children, c->n_children});
    }
    write_string(w, "}");
  }
  write_string(w, "]");
}

static void write_outputs(writing *w, const calve_plugin *p) {
  write_string(w, ",\"outputs\":[{\"stream\":0,\"columns\":");
  if (p->derive) {
    write_string(w, "\"derived\"");
  } else {
    write_columns(w, p->output);
  }
  for (uint32_t i = 0; i < p->more.n; i++) {
    write_string(w, "},{\"stream\":");
    write_integer(w, i + 1);
    write_string(w, ",\"columns\":");
    write_columns(w, p->more.items[i]);
  }
  write_string(w, "}]");
}

static const char *kind_of(const calve_plugin *p) {
  return p->accumulate ? CALVE_KIND_SESSION : p->decide ? CALVE_KIND_SCD : CALVE_KIND_TRANSFORM;
}

EXPORT(CALVE_EXPORT_DESCRIBE) uint64_t calve_export_describe(void) {
  ready();
  const calve_plugin *p = &calve_registered;
  writing w = begin_writing();
  write_string(&w, "{\"abi\":");
  write_integer(&w, CALVE_VERSION);
  write_string(&w, ",\"name\":");
  write_quoted(&w, p->name);
  write_string(&w, ",\"version\":");
  write_quoted(&w, p->version);
  write_string(&w, ",\"kind\":\"");
  write_string(&w, kind_of(p));
  write_string(&w, "\",\"input\":");
  if (p->input.items) {
    write_columns(&w, p->input);
  } else {
    write_string(&w, "\"any\"");
  }
  write_outputs(&w, p);
  if (p->state.n > 0) {
    write_string(&w, ",\"state\":");
    write_columns(&w, p->state);
  }
  if (p->summary) {
    write_string(&w, ",\"summary\":");
    write_quoted(&w, p->summary);
  }
  if (p->config_schema) {
    write_string(&w, ",\"config_schema\":");
    write_string(&w, p->config_schema);
  }
  if (p->batch_rows_hint) {
    write_string(&w, ",\"batch_rows_hint\":");
    write_integer(&w, p->batch_rows_hint);
  }
  write_string(&w, "}");
  return (uint64_t)(uintptr_t)w.start << 32 | w.size;
}

static calve_columns read_columns(const arrow_schema *s) {
  calve_column *columns = take_zero((uintptr_t)s->n_children * sizeof *columns);
  for (int64_t i = 0; i < s->n_children; i++) {
    const arrow_schema *c = s->children[i];
    calve_columns below = read_columns(c);
    columns[i] = (calve_column){c->name, c->format, !(c->flags & CALVE_FLAG_NULLABLE), below.n, below.items, 0};
  }
  return (calve_columns){columns, (uint32_t)s->n_children};
}

static const arrow_schema *schema_of(const calve_column *c) {
  arrow_schema *s = take_zero(sizeof *s);
  const void **children = take_zero(c->n_children * sizeof *children);
  for (uint32_t i = 0; i < c->n_children; i++) children[i] = schema_of(&c->children[i]);
  *s = (arrow_schema){.format = c->format, .name = c->name, .flags = c->required ? 0 : CALVE_FLAG_NULLABLE,
                      .n_children = c->n_children, .children = children};
  return s;
}

static const result_struct *announce(calve_columns columns) {
  calve_column root = {"", "+s", true, columns.n, columns.items, 0};
  output_struct *o = take_zero(sizeof *o);
  *o = (output_struct){.stream = CALVE_STREAM_MAIN, .schema = schema_of(&root)};
  result_struct *r = take_zero(sizeof *r);
  *r = (result_struct){.n_outputs = 1, .outputs = o};
  return r;
}

static const result_struct *set_up(calve_text json) {
  const calve_plugin *p = &calve_registered;
  calve_text config;
  int64_t schema, beside;
  if (!calve_config_raw(json, "config", &config) || !calve_config_long(json, "input_schema", &schema))
    return failed(CALVE_STATUS_FAILED, "malformed JSON from the host");
  input_columns = read_columns((const arrow_schema *)(uintptr_t)schema);
  if (calve_config_long(json, "state_schema", &beside) && beside)
    beside_columns = read_columns((const arrow_schema *)(uintptr_t)beside);
  const char *why = p->configure ? p->configure(config) : 0;
  n_streams = 1 + p->more.n;
  streams = take_zero(n_streams * sizeof *streams);
  streams[CALVE_STREAM_MAIN] = p->output;
  for (uint32_t i = 0; i < p->more.n; i++) streams[i + 1] = p->more.items[i];
  if (!why && p->derive) why = p->derive(input_columns, &streams[CALVE_STREAM_MAIN]);
  if (why) return failed(CALVE_STATUS_REFUSED, why);
  if (p->derive) return announce(streams[CALVE_STREAM_MAIN]);
  return take_zero(sizeof(result_struct));
}

EXPORT(CALVE_EXPORT_INIT) const void *calve_export_init(const char *json, uint32_t size) {
  const result_struct *r = set_up((calve_text){json, size});
  kept = top;  // the config, the input's columns, and what was made of them
  return r;
}

// Prepares for a call whose output has that many rows.
static void begin_call(int32_t rows) {
  batch_rows = error_rows = rows;
  failure.status = CALVE_STATUS_OK;
  memset(&row_errors, 0, sizeof row_errors);
}

static calve_batch read_rows(const arrow_array *array, calve_columns columns) {
  return (calve_batch){(int32_t)array->length, columns.n, read_vectors(columns, array), CALVE_NO_WATERMARK, 0, array->buffers[0]};
}

static calve_batch read_batch(const batch_struct *b, calve_columns columns) {
  static const calve_column meta[] = {CALVE_STRING(""), CALVE_INT(""), CALVE_LONG(""), CALVE_TIMESTAMPTZ("")};
  calve_batch in = read_rows(b->array, columns);
  in.watermark = b->watermark;
  if (b->meta) in.meta = read_vectors((calve_columns){meta, CALVE_META_COLUMNS}, b->meta);
  return in;
}

static calve_output *begin_outputs(uint32_t n, const calve_columns *columns) {
  calve_output *outputs = take_zero(n * sizeof *outputs);
  for (uint32_t i = 0; i < n; i++) {
    outputs[i].stream = i;
    outputs[i].columns = columns[i];
    outputs[i].builders = take_zero(columns[i].n * sizeof(calve_builder));
    outputs[i].all = outputs;
    outputs[i].n_all = n;
  }
  return outputs;
}

static const result_struct *not_of_kind(const char *kind) {
  return failed(CALVE_STATUS_FAILED, calve_format("the plugin is of kind %s, not %s", kind_of(&calve_registered), kind));
}

EXPORT(CALVE_EXPORT_PROCESS) const void *calve_export_process(const void *address) {
  const batch_struct *b = address;
  const calve_plugin *p = &calve_registered;
  if (!p->transform && !p->decide) return not_of_kind(CALVE_KIND_TRANSFORM);
  begin_call((int32_t)b->array->length);
  calve_batch in = read_batch(b, input_columns);
  calve_output *out = begin_outputs(n_streams, streams);
  if (p->decide) {
    calve_batch in_force = read_rows(b->state, beside_columns);
    out->actions = take_zero((uintptr_t)batch_rows + 1);
    p->decide(&in, &in_force, out);
  } else {
    p->transform(&in, out);
  }
  return finish_batch(out);
}

// The columns of state: the first of those of calve_finish.
static calve_columns state_columns(void) { return (calve_columns){beside_columns.items, calve_registered.state.n}; }

static calve_state begin_state(const calve_batch *rows) {
  calve_output *out = begin_outputs(1, &calve_registered.state);
  out->unset = rows;
  return (calve_state){rows, out};
}

EXPORT(CALVE_EXPORT_ACCUMULATE) const void *calve_export_accumulate(const void *address) {
  const batch_struct *b = address;
  if (!calve_registered.accumulate) return not_of_kind(CALVE_KIND_SESSION);
  begin_call((int32_t)b->state->length);
  error_rows = (int32_t)b->array->length;
  calve_batch in = read_batch(b, input_columns), rows = read_rows(b->state, state_columns());
  calve_state state = begin_state(&rows);
  calve_registered.accumulate(&in, find_input(&in, CALVE_COLUMN_GROUP, "I")->buffers[1], &state);
  return finish_batch(state.out);
}

EXPORT(CALVE_EXPORT_MERGE) const void *calve_export_merge(const void *address) {
  const batch_struct *b = address;
  if (!calve_registered.merge) return not_of_kind(CALVE_KIND_SESSION);
  begin_call((int32_t)b->array->length);
  error_rows = 0;
  calve_batch rows = read_batch(b, state_columns()), from = read_rows(b->state, state_columns());
  calve_state into = begin_state(&rows);
  calve_registered.merge(&into, &from);
  return finish_batch(into.out);
}

EXPORT(CALVE_EXPORT_FINISH) const void *calve_export_finish(const void *address) {
  const batch_struct *b = address;
  if (!calve_registered.finish) return not_of_kind(CALVE_KIND_SESSION);
  begin_call((int32_t)b->array->length);
  calve_batch in = read_batch(b, beside_columns);
  calve_output *out = begin_outputs(n_streams, streams);
  calve_registered.finish(&in, out);
  return finish_batch(out);
}

EXPORT(CALVE_EXPORT_CLOSE) void calve_export_close(void) {}
