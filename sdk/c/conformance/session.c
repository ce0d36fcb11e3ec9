// The conformance plugin of the C SDK for sessions: sdk/conformance/README.md says
// what it does.
#include "calve.h"

// The columns of fixed width that rows and state have in common.
#define EACH_COLUMN(of)    \
  of(int, small, int)      \
  of(long, big, long)      \
  of(float, single, float) \
  of(double, double, double) \
  of(decimal, amount, decimal) \
  of(date, day, int)       \
  of(timestamp, at, long)  \
  of(timestamp, at_utc, long)

#define DECLARE(kind, name, type) \
  calve_##type##s name##_in;      \
  calve_state_##type##s name##_to;
#define READ(kind, name, type)                           \
  c.name##_in = calve_read_##kind(from, #name);            \
  c.name##_to = calve_state_##kind(state, #name);
#define TAKE(kind, name, type) \
  if (!calve_is_null(c->name##_in, i)) calve_put(c->name##_to, g, c->name##_in.values[i]);
#define FORGET(kind, name, type) calve_put_null(c->name##_to, g);

typedef struct {
  calve_booleans flag_in;
  calve_state_booleans flag_to;
  EACH_COLUMN(DECLARE)
} columns;

static columns columns_of(const calve_batch *from, calve_state *state) {
  columns c;
  c.flag_in = calve_read_boolean(from, "flag");
  c.flag_to = calve_state_boolean(state, "flag");
  EACH_COLUMN(READ)
  return c;
}

// What is not null in row i of the one becomes row g of the state.
static void take(columns *c, int32_t i, uint32_t g) {
  if (!calve_is_null(c->flag_in, i)) calve_put_boolean(c->flag_to, g, calve_boolean_at(c->flag_in, i));
  EACH_COLUMN(TAKE)
}

static void forget(columns *c, uint32_t g) {
  calve_put_null(c->flag_to, g);
  EACH_COLUMN(FORGET)
}

// Does what the text asks for; true if it asks for a row error.
static bool refuses(const char *what, calve_text text, int32_t i) {
  if (calve_text_equal(text, CALVE_TEXT("trap"))) __builtin_trap();
  if (calve_text_equal(text, CALVE_TEXT("fail"))) calve_fail(calve_format("%s %d fails", what, i));
  return calve_text_equal(text, CALVE_TEXT("refuse"));
}

static void refuse(calve_output *out, const char *what, const char *column, int32_t i) {
  calve_row_error(out, i, "refused", column, calve_format("this %s is refused", what));
}

static void accumulate(const calve_batch *in, const uint32_t *groups, calve_state *state) {
  columns c = columns_of(in, state);
  calve_state_longs rows = calve_state_long(state, "rows");
  calve_texts text = calve_read_string(in, "text"), raw = calve_read_binary(in, "raw");
  calve_texts old_text = calve_read_string(state->rows, "texts"), old_raw = calve_read_binary(state->rows, "raw");
  calve_string_builder *texts = calve_build_string(state->out, "texts"), *raws = calve_build_binary(state->out, "raw");
  int32_t i = 0;
  for (int32_t g = 0; g < calve_state_rows(state); g++) {
    calve_text last = calve_text_at(old_raw, g);
    bool any = !calve_is_null(old_raw, g);
    calve_set_string(texts, g, calve_text_at(old_text, g));
    for (; i < calve_rows(in) && groups[i] == (uint32_t)g; i++) {
      calve_text t = calve_text_at(text, i);
      if (refuses("row", t, i)) {
        refuse(state->out, "row", "text", i);
        continue;
      }
      rows.values[g]++;
      if (calve_text_equal(t, CALVE_TEXT("forget"))) {
        forget(&c, (uint32_t)g);
        continue;
      }
      take(&c, i, (uint32_t)g);
      calve_append(texts, t);
      if (!calve_is_null(raw, i)) any = true, last = calve_text_at(raw, i);
    }
    if (any) calve_set_binary(raws, g, last);
  }
}

static void merge(calve_state *into, const calve_batch *from) {
  columns c = columns_of(from, into);
  calve_state_longs rows = calve_state_long(into, "rows");
  calve_longs more = calve_read_long(from, "rows");
  calve_texts text = calve_read_string(into->rows, "texts"), raw = calve_read_binary(into->rows, "raw");
  calve_texts new_text = calve_read_string(from, "texts"), new_raw = calve_read_binary(from, "raw");
  calve_string_builder *texts = calve_build_string(into->out, "texts"), *raws = calve_build_binary(into->out, "raw");
  for (int32_t i = 0; i < calve_rows(from); i++) {
    calve_text t = calve_text_at(new_text, i);
    if (refuses("pair", t, i)) refuse(into->out, "pair", "texts", i);
    rows.values[i] += more.values[i];
    take(&c, i, (uint32_t)i);
    calve_set_string(texts, i, calve_text_at(text, i));
    calve_append(texts, CALVE_TEXT("+"));
    calve_append(texts, t);
    calve_texts latest = calve_is_null(new_raw, i) ? raw : new_raw;
    if (!calve_is_null(latest, i)) calve_set_binary(raws, i, calve_text_at(latest, i));
  }
}

#define STATE                                                                                                       \
  CALVE_LONG("rows", .required = true, .initial = "0"), CALVE_BOOLEAN("flag", .initial = "false"),                  \
      CALVE_INT("small", .initial = "-1"), CALVE_LONG("big"), CALVE_FLOAT("single", .initial = "0.5"),              \
      CALVE_DOUBLE("double"), CALVE_DECIMAL("amount", 20, 2, .initial = "\"1.50\""), CALVE_DATE("day"),             \
      CALVE_TIMESTAMP("at"), CALVE_TIMESTAMPTZ("at_utc", .initial = "\"2026-01-01T00:00:00Z\""),                    \
      CALVE_STRING("texts", .initial = "\"\""), CALVE_BINARY("raw"),                                                \
      CALVE_STRING("kept", .required = true, .initial = "\"as \\\"it\\\" was\""),                                   \
      {.name = "list", .format = "+l", .n_children = 1, .children = &element, .initial = "[\"a\"]"}

static const calve_column element = CALVE_STRING("element");

static const char *const passed[][2] = {
    {"rows", "rows"},   {"flag", "flag"},     {"small", "small"},  {"big", "big"},      {"single", "single"},
    {"double", "double"}, {"amount", "amount"}, {"day", "day"},    {"at", "at"},        {"at_utc", "at_utc"},
    {"texts", "texts"}, {"raw", "raw"},       {"kept", "kept"},    {"list", "list"},    {"key", "_key"},
    {"began", "_start"}, {"ended", "_end"},   {"events", "_count"}, {"closed", "_closed"},
};

static void finish(const calve_batch *in, calve_output *out) {
  calve_texts texts = calve_read_string(in, "texts");
  for (int32_t i = 0; i < calve_rows(in); i++) {
    calve_text t = calve_text_at(texts, i);
    if (refuses("session", t, i)) refuse(out, "session", "texts", i);
    if (calve_text_equal(t, CALVE_TEXT("drop"))) calve_drop(out, i);
  }
  for (uint32_t i = 0; i < sizeof passed / sizeof passed[0]; i++) calve_pass(out, passed[i][0], in, passed[i][1]);
}

static const char *configure(calve_text config) {
  return calve_text_equal(config, CALVE_TEXT("\"refuse\"")) ? "this config is refused" : 0;
}

CALVE_PLUGIN(.name = "conformance", .version = "1.2.3", .summary = "sums up sessions", .batch_rows_hint = 65536,
             .input = CALVE_COLUMNS(CALVE_BOOLEAN("flag"), CALVE_INT("small"), CALVE_LONG("big"), CALVE_FLOAT("single"),
                                    CALVE_DOUBLE("double"), CALVE_DECIMAL("amount", 20, 2), CALVE_STRING("text"),
                                    CALVE_BINARY("raw"), CALVE_DATE("day"), CALVE_TIMESTAMP("at"),
                                    CALVE_TIMESTAMPTZ("at_utc")),
             .state = CALVE_COLUMNS(STATE),
             .output = CALVE_COLUMNS(CALVE_LONG("rows", .required = true), CALVE_BOOLEAN("flag"), CALVE_INT("small"),
                                     CALVE_LONG("big"), CALVE_FLOAT("single"), CALVE_DOUBLE("double"),
                                     CALVE_DECIMAL("amount", 20, 2), CALVE_DATE("day"), CALVE_TIMESTAMP("at"),
                                     CALVE_TIMESTAMPTZ("at_utc"), CALVE_STRING("texts"), CALVE_BINARY("raw"),
                                     CALVE_STRING("kept", .required = true), CALVE_LIST("list", CALVE_STRING("element")),
                                     CALVE_STRING("key"), CALVE_TIMESTAMPTZ("began"), CALVE_TIMESTAMPTZ("ended"),
                                     CALVE_LONG("events"), CALVE_BOOLEAN("closed")),
             .configure = configure, .accumulate = accumulate, .merge = merge, .finish = finish)
