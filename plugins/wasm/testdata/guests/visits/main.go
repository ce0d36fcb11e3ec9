// Command visits is the session plugin of the host's tests: it sums up the pages
// of a visit.
package main

import calve "github.com/calvelake/calve/sdk/go"

func init() {
	calve.RegisterSession(calve.Session{
		Name: "visits", Version: "1.0.0",
		Input: []calve.Column{calve.String("page"), calve.Long("bytes")},
		State: []calve.StateColumn{
			{Column: calve.Long("views").Required(), Initial: "0"},
			{Column: calve.Long("most")}, // null until a row has bytes
			{Column: calve.String("path"), Initial: `"/"`},
		},
		Output: []calve.Column{
			calve.String("visitor"), calve.Long("views"), calve.Long("most"), calve.String("path"),
			calve.Long("rows"), calve.Timestamptz("began"), calve.Boolean("over"),
		},
		Accumulate: accumulate,
		Merge:      merge,
		Finish:     finish,
	})
}

func accumulate(in *calve.Batch, groups []uint32, before *calve.Batch, after *calve.Output) error {
	views := after.Long("views").Values()
	copy(views, before.Long("views").Values())
	page, bytes := in.String("page"), in.Long("bytes")
	paths, best := make([]string, before.Len()), make([]int64, before.Len())
	for g := range best {
		best[g] = before.Long("most").Or(g, -1)
	}
	for i, g := range groups {
		switch page.At(i) {
		case "panic":
			panic("a page is poison")
		case "refuse":
			after.RowError(i, "refused", "page", "this page is refused")
			continue
		}
		views[g]++
		paths[g] += page.At(i)
		best[g] = max(best[g], bytes.Or(i, -1))
	}
	most, path := after.Long("most"), after.String("path")
	for g := range paths {
		path.Set(g, before.String("path").At(g)+paths[g])
		if best[g] >= 0 {
			most.Set(g, best[g])
		}
	}
	calve.Count("rows", int64(in.Len()))
	return nil
}

func merge(into, from *calve.Batch, after *calve.Output) error {
	views, path := after.Long("views").Values(), after.String("path")
	for i := range views {
		views[i] = into.Long("views").At(i) + from.Long("views").At(i)
		if from.String("path").At(i) == "panic" {
			panic("a merge is poison")
		}
		path.Set(i, into.String("path").At(i)+from.String("path").At(i))
	}
	return nil // most stays that of into
}

func finish(in *calve.Batch, out *calve.Output) error {
	out.Pass("visitor", in.Column("_key"))
	for _, name := range []string{"views", "most", "path"} {
		out.Pass(name, in.Column(name))
	}
	out.Pass("rows", in.Column("_count"))
	out.Pass("began", in.Column("_start"))
	out.Pass("over", in.Column("_closed"))
	views := in.Long("views").Values()
	out.Where(func(i int) bool { return views[i] > 0 })
	return nil
}

func main() {}
