// The transform of guests/staging in C: renames, a cast, two fills, a filter and
// a derived column.
#include "calve.h"

static void staging(const calve_batch *in, calve_output *out) {
  calve_pass(out, "event_id", in, "id");
  calve_pass(out, "status", in, "status");
  const double *price = calve_read_double(in, "price").values;
  const int32_t *qty = calve_read_int(in, "qty").values;
  calve_doubles discount = calve_read_double(in, "discount");
  double *amount = calve_double_values(calve_build_double(out, "amount"));
  for (int32_t i = 0; i < calve_rows(in); i++) amount[i] = price[i] * qty[i] * (1 - calve_or(discount, i, 0));

  calve_texts email = calve_read_string(in, "email"), time = calve_read_string(in, "event_time");
  calve_texts status = calve_read_string(in, "status");
  calve_string_builder *to = calve_build_string(out, "email");
  calve_long_builder *at = calve_build_timestamp(out, "event_time");
  for (int32_t i = 0; i < calve_rows(in); i++) {
    int64_t us;
    calve_set_string(to, i, calve_text_or(email, i, CALVE_TEXT("unknown")));
    if (calve_parse_timestamp(calve_text_at(time, i), &us)) calve_set_long(at, i, us);
    if (calve_text_equal(calve_text_at(status, i), CALVE_TEXT("deleted"))) calve_drop(out, i);
  }
}

CALVE_PLUGIN(.name = "staging", .version = "1.0.0",
             .input = CALVE_COLUMNS(CALVE_LONG("id"), CALVE_INT("qty"), CALVE_DOUBLE("price"), CALVE_DOUBLE("discount"),
                                    CALVE_STRING("status"), CALVE_STRING("email"), CALVE_STRING("event_time")),
             .output = CALVE_COLUMNS(CALVE_LONG("event_id"), CALVE_DOUBLE("amount"), CALVE_STRING("status"),
                                     CALVE_STRING("email"), CALVE_TIMESTAMPTZ("event_time")),
             .transform = staging)
