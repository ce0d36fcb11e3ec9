// The conformance plugin of the C SDK for dimensions: sdk/conformance/README.md says
// what it does.
#include "calve.h"

// The texts of row i are equal, or both null.
static bool same(calve_texts a, calve_texts b, int32_t i) {
  return calve_is_null(a, i) == calve_is_null(b, i) && calve_text_equal(calve_text_at(a, i), calve_text_at(b, i));
}

static void decide(const calve_batch *changes, const calve_batch *in_force, calve_output *out) {
  calve_texts op = calve_read_string(changes, "_op"), name = calve_read_string(changes, "name");
  calve_texts city = calve_read_string(changes, "city");
  calve_longs points = calve_read_long(changes, "points"), old_points = calve_read_long(in_force, "points");
  calve_texts old_name = calve_read_string(in_force, "name"), old_city = calve_read_string(in_force, "city");
  calve_string_builder *names = calve_build_string(out, "name"), *before = calve_build_string(out, "before");
  calve_long_builder *sum = calve_build_long(out, "points");
  for (int32_t i = 0; i < calve_rows(changes); i++) {
    calve_text n = calve_text_at(name, i), o = calve_text_at(op, i);
    bool there = calve_is_there(in_force, i);
    if (calve_text_equal(n, CALVE_TEXT("trap"))) __builtin_trap();
    if (calve_text_equal(n, CALVE_TEXT("fail"))) calve_fail(calve_format("change %d fails", i));
    if (calve_text_equal(n, CALVE_TEXT("refuse"))) {
      calve_row_error(out, i, "refused", "name", "this change is refused");
    } else if (calve_text_equal(o, CALVE_TEXT("d"))) {
      calve_set_action(out, i, CALVE_ACTION_DELETE);
    } else if (calve_text_equal(o, CALVE_TEXT("r"))) {
      // without an action a change is ignored
    } else if (!there || !same(city, old_city, i)) {
      calve_set_action(out, i, CALVE_ACTION_NEW_VERSION);
    } else if (!same(name, old_name, i)) {
      calve_set_action(out, i, CALVE_ACTION_OVERWRITE);
    } else {
      calve_set_action(out, i, CALVE_ACTION_IGNORE);
    }
    calve_texts known = calve_is_null(name, i) ? old_name : name;
    if (!calve_is_null(known, i)) calve_set_string(names, i, calve_text_at(known, i));
    if (there) calve_set_string(before, i, calve_text_or(old_name, i, CALVE_TEXT("(nobody)")));
    if (!calve_is_null(points, i) || !calve_is_null(old_points, i))
      calve_set_long(sum, i, calve_or(points, i, 0) + calve_or(old_points, i, 0));
  }
  calve_pass(out, "city", changes, "city");
  calve_pass(out, "raw", changes, "raw");
  calve_pass(out, "since", changes, "_effective_at");
}

static const char *configure(calve_text config) {
  return calve_text_equal(config, CALVE_TEXT("\"refuse\"")) ? "this config is refused" : 0;
}

CALVE_PLUGIN(.name = "conformance", .version = "1.2.3", .summary = "decides on changes", .batch_rows_hint = 1024,
             .input = CALVE_COLUMNS(CALVE_STRING("name"), CALVE_STRING("city"), CALVE_LONG("points"), CALVE_BINARY("raw")),
             .output = CALVE_COLUMNS(CALVE_STRING("name"), CALVE_STRING("city"), CALVE_LONG("points"), CALVE_BINARY("raw"),
                                     CALVE_STRING("before"), CALVE_TIMESTAMPTZ("since")),
             .configure = configure, .decide = decide)
