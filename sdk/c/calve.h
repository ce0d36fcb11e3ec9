// SDK for Calve plugins written in C: C11, clang, no library.
//
//	#include "calve.h"
//
//	static void transform(const calve_batch *in, calve_output *out) {
//	  calve_pass(out, "order_id", in, "id");  // the same column, not copied
//	  calve_doubles price = calve_read_double(in, "price");
//	  calve_double_builder *gross = calve_build_double(out, "gross");
//	  for (int32_t i = 0; i < calve_rows(in); i++) {
//	    if (calve_is_null(price, i)) continue;  // rows not set are null
//	    if (price.values[i] < 0)
//	      calve_row_error(out, i, "negative_price", "price", "a price cannot be negative");
//	    else
//	      calve_set_double(gross, i, price.values[i] * 1.2);
//	  }
//	}
//
//	CALVE_PLUGIN(.name = "orders", .version = "1.0.0",
//	             .input = CALVE_COLUMNS(CALVE_LONG("id"), CALVE_DOUBLE("price")),
//	             .output = CALVE_COLUMNS(CALVE_LONG("order_id"), CALVE_DOUBLE("gross")),
//	             .transform = transform)
//
// The same input must give the same output: there is no clock, no randomness, no
// file and no network, and a transform keeps nothing from one batch to the next,
// since any instance may get any batch. What it reads and what it allocates is
// valid until it returns.
//
// A mistake, such as asking for a column that is not there, fails the batch with
// a message that names it; the transform goes on with rows that are all null.
#ifndef CALVE_H
#define CALVE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calve_abi.h"

// Text, or bytes: not terminated. 16 bytes behind it must be readable, as they
// are behind the input, literals, the stack and all that the SDK allocates.
typedef struct {
  const char *data;
  uint32_t size;
} calve_text;

// The text of a literal, and of a terminated string.
#define CALVE_TEXT(literal) ((calve_text){"" literal, sizeof(literal) - 1})
calve_text calve_text_of(const char *terminated);

static inline bool calve_text_equal(calve_text a, calve_text b) {
  if (a.size != b.size) return false;
  uint32_t i = 0;
  for (; i + 8 <= a.size; i += 8) {
    uint64_t x, y;
    __builtin_memcpy(&x, a.data + i, 8);
    __builtin_memcpy(&y, b.data + i, 8);
    if (x != y) return false;
  }
  for (; i < a.size; i++)
    if (a.data[i] != b.data[i]) return false;
  return true;
}

// ---- Declarations

// A column or nested field: its name, and its type as a format string of the
// Arrow C Data Interface. Make one with CALVE_LONG and the like, whose names are
// those of data_type in a model. Columns may be null unless required:
// CALVE_LONG("id", .required = true). A column of state may have an initial value,
// as JSON: CALVE_LONG("views", .initial = "0").
typedef struct calve_column {
  const char *name;
  const char *format;
  bool required;
  uint32_t n_children;
  const struct calve_column *children;
  const char *initial;  // of a column of state; none: null
} calve_column;

typedef struct {
  const calve_column *items;
  uint32_t n;
} calve_columns;

typedef struct {
  const calve_columns *items;
  uint32_t n;
} calve_streams;

#define CALVE_BOOLEAN(column, ...) {.name = column, .format = "b", __VA_ARGS__}
#define CALVE_INT(column, ...) {.name = column, .format = "i", __VA_ARGS__}
#define CALVE_LONG(column, ...) {.name = column, .format = "l", __VA_ARGS__}
#define CALVE_FLOAT(column, ...) {.name = column, .format = "f", __VA_ARGS__}
#define CALVE_DOUBLE(column, ...) {.name = column, .format = "g", __VA_ARGS__}
#define CALVE_STRING(column, ...) {.name = column, .format = "u", __VA_ARGS__}
#define CALVE_BINARY(column, ...) {.name = column, .format = "z", __VA_ARGS__}
// Days since 1970-01-01.
#define CALVE_DATE(column, ...) {.name = column, .format = "tdD", __VA_ARGS__}
// Microseconds since 1970-01-01 00:00:00, without a time zone and in UTC.
#define CALVE_TIMESTAMP(column, ...) {.name = column, .format = "tsu:", __VA_ARGS__}
#define CALVE_TIMESTAMPTZ(column, ...) {.name = column, .format = "tsu:UTC", __VA_ARGS__}
// precision digits (1 to 38), scale of them after the point.
#define CALVE_DECIMAL(column, precision, scale, ...) \
  {.name = column, .format = "d:" #precision "," #scale, __VA_ARGS__}
// Nested columns can be passed through, not read or built.
#define CALVE_NESTED(column, type, ...)                                                \
  {.name = column, .format = type, .n_children = CALVE_COUNT(calve_column, __VA_ARGS__), \
   .children = (const calve_column[]){__VA_ARGS__}}
#define CALVE_LIST(column, ...) CALVE_NESTED(column, "+l", __VA_ARGS__)
#define CALVE_STRUCT(column, ...) CALVE_NESTED(column, "+s", __VA_ARGS__)
// A map's key must be required.
#define CALVE_MAP(column, ...) \
  {.name = column, .format = "+m", .n_children = 1, \
   .children = (const calve_column[]){{"entries", "+s", true, 2, (const calve_column[]){__VA_ARGS__}, 0}}}

#define CALVE_COUNT(type, ...) (sizeof((const type[]){__VA_ARGS__}) / sizeof(type))
#define CALVE_COLUMNS(...) {(const calve_column[]){__VA_ARGS__}, CALVE_COUNT(calve_column, __VA_ARGS__)}
#define CALVE_STREAMS(...) {(const calve_columns[]){__VA_ARGS__}, CALVE_COUNT(calve_columns, __VA_ARGS__)}

typedef struct calve_batch calve_batch;
typedef struct calve_output calve_output;
typedef struct calve_state calve_state;

// A plugin. Its functions say of what kind it is: transform has one of that name;
// session has accumulate, merge and finish; scd has decide.
typedef struct {
  const char *name;     // required
  const char *version;  // required, as the author counts
  const char *summary;  // one line for a listing

  // The columns that the plugin reads of its rows; none for any. The model may
  // hand over more.
  calve_columns input;

  // The columns that it makes, which must be those of the model, and those of
  // further streams, 1 and up, for routing.
  calve_columns output;
  calve_streams more;
  // Computes output from the input's columns instead. Called once, after
  // configure. Returns null, or why the model is refused.
  const char *(*derive)(calve_columns input, calve_columns *output);

  // A JSON Schema of the plugin's config.
  const char *config_schema;
  // Called once, before the first batch, with the config of the model as JSON
  // ("null" if there is none). Returns null, or why it is refused. What it
  // allocates stays.
  const char *(*configure)(calve_text config);

  // Makes the outputs of a batch. calve_fail and a trap fail the batch: the host
  // then tries its rows in smaller batches, to find those that are at fault. Use
  // calve_row_error for rows known to be.
  void (*transform)(const calve_batch *in, calve_output *out);

  // The columns of a session's state. The host owns it, with the keys and gaps; a
  // new session begins with the initial values.
  calve_columns state;
  // Adds rows to the state of their groups: row i is of row groups[i] of state.
  // Rows are sorted by group and event time. A row that is reported as an error
  // must not have changed the state.
  void (*accumulate)(const calve_batch *in, const uint32_t *groups, calve_state *state);
  // Joins sessions that became one, row by row; into is the earlier.
  void (*merge)(calve_state *into, const calve_batch *from);
  // Makes the output of sessions: their state and _key, _start, _end (timestamps),
  // _count (long) and _closed (boolean).
  void (*finish)(const calve_batch *in, calve_output *out);

  // Sets the action of each change, and the attributes to store. changes has _op
  // (string: c, u, d or r), _effective_at (timestamp) and the attributes; row i of
  // in_force is the version that row i would change, which calve_is_there tells.
  // Rows cannot be dropped: ignore them.
  void (*decide)(const calve_batch *changes, const calve_batch *in_force, calve_output *out);

  uint32_t batch_rows_hint;  // the number of rows that suits it
} calve_plugin;

extern const calve_plugin calve_registered;

// The module's plugin, once, at file scope.
#define CALVE_PLUGIN(...) const calve_plugin calve_registered = {__VA_ARGS__};

// ---- Input

typedef struct calve_vector calve_vector;

// The rows of one call.
struct calve_batch {
  int32_t rows;
  uint32_t n_columns;
  const calve_vector *columns;
  int64_t watermark;
  const calve_vector *meta;
  const uint8_t *present;  // of versions in force; null: all rows are there
};

static inline int32_t calve_rows(const calve_batch *in) { return in->rows; }

// The model's event time watermark in microseconds since 1970-01-01 UTC; false
// while there is none.
static inline bool calve_watermark(const calve_batch *in, int64_t *us) {
  *us = in->watermark;
  return in->watermark != CALVE_NO_WATERMARK;
}

// The place of a Kafka record. timestamp is in microseconds since 1970-01-01 UTC.
typedef struct {
  calve_text topic;
  int32_t partition;
  int64_t offset;
  int64_t timestamp;
} calve_position;

// Which Kafka record a row came from; false for a batch that did not come from
// Kafka.
bool calve_position_of(const calve_batch *in, int32_t row, calve_position *position);

// Columns of the input. values[i] of a null is unspecified. valid is null where
// there are no nulls, else a bit a row.
typedef struct {
  const int32_t *values;
  const uint8_t *valid;
} calve_ints;
typedef struct {
  const int64_t *values;
  const uint8_t *valid;
} calve_longs;
typedef struct {
  const float *values;
  const uint8_t *valid;
} calve_floats;
typedef struct {
  const double *values;
  const uint8_t *valid;
} calve_doubles;
typedef struct {
  const uint8_t *bits;
  const uint8_t *valid;
} calve_booleans;
// Row i is size(i) bytes: use calve_text_at.
typedef struct {
  const int32_t *offsets;
  const char *data;
  const uint8_t *valid;
} calve_texts;
// Unscaled values: 1234 with scale 2 is 12.34.
typedef __int128 calve_decimal;
typedef struct {
  const calve_decimal *values;
  const uint8_t *valid;
} calve_decimals;

calve_booleans calve_read_boolean(const calve_batch *in, const char *name);
calve_ints calve_read_int(const calve_batch *in, const char *name);
calve_longs calve_read_long(const calve_batch *in, const char *name);
calve_floats calve_read_float(const calve_batch *in, const char *name);
calve_doubles calve_read_double(const calve_batch *in, const char *name);
calve_decimals calve_read_decimal(const calve_batch *in, const char *name);
calve_texts calve_read_string(const calve_batch *in, const char *name);
calve_texts calve_read_binary(const calve_batch *in, const char *name);
calve_ints calve_read_date(const calve_batch *in, const char *name);
calve_longs calve_read_timestamp(const calve_batch *in, const char *name);

static inline bool calve_bit(const uint8_t *bits, int32_t i) { return bits[i >> 3] >> (i & 7) & 1; }

// Whether row i is null: of any column.
#define calve_is_null(column, i) ((column).valid && !calve_bit((column).valid, (i)))
// The value of row i, or instead when it is null: of columns with values.
#define calve_or(column, i, instead) (calve_is_null(column, i) ? (instead) : (column).values[i])

static inline bool calve_boolean_at(calve_booleans c, int32_t i) { return calve_bit(c.bits, i); }

// The text of row i, empty for a null.
static inline calve_text calve_text_at(calve_texts c, int32_t i) {
  if (calve_is_null(c, i)) return (calve_text){c.data, 0};
  return (calve_text){c.data + c.offsets[i], (uint32_t)(c.offsets[i + 1] - c.offsets[i])};
}

static inline calve_text calve_text_or(calve_texts c, int32_t i, calve_text instead) {
  if (calve_is_null(c, i)) return instead;
  return (calve_text){c.data + c.offsets[i], (uint32_t)(c.offsets[i + 1] - c.offsets[i])};
}

// Whether row i is there: of the versions in force, those that there are; of other
// batches, all.
static inline bool calve_is_there(const calve_batch *in, int32_t i) { return !in->present || calve_bit(in->present, i); }

// ---- Output

// As a rule an output has a row for each row of the input, at the same place:
// rows not set are null, and rows dropped or reported as errors are left out.
// Where one input row makes several rows, call calve_own_rows first, begin each
// output row with calve_add_row, and set its number.

typedef struct calve_builder {
  calve_output *output;
  uint8_t *valid;
  void *values;      // of fixed width; of strings their bytes
  int32_t *offsets;  // of strings: where row i begins; the last is where the next one will
  int32_t capacity;  // rows that there is room for
  int32_t next;      // of strings: the row behind the last one that was set
  uint32_t size, room, width;
  const calve_vector *passed;
} calve_builder;

typedef struct {
  calve_builder b;
} calve_boolean_builder;
typedef struct {
  calve_builder b;
} calve_int_builder;
typedef struct {
  calve_builder b;
} calve_long_builder;
typedef struct {
  calve_builder b;
} calve_float_builder;
typedef struct {
  calve_builder b;
} calve_double_builder;
typedef struct {
  calve_builder b;
} calve_decimal_builder;
typedef struct {
  calve_builder b;
} calve_string_builder;

// Begin a column that the plugin declares; asked for again, the same one.
calve_boolean_builder *calve_build_boolean(calve_output *out, const char *name);
calve_int_builder *calve_build_int(calve_output *out, const char *name);
calve_long_builder *calve_build_long(calve_output *out, const char *name);
calve_float_builder *calve_build_float(calve_output *out, const char *name);
calve_double_builder *calve_build_double(calve_output *out, const char *name);
calve_decimal_builder *calve_build_decimal(calve_output *out, const char *name);
calve_string_builder *calve_build_string(calve_output *out, const char *name);
calve_string_builder *calve_build_binary(calve_output *out, const char *name);
calve_int_builder *calve_build_date(calve_output *out, const char *name);
calve_long_builder *calve_build_timestamp(calve_output *out, const char *name);

// Makes an input column an output column, without copying it.
void calve_pass(calve_output *out, const char *name, const calve_batch *in, const char *column);

// Leaves row i out: a filtered row.
void calve_drop(calve_output *out, int32_t i);

// Reports that input row i cannot be used: it is left out of every output and
// becomes a dead letter with its original bytes. code is the reason to count by
// (lower case, digits and underscores), column the input column at fault (null
// if none in particular), message is for a person. The first error of a row
// counts.
void calve_row_error(calve_output *out, int32_t i, const char *code, const char *column, const char *message);

// Says that the output's rows are those of calve_add_row, none before the first.
// Columns cannot be passed through then, nor rows dropped.
void calve_own_rows(calve_output *out);

// Begins an output row made of input row i and returns its number, which is what
// setting a column takes. Input rows must come in order.
int32_t calve_add_row(calve_output *out, int32_t i);

// The output of another stream of a plugin that declares several; 0 is the
// output itself. A stream other than 0 that is not touched is empty for this
// batch.
calve_output *calve_stream(calve_output *out, uint32_t stream);

// Sets what to do with change i: CALVE_ACTION_IGNORE, _OVERWRITE, _NEW_VERSION or
// _DELETE. A change without an action is ignored. Only decide has actions.
void calve_set_action(calve_output *out, int32_t i, uint32_t action);

// Fails the batch. The first failure counts. With CALVE_STATUS_RETRY the host
// tries the batch once more; from CALVE_STATUS_OWN on a status is the plugin's
// own.
void calve_fail(const char *message);
void calve_fail_with(uint32_t status, const char *message);

// Room for row i; false, and the batch fails, where it cannot be.
bool calve_make_room(calve_builder *b, int32_t i);

#define CALVE_DEFINE_SET(name, type)                                               \
  static inline void calve_set_##name(calve_##name##_builder *b, int32_t i, type v) { \
    if ((uint32_t)i >= (uint32_t)b->b.capacity && !calve_make_room(&b->b, i)) return; \
    ((type *)b->b.values)[i] = v;                                                  \
    b->b.valid[i >> 3] |= (uint8_t)(1 << (i & 7));                                 \
  }

// Set row i. Rows may be set in any order.
CALVE_DEFINE_SET(int, int32_t)
CALVE_DEFINE_SET(long, int64_t)
CALVE_DEFINE_SET(float, float)
CALVE_DEFINE_SET(double, double)
CALVE_DEFINE_SET(decimal, calve_decimal)

static inline void calve_set_boolean(calve_boolean_builder *b, int32_t i, bool v) {
  if ((uint32_t)i >= (uint32_t)b->b.capacity && !calve_make_room(&b->b, i)) return;
  uint8_t *byte = (uint8_t *)b->b.values + (i >> 3), bit = (uint8_t)(1 << (i & 7));
  *byte = v ? *byte | bit : *byte & (uint8_t)~bit;
  b->b.valid[i >> 3] |= bit;
}

// Makes row i of a column null again; not of strings and bytes.
#define calve_set_null(builder, i) calve_clear_row(&(builder)->b, (i))
void calve_clear_row(calve_builder *b, int32_t i);

// Every row of the batch, marked as set, to be written: faster than row by row.
void *calve_all_rows(calve_builder *b);
static inline int32_t *calve_int_values(calve_int_builder *b) { return calve_all_rows(&b->b); }
static inline int64_t *calve_long_values(calve_long_builder *b) { return calve_all_rows(&b->b); }
static inline float *calve_float_values(calve_float_builder *b) { return calve_all_rows(&b->b); }
static inline double *calve_double_values(calve_double_builder *b) { return calve_all_rows(&b->b); }
static inline calve_decimal *calve_decimal_values(calve_decimal_builder *b) { return calve_all_rows(&b->b); }

// Copies bytes in pieces of 16, since most texts are short: up to 15 bytes too
// many, which the source must have and the target must have room for.
static inline void calve_copy(char *to, const char *from, uint32_t n) {
  __asm__("" : "+r"(from));  // what lies behind a literal is in memory, too
  for (uint32_t i = 0; i < n; i += 16) __builtin_memcpy(to + i, from + i, 16);
}

// Room for n more bytes behind row i, which must come after every row set
// before; false, and the batch fails, where it cannot be.
bool calve_make_text_room(calve_builder *b, int32_t i, uint32_t n);

// Sets row i, which must come after every row set before. Text must be UTF-8.
static inline void calve_set_string(calve_string_builder *b, int32_t i, calve_text v) {
  calve_builder *c = &b->b;
  if ((i != c->next || i >= c->capacity || v.size + 16 > c->room - c->size) && !calve_make_text_room(c, i, v.size)) return;
  calve_copy((char *)c->values + c->size, v.data, v.size);
  c->size += v.size;
  c->next = i + 1;
  c->offsets[i + 1] = (int32_t)c->size;
  c->valid[i >> 3] |= (uint8_t)(1 << (i & 7));
}
static inline void calve_set_binary(calve_string_builder *b, int32_t i, calve_text v) { calve_set_string(b, i, v); }

// Adds to the row that was set last.
void calve_append(calve_string_builder *b, calve_text more);

// Room for that many bytes of text in all, to spare growing.
void calve_reserve(calve_string_builder *b, uint32_t bytes);

// ---- State

// State of sessions, a row each. What is not set stays as it is. Columns of strings
// and bytes are read from rows and built anew in out, every row of them; others
// are changed where they lie, by calve_state_long and the like.
struct calve_state {
  const calve_batch *rows;
  calve_output *out;
};

static inline int32_t calve_state_rows(const calve_state *state) { return state->rows->rows; }

// Columns of state, to be read, as those of the input, and changed. values may be
// written as they are where no row is null; else use calve_put.
typedef struct {
  int32_t *values;
  uint8_t *valid;
} calve_state_ints;
typedef struct {
  int64_t *values;
  uint8_t *valid;
} calve_state_longs;
typedef struct {
  float *values;
  uint8_t *valid;
} calve_state_floats;
typedef struct {
  double *values;
  uint8_t *valid;
} calve_state_doubles;
typedef struct {
  calve_decimal *values;
  uint8_t *valid;
} calve_state_decimals;
typedef struct {
  uint8_t *bits;
  uint8_t *valid;
} calve_state_booleans;

calve_state_booleans calve_state_boolean(calve_state *state, const char *name);
calve_state_ints calve_state_int(calve_state *state, const char *name);
calve_state_longs calve_state_long(calve_state *state, const char *name);
calve_state_floats calve_state_float(calve_state *state, const char *name);
calve_state_doubles calve_state_double(calve_state *state, const char *name);
calve_state_decimals calve_state_decimal(calve_state *state, const char *name);
calve_state_ints calve_state_date(calve_state *state, const char *name);
calve_state_longs calve_state_timestamp(calve_state *state, const char *name);

// Sets row i of a column of state with values, and makes row i of any null. They
// name i more than once.
#define calve_put(column, i, v) \
  ((column).values[i] = (v), (column).valid[(i) >> 3] |= (uint8_t)(1 << ((i)&7)), (void)0)
#define calve_put_null(column, i) ((column).valid[(i) >> 3] &= (uint8_t) ~(1 << ((i)&7)), (void)0)

static inline void calve_put_boolean(calve_state_booleans c, uint32_t i, bool v) {
  uint8_t bit = (uint8_t)(1 << (i & 7));
  c.bits[i >> 3] = v ? c.bits[i >> 3] | bit : c.bits[i >> 3] & (uint8_t)~bit;
  c.valid[i >> 3] |= bit;
}

// ---- The host

// Writes a line to the log of the pipeline; level is CALVE_LEVEL_INFO and the
// like. The host bounds what a batch may log.
void calve_log(uint32_t level, const char *message);
// Whether lines of that level are kept, so that making one can be spared.
bool calve_log_enabled(uint32_t level);
// Adds to a counter of the plugin. What a batch counts that fails is not kept.
void calve_count(const char *name, int64_t delta);
// Adds a value to a histogram of the plugin.
void calve_observe(const char *name, double value);

// ---- Helpers

// Memory, aligned to 16 bytes, zero: until the transform returns, or for good
// when it is called while the plugin is configured.
void *calve_alloc_bytes(size_t n);

// A terminated string, made as printf would: %s a terminated string, %t a
// calve_text, %d an int, %l an int64_t, %% a percent sign.
const char *calve_format(const char *format, ...);

// Reads RFC 3339 text, 2026-01-02T03:04:05.678+09:00, as microseconds since
// 1970-01-01 UTC; what is finer is cut off.
bool calve_parse_timestamp(calve_text text, int64_t *us);
// Reads YYYY-MM-DD as days since 1970-01-01.
bool calve_parse_date(calve_text text, int32_t *days);
// Reads a whole number.
bool calve_parse_long(calve_text text, int64_t *value);
// Reads a decimal number: the nearest double for up to 15 digits and an exponent
// within 22, else one within a unit of the last place.
bool calve_parse_double(calve_text text, double *value);

// Members of a JSON object at its top level; false where the object has none of
// that name and type.
bool calve_config_string(calve_text object, const char *name, calve_text *value);
bool calve_config_double(calve_text object, const char *name, double *value);
bool calve_config_long(calve_text object, const char *name, int64_t *value);
bool calve_config_boolean(calve_text object, const char *name, bool *value);
// The JSON text of a member, for what the others do not read.
bool calve_config_raw(calve_text object, const char *name, calve_text *value);

#endif
