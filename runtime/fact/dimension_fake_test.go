package fact

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/record/recordtest"
	"github.com/calvelake/calve/runtime/record/rowcodec"
)

// fakeDimension is a Dimension that looks at all versions of a member each time.
type fakeDimension struct {
	effective bool // a member has no version before its first change, so that it is inferred
	members   map[string][]fakeVersion
	inferred  map[string]bool
	moved     []dimension.Moved
	resolved  int // lookups
}

// fakeVersion is in force until the next; the first from the beginning on, unless
// the dimension is effective.
type fakeVersion struct {
	from int64
	city any
	gone bool // there is no version then
}

func newFakeDimension(effective bool) *fakeDimension {
	return &fakeDimension{effective: effective, members: map[string][]fakeVersion{}, inferred: map[string]bool{}}
}

func (d *fakeDimension) clone() *fakeDimension {
	c := *d
	c.inferred, c.members = maps.Clone(d.inferred), maps.Clone(d.members)
	return &c
}

// change makes a version, and tells what that moves.
func (d *fakeDimension) change(member []byte, v fakeVersion) {
	before := d.clone()
	versions := slices.DeleteFunc(slices.Clone(d.members[string(member)]), func(have fakeVersion) bool { return have.from == v.from })
	versions = append(versions, v)
	slices.SortFunc(versions, func(a, b fakeVersion) int { return cmp.Compare(a.from, b.from) })
	d.members[string(member)] = versions
	starts := []int64{math.MinInt64}
	for _, v := range versions {
		starts = append(starts, v.from)
	}
	for i, from := range starts {
		to := int64(math.MaxInt64)
		if i+1 < len(starts) {
			to = starts[i+1]
		}
		if was, is := before.find(string(member), from), d.find(string(member), from); was != is {
			d.moved = append(d.moved, dimension.Moved{Member: member, From: from, To: to, Keys: was.key != is.key || was.durable != is.durable})
		}
	}
}

// fakeFound is what is found of a member at a time.
type fakeFound struct {
	key, durable string
	city         any
	inferred     bool
}

func (d *fakeDimension) find(member string, at int64) fakeFound {
	found := fakeFound{key: fmt.Sprintf("%x@first", member), durable: fmt.Sprintf("%x", member), inferred: true}
	for i, v := range d.members[member] {
		switch {
		case v.from > at && (i > 0 || d.effective):
			return found
		case v.gone:
			found = fakeFound{key: dimension.UnknownKey, durable: dimension.UnknownKey}
		case i == 0 && !d.effective:
			found = fakeFound{key: fmt.Sprintf("%x@first", member), durable: fmt.Sprintf("%x", member), city: v.city}
		default:
			found = fakeFound{key: fmt.Sprintf("%x@%d", member, v.from), durable: fmt.Sprintf("%x", member), city: v.city}
		}
	}
	return found
}

// Resolve implements Dimension.
func (d *fakeDimension) Resolve(lookups []dimension.Lookup) ([]dimension.Found, error) {
	d.resolved += len(lookups)
	out := make([]dimension.Found, len(lookups))
	for i, l := range lookups {
		f := d.find(string(l.Member), l.At)
		if f.inferred {
			d.inferred[string(l.Member)] = true
		}
		out[i] = dimension.Found{Key: f.key, Durable: f.durable}
		if f.key != dimension.UnknownKey {
			out[i].Row = append([]byte{0}, textMember(f.city)...)
		}
	}
	return out, nil
}

// Moved implements Dimension.
func (d *fakeDimension) Moved() []dimension.Moved { return d.moved }

// has tells whether its table has the row of a key.
func (d *fakeDimension) has(key string) bool {
	if key == dimension.UnknownKey {
		return true
	}
	for member, versions := range d.members {
		for _, v := range versions {
			if d.find(member, v.from).key == key {
				return true
			}
		}
	}
	for member := range d.inferred {
		if fmt.Sprintf("%x@first", member) == key {
			return true
		}
	}
	return false
}

// attributes are those of a fakeDimension.
func attributes() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{recordtest.Nullable("name", arrow.BinaryTypes.String), recordtest.Nullable("city", arrow.BinaryTypes.String)}, nil)
}

// textMember is a natural key of one text, or an attribute.
func textMember(text any) []byte {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	recordtest.Append(b, text)
	return memberRow(b.NewArray())
}

// wholeMember is a natural key of one int.
func wholeMember(n int32) []byte {
	b := array.NewInt32Builder(memory.DefaultAllocator)
	defer b.Release()
	b.Append(n)
	return memberRow(b.NewArray())
}

func memberRow(column arrow.Array) []byte {
	defer column.Release()
	return rowcodec.AppendRow(nil, []arrow.Array{column}, 0)
}

func TestFakeDimensionMovesWhatItFindsOtherwise(t *testing.T) {
	d := newFakeDimension(false)
	ann := textMember("ann")
	d.change(ann, fakeVersion{from: 50, city: "Bern"})
	d.moved = nil
	d.change(ann, fakeVersion{from: 20, city: "Ulm"})
	want := []dimension.Moved{{Member: ann, From: math.MinInt64, To: 20}, {Member: ann, From: 20, To: 50}, {Member: ann, From: 50, To: math.MaxInt64, Keys: true}}
	if !slices.EqualFunc(d.moved, want, func(a, b dimension.Moved) bool { return a.From == b.From && a.To == b.To && a.Keys == b.Keys }) {
		t.Errorf("got %+v, want %+v", d.moved, want)
	}
}
