package fact

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

// buyerKeys are keys that are found by a column, as of another time, by a derived
// column that is cast, and by what another key copied.
func buyerKeys() []ForeignKey {
	text := []arrow.DataType{arrow.BinaryTypes.String}
	return []ForeignKey{
		{Name: "buyer", To: "dim_buyers", On: []string{"user"}, Keys: text, Attributes: attributes(), Copy: []Copy{{"buyer_city", "city"}}},
		{Name: "starter", To: "dim_buyers", On: []string{"user"}, At: "began", Durable: true, Keys: text, Attributes: attributes(), Copy: []Copy{{"starter_city", "city"}}},
		{Name: "rank", To: "dim_ranks", On: []string{"gross"}, Keys: []arrow.DataType{arrow.PrimitiveTypes.Int32}},
		{Name: "town", To: "dim_towns", On: []string{"buyer_city"}, Keys: text, Attributes: attributes(), Copy: []Copy{{"town_is", "city"}}},
	}
}

func fakeDimensions() map[string]*fakeDimension {
	return map[string]*fakeDimension{"dim_buyers": newFakeDimension(false), "dim_ranks": newFakeDimension(true), "dim_towns": newFakeDimension(true)}
}

func buyerDimensions() map[string]Dimension { return asDimensions(fakeDimensions()) }

func asDimensions(fakes map[string]*fakeDimension) map[string]Dimension {
	all := map[string]Dimension{}
	for name, d := range fakes {
		all[name] = d
	}
	return all
}

func cloneDimensions(fakes map[string]*fakeDimension) map[string]*fakeDimension {
	all := map[string]*fakeDimension{}
	for name, d := range fakes {
		all[name] = d.clone()
	}
	return all
}

// dimensionChange is a version of a member, and the time by which it must come,
// lateness left aside.
type dimensionChange struct {
	of     string
	member []byte
	fakeVersion
	limit int64
}

func (w *world) dimensionChanges() []dimensionChange {
	var out []dimensionChange
	seen := map[string]bool{}
	for range w.r.IntN(20) {
		c := dimensionChange{of: "dim_ranks", member: wholeMember(w.r.Int32N(6) * 2)}
		c.from, c.city, c.gone = w.r.Int64N(300), maybe(w.r, []string{"Bern", "Ulm"}[w.r.IntN(2)]), w.r.IntN(5) == 0
		switch c.limit = c.from; w.r.IntN(3) {
		case 0:
			c.of, c.member = "dim_buyers", textMember([]string{"ann", "bob"}[w.r.IntN(2)])
			c.limit = 0 // the first of them reaches back to all facts
		case 1:
			c.of, c.member = "dim_towns", textMember([]string{"Bern", "Ulm"}[w.r.IntN(2)])
		}
		if id := fmt.Sprintf("%s %x %d", c.of, c.member, c.from); !seen[id] {
			seen[id] = true
			out = append(out, c)
		}
	}
	first := map[string]int64{}
	for _, c := range out {
		if from, is := first[string(c.member)]; !is || c.from < from {
			first[string(c.member)] = c.from
		}
	}
	for i, c := range out {
		if c.from > first[string(c.member)] {
			out[i].limit = c.from
		}
	}
	return out
}

// references writes the foreign keys of a row, of the dimensions as they are.
func (w *world) references(values []any, gross any) string {
	if !w.v.foreign {
		return ""
	}
	look := func(of string, member []byte, at any) fakeFound {
		if member == nil || at == nil {
			return fakeFound{key: unknown, durable: unknown}
		}
		return w.dims[of].find(string(member), at.(int64))
	}
	byText := func(v any) []byte {
		if v == nil {
			return nil
		}
		return textMember(v)
	}
	at := values[1]
	buyer, starter := look("dim_buyers", byText(values[2]), at), look("dim_buyers", byText(values[2]), values[3])
	var rank []byte
	if gross != nil {
		rank = wholeMember(int32(gross.(int64)))
	}
	town := look("dim_towns", byText(buyer.city), at)
	return fmt.Sprintf(" buyer=%s buyer_city=%s starter=%s starter_city=%s rank=%s town=%s town_is=%s",
		buyer.key, text(buyer.city), starter.durable, text(starter.city), look("dim_ranks", rank, at).key, town.key, text(town.city))
}

const unknown = "default_null_key"

// dangling is the keys of a row that their dimensions do not have.
func (w *world) dangling(row string) []string {
	var out []string
	for part := range strings.FieldsSeq(row) {
		name, key, _ := strings.Cut(part, "=")
		for _, f := range buyerKeys() {
			if f.Name == name && !f.Durable && !w.dims[f.To].has(key) {
				out = append(out, part)
			}
		}
	}
	return out
}
