// Package calve is the SDK for Calve plugins written in Go.
//
// A transform is one function from a batch of rows to columns:
//
//	func init() {
//		calve.Register(calve.Plugin{
//			Name: "orders", Version: "1.0.0",
//			Input:     []calve.Column{calve.Long("id"), calve.Double("price")},
//			Output:    []calve.Column{calve.Long("order_id"), calve.Double("gross")},
//			Transform: gross,
//		})
//	}
//
//	func gross(in *calve.Batch, out *calve.Output) error {
//		out.Pass("order_id", in.Column("id")) // the same column, not copied
//		price, to := in.Double("price"), out.Double("gross")
//		for i := range in.Len() {
//			switch {
//			case price.IsNull(i): // rows not set are null
//			case price.At(i) < 0:
//				out.RowError(i, "negative_price", "price", "a price cannot be negative")
//			default:
//				to.Set(i, price.At(i)*1.2)
//			}
//		}
//		return nil
//	}
//
//	func main() {}
//
// It is built with stock Go:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o orders.wasm .
//
// The same input must give the same output: there is no clock, no randomness,
// no file and no network, and a transform keeps nothing from one batch to the
// next, since any instance may get any batch. What it reads is valid until it
// returns.
package calve
