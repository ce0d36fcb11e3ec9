// Command staging is a staging transform: renames, a cast, two fills, a filter
// and a derived column.
package main

import calve "github.com/calvelake/calve/sdk/go"

func init() {
	calve.Register(calve.Plugin{
		Name: "staging", Version: "1.0.0",
		Input: []calve.Column{
			calve.Long("id"), calve.Int("qty"), calve.Double("price"), calve.Double("discount"),
			calve.String("status"), calve.String("email"), calve.String("event_time"),
		},
		Output: []calve.Column{
			calve.Long("event_id"), calve.Double("amount"), calve.String("status"),
			calve.String("email"), calve.Timestamptz("event_time"),
		},
		Transform: staging,
	})
}

func staging(in *calve.Batch, out *calve.Output) error {
	out.Pass("event_id", in.Column("id"))
	out.Pass("status", in.Column("status"))
	price, qty, discount := in.Double("price").Values(), in.Int("qty").Values(), in.Double("discount")
	amount := out.Double("amount").Values()
	for i := range amount {
		amount[i] = price[i] * float64(qty[i]) * (1 - discount.Or(i, 0))
	}
	email, to := in.String("email"), out.String("email")
	text, at := in.String("event_time"), out.Timestamp("event_time")
	for i := range in.Len() {
		to.Set(i, email.Or(i, "unknown"))
		if us, ok := calve.ParseTimestamp(text.At(i)); ok {
			at.Set(i, us)
		}
	}
	status := in.String("status")
	out.Where(func(i int) bool { return status.At(i) != "deleted" })
	return nil
}

func main() {}
