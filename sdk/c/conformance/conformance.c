// The conformance plugin of the C SDK: sdk/conformance/README.md says what each
// mode does.
#include "calve.h"

static calve_text config;
static calve_columns input;

typedef void (*mode_function)(const calve_batch *in, calve_output *out);

static void pass(const calve_batch *in, calve_output *out) {
  for (uint32_t i = 0; i < input.n; i++) calve_pass(out, input.items[i].name, in, input.items[i].name);
}

#define COPY(kind, name)                                           \
  {                                                                \
    __auto_type from = calve_read_##kind(in, name);                \
    __auto_type to = calve_build_##kind(out, name);                \
    for (int32_t i = 0; i < calve_rows(in); i++)                   \
      if (!calve_is_null(from, i)) SET_##kind(to, i, from);        \
  }
#define SET_boolean(to, i, from) calve_set_boolean(to, i, calve_boolean_at(from, i))
#define SET_int(to, i, from) calve_set_int(to, i, from.values[i])
#define SET_long(to, i, from) calve_set_long(to, i, from.values[i])
#define SET_float(to, i, from) calve_set_float(to, i, from.values[i])
#define SET_double(to, i, from) calve_set_double(to, i, from.values[i])
#define SET_decimal(to, i, from) calve_set_decimal(to, i, from.values[i])
#define SET_string(to, i, from) calve_set_string(to, i, calve_text_at(from, i))
#define SET_binary(to, i, from) calve_set_binary(to, i, calve_text_at(from, i))
#define SET_date SET_int
#define SET_timestamp SET_long

static void copy_column(const calve_batch *in, calve_output *out, const calve_column *c) {
  switch (c->format[0]) {
    case 'b': COPY(boolean, c->name) break;
    case 'i': COPY(int, c->name) break;
    case 'l': COPY(long, c->name) break;
    case 'f': COPY(float, c->name) break;
    case 'g': COPY(double, c->name) break;
    case 'd': COPY(decimal, c->name) break;
    case 'u': COPY(string, c->name) break;
    case 'z': COPY(binary, c->name) break;
    case 't':
      if (c->format[1] == 'd') {
        COPY(date, c->name)
      } else {
        COPY(timestamp, c->name)
      }
      break;
    default: calve_pass(out, c->name, in, c->name);
  }
}

static void copy(const calve_batch *in, calve_output *out) {
  for (uint32_t i = 0; i < input.n; i++) copy_column(in, out, &input.items[i]);
}

static void values(const calve_batch *in, calve_output *out) {
  pass(in, out);
  const int64_t *id = calve_read_long(in, "id").values;
  int64_t *to = calve_long_values(calve_build_long(out, "id"));
  for (int32_t i = 0; i < calve_rows(in); i++) to[i] = 2 * id[i];
}

static void even(const calve_batch *in, calve_output *out) {
  calve_longs id = calve_read_long(in, "id");
  for (int32_t i = 0; i < calve_rows(in); i++)
    if (id.values[i] % 2 != 0) calve_drop(out, i);
  pass(in, out);
}

static void errors(const calve_batch *in, calve_output *out) {
  calve_longs id = calve_read_long(in, "id");
  for (int32_t i = 0; i < calve_rows(in); i++) {
    int64_t v = id.values[i];
    if (v % 3 == 0) {
      calve_row_error(out, i, "by_three", "id", calve_format("id %l is divisible by %d", v, 3));
      calve_row_error(out, i, "again", 0, "the first error of a row counts");
    } else if (v % 5 == 0) {
      calve_drop(out, i);
    }
  }
  pass(in, out);
}

static void fill(const calve_batch *in, calve_output *out) {
  calve_texts text = calve_read_string(in, "text");
  calve_string_builder *to = calve_build_string(out, "text");
  calve_reserve(to, 8 * (uint32_t)calve_rows(in));
  for (int32_t i = 0; i < calve_rows(in); i++) {
    calve_set_string(to, i, calve_text_or(text, i, CALVE_TEXT("(no")));
    if (calve_is_null(text, i)) calve_append(to, CALVE_TEXT("ne)"));
  }
}

static void explode(const calve_batch *in, calve_output *out) {
  calve_own_rows(out);
  calve_longs ids = calve_read_long(in, "id");
  calve_texts texts = calve_read_string(in, "text");
  calve_long_builder *id = calve_build_long(out, "id");
  calve_string_builder *word = calve_build_string(out, "word");
  for (int32_t i = 0; i < calve_rows(in); i++) {
    calve_text t = calve_text_at(texts, i);
    for (uint32_t start = 0, end; start < t.size; start = end + 1) {
      for (end = start; end < t.size && t.data[end] != ' ';) end++;
      if (end == start) continue;
      int32_t row = calve_add_row(out, i);
      calve_set_long(id, row, ids.values[i]);
      calve_set_string(word, row, (calve_text){t.data + start, end - start});
    }
  }
}

static void route(const calve_batch *in, calve_output *out) {
  calve_longs id = calve_read_long(in, "id");
  calve_output *other = calve_stream(out, 1);
  for (int32_t i = 0; i < calve_rows(in); i++) {
    if (id.values[i] >= 0) continue;
    calve_drop(out, i);
    calve_own_rows(other);
    int32_t row = calve_add_row(other, i);
    calve_set_long(calve_build_long(other, "id"), row, id.values[i]);
    calve_set_string(calve_build_string(other, "why"), row, CALVE_TEXT("negative"));
  }
  pass(in, out);
}

static void sparse(const calve_batch *in, calve_output *out) {
  calve_longs id = calve_read_long(in, "id");
  calve_texts text = calve_read_string(in, "text");
  calve_long_builder *number = calve_build_long(out, "number");
  calve_string_builder *word = calve_build_string(out, "word"), *raw = calve_build_binary(out, "raw");
  calve_boolean_builder *flag = calve_build_boolean(out, "flag");
  calve_decimal_builder *amount = calve_build_decimal(out, "amount");
  for (int32_t i = calve_rows(in) - 1; i >= 0; i--) calve_set_long(number, i, id.values[i]);
  for (int32_t i = 0; i < calve_rows(in); i++) {
    if (i % 4 == 0) calve_set_null(number, i);
    if (i % 3 == 0) {
      calve_set_string(word, i, calve_text_at(text, i));
      calve_set_binary(raw, i, calve_text_at(text, i));
    }
    if (i % 2 == 0) {
      calve_set_boolean(flag, i, id.values[i] % 2 != 0);
    } else {
      calve_set_decimal(amount, i, id.values[i]);
    }
  }
}

static void timestamps(const calve_batch *in, calve_output *out) {
  calve_texts text = calve_read_string(in, "text");
  calve_long_builder *at = calve_build_timestamp(out, "at");
  int64_t us;
  for (int32_t i = 0; i < calve_rows(in); i++)
    if (calve_parse_timestamp(calve_text_at(text, i), &us)) calve_set_long(at, i, us);
}

static void positions(const calve_batch *in, calve_output *out) {
  calve_string_builder *topic = calve_build_string(out, "topic");
  calve_int_builder *partition = calve_build_int(out, "partition");
  calve_long_builder *offset = calve_build_long(out, "offset"), *at = calve_build_timestamp(out, "at");
  calve_position p;
  for (int32_t i = 0; i < calve_rows(in); i++) {
    if (!calve_position_of(in, i, &p)) continue;
    calve_set_string(topic, i, p.topic);
    calve_set_int(partition, i, p.partition);
    calve_set_long(offset, i, p.offset);
    calve_set_long(at, i, p.timestamp);
  }
  int64_t watermark;
  if (calve_watermark(in, &watermark)) calve_count("watermark", watermark);
}

static void members(const calve_batch *in, calve_output *out) {
  calve_string_builder *text = calve_build_string(out, "text");
  calve_double_builder *number = calve_build_double(out, "number");
  calve_long_builder *count = calve_build_long(out, "count");
  calve_boolean_builder *flag = calve_build_boolean(out, "flag");
  for (int32_t i = 0; i < calve_rows(in); i++) {
    calve_text t;
    double n;
    int64_t c;
    bool f;
    if (calve_config_string(config, "text", &t)) calve_set_string(text, i, t);
    if (calve_config_double(config, "number", &n)) calve_set_double(number, i, n);
    if (calve_config_long(config, "count", &c)) calve_set_long(count, i, c);
    if (calve_config_boolean(config, "flag", &f)) calve_set_boolean(flag, i, f);
  }
}

static void logs(const calve_batch *in, calve_output *out) {
  calve_text t = {0};
  calve_config_string(config, "text", &t);
  calve_log(CALVE_LEVEL_INFO, calve_format("an info line: %t", t));
  calve_log(CALVE_LEVEL_DEBUG, "a debug line");
  pass(in, out);
}

static void metrics(const calve_batch *in, calve_output *out) {
  calve_count("batches", 1);
  calve_count("rows", calve_rows(in));
  calve_observe("sizes", calve_rows(in));
  calve_observe("sizes", 0.5);
  pass(in, out);
}

// The first row whose text is that, or -1.
static int32_t row_with(const calve_batch *in, calve_text wanted) {
  calve_texts text = calve_read_string(in, "text");
  for (int32_t i = 0; i < calve_rows(in); i++)
    if (calve_text_equal(calve_text_at(text, i), wanted)) return i;
  return -1;
}

static void fail(const calve_batch *in, calve_output *out) {
  int32_t row = row_with(in, CALVE_TEXT("fail"));
  if (row >= 0) calve_fail(calve_format("row %d is refused", row));
  pass(in, out);
}

static void trap(const calve_batch *in, calve_output *out) {
  if (row_with(in, CALVE_TEXT("trap")) >= 0) __builtin_trap();
  pass(in, out);
}

static void forget(const calve_batch *in, calve_output *out) { (void)in, (void)out; }

static void missing(const calve_batch *in, calve_output *out) {
  calve_read_long(in, "nope");
  pass(in, out);
}

static void mistype(const calve_batch *in, calve_output *out) {
  calve_read_long(in, "text");
  pass(in, out);
}

static void undeclared(const calve_batch *in, calve_output *out) {
  calve_build_long(out, "nope");
  pass(in, out);
}

static void misbuild(const calve_batch *in, calve_output *out) {
  calve_build_long(out, "text");
  pass(in, out);
}

static void backwards(const calve_batch *in, calve_output *out) {
  pass(in, out);
  calve_string_builder *text = calve_build_string(out, "text");
  calve_set_string(text, 1, CALVE_TEXT("b"));
  calve_set_string(text, 0, CALVE_TEXT("a"));
}

static void nostream(const calve_batch *in, calve_output *out) {
  calve_stream(out, 7);
  pass(in, out);
}

static void ownpass(const calve_batch *in, calve_output *out) {
  calve_own_rows(out);
  calve_pass(out, "id", in, "id");
}

static const struct {
  const char *name;
  mode_function run;
  calve_columns output;  // none: those of the input
} modes[] = {
    {"pass", pass, {0}},
    {"copy", copy, {0}},
    {"values", values, {0}},
    {"even", even, {0}},
    {"errors", errors, {0}},
    {"fill", fill, CALVE_COLUMNS(CALVE_STRING("text"))},
    {"explode", explode, CALVE_COLUMNS(CALVE_LONG("id", .required = true), CALVE_STRING("word", .required = true))},
    {"route", route, {0}},
    {"sparse", sparse,
     CALVE_COLUMNS(CALVE_LONG("number"), CALVE_STRING("word"), CALVE_BINARY("raw"), CALVE_BOOLEAN("flag"),
                   CALVE_DECIMAL("amount", 20, 2))},
    {"timestamps", timestamps, CALVE_COLUMNS(CALVE_TIMESTAMPTZ("at"))},
    {"positions", positions,
     CALVE_COLUMNS(CALVE_STRING("topic"), CALVE_INT("partition"), CALVE_LONG("offset"), CALVE_TIMESTAMPTZ("at"))},
    {"config", members,
     CALVE_COLUMNS(CALVE_STRING("text"), CALVE_DOUBLE("number"), CALVE_LONG("count"), CALVE_BOOLEAN("flag"))},
    {"log", logs, {0}},
    {"metrics", metrics, {0}},
    {"fail", fail, {0}},
    {"trap", trap, {0}},
    {"forget", forget, {0}},
    {"missing", missing, {0}},
    {"mistype", mistype, {0}},
    {"undeclared", undeclared, {0}},
    {"misbuild", misbuild, {0}},
    {"backwards", backwards, {0}},
    {"nostream", nostream, {0}},
    {"ownpass", ownpass, {0}},
};

static uint32_t mode;

static const char *configure(calve_text json) {
  config = json;
  calve_text name = {0};
  calve_config_string(config, "mode", &name);
  for (mode = 0; mode < sizeof modes / sizeof modes[0]; mode++)
    if (calve_text_equal(calve_text_of(modes[mode].name), name)) return 0;
  return calve_format("mode \"%t\" is unknown", name);
}

static const char *derive(calve_columns columns, calve_columns *output) {
  input = columns;
  *output = modes[mode].output.n > 0 ? modes[mode].output : columns;
  return 0;
}

static void transform(const calve_batch *in, calve_output *out) { modes[mode].run(in, out); }

CALVE_PLUGIN(.name = "conformance", .version = "1.2.3", .summary = "does \"what its config says\"",
             .config_schema = "{\"type\":\"object\"}", .batch_rows_hint = 4096, .configure = configure, .derive = derive,
             .more = CALVE_STREAMS(CALVE_COLUMNS(CALVE_LONG("id"), CALVE_STRING("why"))), .transform = transform)
