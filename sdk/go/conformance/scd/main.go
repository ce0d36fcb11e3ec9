// Command scd is the conformance plugin of the Go SDK for dimensions:
// sdk/conformance/README.md says what it does.
package main

import (
	"errors"
	"strconv"

	calve "github.com/calvelake/calve/sdk/go"
)

func init() {
	calve.RegisterSCD(calve.SCD{
		Name: "conformance", Version: "1.2.3", Summary: "decides on changes",
		Input: []calve.Column{calve.String("name"), calve.String("city"), calve.Long("points"), calve.Binary("raw")},
		Output: []calve.Column{
			calve.String("name"), calve.String("city"), calve.Long("points"), calve.Binary("raw"),
			calve.String("before"), calve.Timestamptz("since"),
		},
		Configure: configure, Decide: decide,
		BatchRowsHint: 1024,
	})
}

func configure(config []byte) error {
	if string(config) == `"refuse"` {
		return errors.New("this config is refused")
	}
	return nil
}

func decide(changes, inForce *calve.Batch, out *calve.Output) error {
	if err := act(changes, inForce, out); err != nil {
		return err
	}
	name, oldName := changes.String("name"), inForce.String("name")
	points, oldPoints := changes.Long("points"), inForce.Long("points")
	names, before, sum := out.String("name"), out.String("before"), out.Long("points")
	for i := range changes.Len() {
		known := name
		if known.IsNull(i) {
			known = oldName
		}
		if !known.IsNull(i) {
			names.Set(i, known.At(i))
		}
		if inForce.Has(i) {
			before.Set(i, oldName.Or(i, "(nobody)"))
		}
		if !points.IsNull(i) || !oldPoints.IsNull(i) {
			sum.Set(i, points.Or(i, 0)+oldPoints.Or(i, 0))
		}
	}
	out.Pass("city", changes.Column("city"))
	out.Pass("raw", changes.Column("raw"))
	out.Pass("since", changes.Column("_effective_at"))
	return nil
}

func act(changes, inForce *calve.Batch, out *calve.Output) error {
	op, name, oldName := changes.String("_op"), changes.String("name"), inForce.String("name")
	city, oldCity := changes.String("city"), inForce.String("city")
	for i := range changes.Len() {
		switch {
		case name.At(i) == "trap":
			panic("it traps")
		case name.At(i) == "fail":
			return errors.New("change " + strconv.Itoa(i) + " fails")
		case name.At(i) == "refuse":
			out.RowError(i, "refused", "name", "this change is refused")
		case op.At(i) == "d":
			out.Action(i, calve.Delete)
		case op.At(i) == "r": // without an action a change is ignored
		case !inForce.Has(i) || !same(city, oldCity, i):
			out.Action(i, calve.NewVersion)
		case !same(name, oldName, i):
			out.Action(i, calve.Overwrite)
		default:
			out.Action(i, calve.Ignore)
		}
	}
	return nil
}

// same tells whether the texts of row i are equal, or both null.
func same(a, b calve.Strings, i int) bool { return a.IsNull(i) == b.IsNull(i) && a.At(i) == b.At(i) }

func main() {}
