// Plugin bots tells programs from people by a whole session: by what they call
// themselves, by what they ask for and leave out, and by how fast they read.
package main

import calve "github.com/calvelake/calve/sdk/go"

func init() {
	calve.RegisterSession(calve.Session{
		Name: "bots", Version: "1.0.0", Summary: "programs and people by what they do in a session",
		Input: []calve.Column{
			calve.String("agent"), calve.String("path").Required(),
			calve.Boolean("is_page"), calve.String("referrer"),
		},
		State:      []calve.StateColumn{zero("named"), zero("rules"), zero("pages"), zero("parts"), zero("referred")},
		Output:     []calve.Column{calve.Boolean("is_bot").Required()},
		Accumulate: accumulate, Merge: merge, Finish: finish,
	})
}

func zero(name string) calve.StateColumn {
	return calve.StateColumn{Column: calve.Long(name).Required(), Initial: "0"}
}

func accumulate(in *calve.Batch, groups []uint32, _ *calve.Batch, after *calve.Output) error {
	agent, path, page, referrer := in.String("agent"), in.String("path"), in.Boolean("is_page"), in.String("referrer")
	named, rules := after.Long("named").Values(), after.Long("rules").Values()
	pages, parts, referred := after.Long("pages").Values(), after.Long("parts").Values(), after.Long("referred").Values()
	last, isNamed := "", false // an agent is part of the session's key
	for i, g := range groups {
		if name := agent.At(i); i == 0 || name != last {
			last, isNamed = name, namesProgram(name)
		}
		if isNamed {
			named[g]++
		}
		switch {
		case asksForRules(path.At(i)):
			rules[g]++
		case page.At(i):
			pages[g]++
		default:
			parts[g]++
		}
		if !referrer.IsNull(i) {
			referred[g]++
		}
	}
	return nil
}

// merge adds counts, so that the order in which events come does not matter.
func merge(_, from *calve.Batch, after *calve.Output) error {
	for _, name := range []string{"named", "rules", "pages", "parts", "referred"} {
		to := after.Long(name).Values()
		for i, n := range from.Long(name).Values() {
			to[i] += n
		}
	}
	return nil
}

func finish(in *calve.Batch, out *calve.Output) error {
	named, rules := in.Long("named").Values(), in.Long("rules").Values()
	pages, parts, referred := in.Long("pages").Values(), in.Long("parts").Values(), in.Long("referred").Values()
	start, end := in.Timestamp("_start").Values(), in.Timestamp("_end").Values()
	bot := out.Boolean("is_bot")
	for i := range named {
		bot.Set(i, visit{
			named: named[i] > 0, rules: rules[i] > 0, pages: pages[i], parts: parts[i], referred: referred[i],
			seconds: (end[i] - start[i]) / 1_000_000,
		}.isBot())
	}
	return nil
}

func main() {}
