// Tells robots from people by what they do in a session: how much they ask for, how
// many different paths, how fast, and what they call themselves.
#include "calve.h"

static bool begins(calve_text t, uint32_t at, calve_text word) {
  if (t.size - at < word.size) return false;
  for (uint32_t i = 0; i < word.size; i++)
    if ((t.data[at + i] | 0x20) != word.data[i]) return false;
  return true;
}

static bool names_robot(calve_text agent) {
  for (uint32_t i = 0; i < agent.size; i++) {
    switch (agent.data[i] | 0x20) {
      case 'b':
        if (begins(agent, i, CALVE_TEXT("bot"))) return true;
        break;
      case 'c':
        if (begins(agent, i, CALVE_TEXT("crawl"))) return true;
        break;
      case 's':
        if (begins(agent, i, CALVE_TEXT("spider"))) return true;
    }
  }
  return false;
}

// One of 64 marks, by FNV-1a.
static int64_t mark(calve_text path) {
  uint32_t h = 2166136261u;
  for (uint32_t i = 0; i < path.size; i++) h = (h ^ (uint8_t)path.data[i]) * 16777619u;
  return (int64_t)(1ull << ((h ^ h >> 16) & 63));
}

static void accumulate(const calve_batch *in, const uint32_t *groups, calve_state *state) {
  calve_texts agent = calve_read_string(in, "user_agent"), path = calve_read_string(in, "path");
  calve_longs time = calve_read_timestamp(in, "event_time");
  int64_t *requests = calve_state_long(state, "requests").values, *marks = calve_state_long(state, "mark_bits").values;
  int64_t *robots = calve_state_long(state, "robots").values, *rate = calve_state_long(state, "max_rate").values;
  int64_t *second = calve_state_long(state, "second").values, *seen = calve_state_long(state, "in_second").values;
  calve_text last = {0};  // most rows of a session name the same agent
  bool robot = false;
  for (int32_t i = 0; i < calve_rows(in); i++) {
    uint32_t g = groups[i];
    calve_text name = calve_text_at(agent, i);
    if (!calve_text_equal(name, last)) robot = names_robot(name), last = name;
    requests[g]++;
    if (!calve_is_null(path, i)) marks[g] |= mark(calve_text_at(path, i));
    robots[g] += robot;
    int64_t now = calve_or(time, i, 0) / 1000000;
    if (now < second[g]) continue;  // rows of a call come in order, calls need not
    seen[g] = now == second[g] ? seen[g] + 1 : 1;
    second[g] = now;
    if (seen[g] > rate[g]) rate[g] = seen[g];
  }
}

static void merge(calve_state *into, const calve_batch *from) {
  static const char *const sums[] = {"requests", "robots"};
  for (uint32_t k = 0; k < 2; k++) {
    int64_t *to = calve_state_long(into, sums[k]).values;
    const int64_t *more = calve_read_long(from, sums[k]).values;
    for (int32_t i = 0; i < calve_rows(from); i++) to[i] += more[i];
  }
  int64_t *marks = calve_state_long(into, "mark_bits").values, *rate = calve_state_long(into, "max_rate").values;
  int64_t *second = calve_state_long(into, "second").values, *seen = calve_state_long(into, "in_second").values;
  const int64_t *more_marks = calve_read_long(from, "mark_bits").values, *more_rate = calve_read_long(from, "max_rate").values;
  const int64_t *more_second = calve_read_long(from, "second").values, *more_seen = calve_read_long(from, "in_second").values;
  for (int32_t i = 0; i < calve_rows(from); i++) {
    marks[i] |= more_marks[i];
    if (more_second[i] > second[i]) {
      second[i] = more_second[i], seen[i] = more_seen[i];
    } else if (more_second[i] == second[i]) {
      seen[i] += more_seen[i];
    }
    if (more_rate[i] > rate[i]) rate[i] = more_rate[i];
    if (seen[i] > rate[i]) rate[i] = seen[i];
  }
}

static void finish(const calve_batch *in, calve_output *out) {
  calve_pass(out, "requests", in, "requests");
  calve_pass(out, "max_rate", in, "max_rate");
  const int64_t *requests = calve_read_long(in, "requests").values, *robots = calve_read_long(in, "robots").values;
  const int64_t *bits = calve_read_long(in, "mark_bits").values, *rate = calve_read_long(in, "max_rate").values;
  int64_t *marks = calve_long_values(calve_build_long(out, "marks"));
  calve_boolean_builder *bot = calve_build_boolean(out, "is_bot");
  for (int32_t i = 0; i < calve_rows(in); i++) {
    marks[i] = __builtin_popcountll((uint64_t)bits[i]);
    calve_set_boolean(bot, i, robots[i] > 0 || rate[i] > 10 || (requests[i] > 100 && marks[i] >= 48));
  }
}

CALVE_PLUGIN(.name = "bots", .version = "1.0.0",
             .input = CALVE_COLUMNS(CALVE_STRING("user_agent"), CALVE_STRING("path"), CALVE_TIMESTAMPTZ("event_time")),
             .state = CALVE_COLUMNS(CALVE_LONG("requests", .required = true, .initial = "0"),
                                    CALVE_LONG("mark_bits", .required = true, .initial = "0"),
                                    CALVE_LONG("robots", .required = true, .initial = "0"),
                                    CALVE_LONG("max_rate", .required = true, .initial = "0"),
                                    CALVE_LONG("second", .required = true, .initial = "0"),
                                    CALVE_LONG("in_second", .required = true, .initial = "0")),
             .output = CALVE_COLUMNS(CALVE_LONG("requests", .required = true), CALVE_LONG("marks", .required = true),
                                     CALVE_LONG("max_rate", .required = true), CALVE_BOOLEAN("is_bot", .required = true)),
             .accumulate = accumulate, .merge = merge, .finish = finish)
