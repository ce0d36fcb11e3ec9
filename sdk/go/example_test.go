package calve_test

import calve "github.com/calvelake/calve/sdk/go"

// A transform that keeps paid orders and computes what they are worth.
func Example() {
	transform := func(in *calve.Batch, out *calve.Output) error {
		out.Pass("order_id", in.Column("id"))
		price, qty, status := in.Double("price"), in.Int("qty"), in.String("status")
		amount := out.Double("amount")
		for i := range in.Len() {
			switch {
			case status.At(i) != "paid":
				out.Drop(i)
			case price.At(i) < 0:
				out.RowError(i, "negative_price", "price", "a price cannot be negative")
			case !price.IsNull(i) && !qty.IsNull(i):
				amount.Set(i, price.At(i)*float64(qty.At(i)))
			}
		}
		return nil
	}
	calve.Register(calve.Plugin{
		Name: "orders", Version: "1.0.0",
		Input:     []calve.Column{calve.Long("id"), calve.Double("price"), calve.Int("qty"), calve.String("status")},
		Output:    []calve.Column{calve.Long("order_id"), calve.Double("amount")},
		Transform: transform,
	})
	// Output:
}
