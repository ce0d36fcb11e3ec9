// Command bots tells robots from people by what they do in a session: how much
// they ask for, how many different paths, how fast, and what they call themselves.
package main

import (
	"math/bits"

	calve "github.com/calvelake/calve/sdk/go"
)

func init() {
	calve.RegisterSession(calve.Session{
		Name: "bots", Version: "1.0.0",
		Input: []calve.Column{calve.String("user_agent"), calve.String("path"), calve.Timestamptz("event_time")},
		State: []calve.StateColumn{
			zero("requests"), zero("mark_bits"), zero("robots"), zero("max_rate"), zero("second"), zero("in_second"),
		},
		Output: []calve.Column{
			calve.Long("requests").Required(), calve.Long("marks").Required(), calve.Long("max_rate").Required(),
			calve.Boolean("is_bot").Required(),
		},
		Accumulate: accumulate, Merge: merge, Finish: finish,
	})
}

func zero(name string) calve.StateColumn {
	return calve.StateColumn{Column: calve.Long(name).Required(), Initial: "0"}
}

func accumulate(in *calve.Batch, groups []uint32, _ *calve.Batch, after *calve.Output) error {
	agent, path, time := in.String("user_agent"), in.String("path"), in.Timestamp("event_time")
	requests, marks := after.Long("requests").Values(), after.Long("mark_bits").Values()
	robots, rate := after.Long("robots").Values(), after.Long("max_rate").Values()
	second, seen := after.Long("second").Values(), after.Long("in_second").Values()
	last, robot := "", false // most rows of a session name the same agent
	for i, g := range groups {
		if name := agent.At(i); name != last {
			last, robot = name, namesRobot(name)
		}
		requests[g]++
		if !path.IsNull(i) {
			marks[g] |= mark(path.At(i))
		}
		if robot {
			robots[g]++
		}
		now := time.Or(i, 0) / 1_000_000
		if now < second[g] {
			continue // rows of a call come in order, calls need not
		}
		if now > second[g] {
			second[g], seen[g] = now, 0
		}
		seen[g]++
		rate[g] = max(rate[g], seen[g])
	}
	return nil
}

// mark is one of 64, by FNV-1a.
func mark(path string) int64 {
	h := uint32(2166136261)
	for i := range len(path) {
		h = (h ^ uint32(path[i])) * 16777619
	}
	return 1 << ((h ^ h>>16) & 63)
}

func namesRobot(agent string) bool {
	for i := range len(agent) {
		switch agent[i] | 0x20 {
		case 'b':
			if begins(agent[i:], "bot") {
				return true
			}
		case 'c':
			if begins(agent[i:], "crawl") {
				return true
			}
		case 's':
			if begins(agent[i:], "spider") {
				return true
			}
		}
	}
	return false
}

func begins(text, word string) bool {
	if len(text) < len(word) {
		return false
	}
	for i := range len(word) {
		if text[i]|0x20 != word[i] {
			return false
		}
	}
	return true
}

func merge(_, from *calve.Batch, after *calve.Output) error {
	for _, name := range []string{"requests", "robots"} {
		to := after.Long(name).Values()
		for i, v := range from.Long(name).Values() {
			to[i] += v
		}
	}
	marks, rate := after.Long("mark_bits").Values(), after.Long("max_rate").Values()
	second, seen := after.Long("second").Values(), after.Long("in_second").Values()
	moreMarks, moreRate := from.Long("mark_bits").Values(), from.Long("max_rate").Values()
	moreSecond, moreSeen := from.Long("second").Values(), from.Long("in_second").Values()
	for i := range marks {
		marks[i] |= moreMarks[i]
		switch {
		case moreSecond[i] > second[i]:
			second[i], seen[i] = moreSecond[i], moreSeen[i]
		case moreSecond[i] == second[i]:
			seen[i] += moreSeen[i]
		}
		rate[i] = max(rate[i], moreRate[i], seen[i])
	}
	return nil
}

func finish(in *calve.Batch, out *calve.Output) error {
	out.Pass("requests", in.Column("requests"))
	out.Pass("max_rate", in.Column("max_rate"))
	requests, robots := in.Long("requests").Values(), in.Long("robots").Values()
	markBits, rate := in.Long("mark_bits").Values(), in.Long("max_rate").Values()
	marks, bot := out.Long("marks").Values(), out.Boolean("is_bot")
	for i := range marks {
		marks[i] = int64(bits.OnesCount64(uint64(markBits[i])))
		bot.Set(i, robots[i] > 0 || rate[i] > 10 || requests[i] > 100 && marks[i] >= 48)
	}
	return nil
}

func main() {}
