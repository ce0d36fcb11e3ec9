// Command customers is the scd plugin of the host's tests: a change of address
// is a new version, a change of spelling overwrites.
package main

import (
	"strings"

	calve "github.com/calvelake/calve/sdk/go"
)

func init() {
	calve.RegisterSCD(calve.SCD{
		Name: "customers", Version: "1.0.0",
		Input:  []calve.Column{calve.String("name"), calve.String("city")},
		Output: []calve.Column{calve.String("name"), calve.String("city")},
		Decide: decide,
	})
}

func decide(changes, inForce *calve.Batch, out *calve.Output) error {
	op, name, city := changes.String("_op"), changes.String("name"), changes.String("city")
	oldName, oldCity := inForce.String("name"), inForce.String("city")
	to := out.String("name")
	for i := range changes.Len() {
		to.Set(i, strings.ToUpper(name.At(i)))
		switch {
		case name.At(i) == "panic":
			panic("a customer is poison")
		case name.At(i) == "":
			out.RowError(i, "no_name", "name", "a customer has no name")
		case op.At(i) == "d":
			out.Action(i, calve.Delete)
		case !inForce.Has(i) || city.At(i) != oldCity.At(i):
			out.Action(i, calve.NewVersion)
		case strings.ToUpper(name.At(i)) != oldName.At(i):
			out.Action(i, calve.Overwrite)
		}
	}
	out.Pass("city", changes.Column("city"))
	return nil
}

func main() {}
