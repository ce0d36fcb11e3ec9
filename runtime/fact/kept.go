package fact

import (
	"bytes"
	"crypto/md5"
	"slices"

	"github.com/calvelake/calve/runtime/upstream"
)

// kept is what is kept of a fact.
type kept struct {
	versions   []version // of a staging model one at most; of a keyed model its rows with the grain
	milestones []milestone
	joins      []joined
	foreign    []reference
	deleted    []byte // of a staging model: the order of the newest deletion, nil for none
	deletion   upstream.Stamp
	visible    bool           // the table has its row
	hash       [md5.Size]byte // of that row
}

// newKept is what is kept of a fact of which nothing is known.
func (p *Program) newKept() kept {
	return kept{milestones: make([]milestone, len(p.milestones)), joins: make([]joined, len(p.joins)), foreign: make([]reference, len(p.foreign))}
}

// version is a row of the input, as the columns of Program.base.
type version struct {
	id    []byte // of a keyed model's row
	order []byte
	row   []byte
	gone  bool // it was deleted, and is shown as such
	holes []hole
}

// hole is a column that a change of a database did not carry: its value is that of
// the newest change before it that did.
type hole struct {
	column int
	order  []byte // of that change; empty while there is none
}

// milestone is the first value of a column that was not null.
type milestone struct {
	order []byte
	value []byte // empty while there is none
}

// joined is what a join gives to a fact.
type joined struct {
	known  bool
	group  []byte // whose rows match, nil if none can
	within span
	values []byte         // a row of join.values
	newest upstream.Stamp // of the rows that match
}

// shown is the version that the fact shows, nil for none.
func (k *kept) shown() *version {
	var best *version
	for i := range k.versions {
		v := &k.versions[i]
		switch {
		case best == nil || best.gone && !v.gone:
			best = v
		case v.gone && !best.gone:
		case bytes.Compare(v.order, best.order) > 0, bytes.Equal(v.order, best.order) && bytes.Compare(v.id, best.id) > 0:
			best = v
		}
	}
	return best
}

// isDeleted tells whether a version was deleted after it was made.
func (k *kept) isDeleted(v *version) bool { return v.gone || bytes.Compare(k.deleted, v.order) > 0 }

// fill takes the value of a milestone, of a row that is earlier than that which
// gave it before. What has no order came later.
func (k *kept) fill(i int, order, value []byte) {
	if m := &k.milestones[i]; len(m.value) == 0 || bytes.Compare(order, m.order) < 0 {
		*m = milestone{order, value}
	}
}

// put takes a row of a staging model.
func (p *Program) put(k *kept, v version) error {
	if len(k.versions) == 0 {
		k.versions = append(k.versions, v)
		return nil
	}
	have := &k.versions[0]
	switch order := bytes.Compare(v.order, have.order); {
	case order > 0:
		if err := p.inherit(&v, have); err != nil {
			return err
		}
		*have = v
	case order < 0:
		return p.inherit(have, &v)
	}
	return nil
}

// inherit fills holes of a row with what an earlier one has, where that is newer
// than what they have.
func (p *Program) inherit(later, earlier *version) error {
	var columns []int
	for i := range later.holes {
		h := &later.holes[i]
		order := earlier.order
		if at := slices.IndexFunc(earlier.holes, func(o hole) bool { return o.column == h.column }); at >= 0 {
			order = earlier.holes[at].order
		}
		if bytes.Compare(order, h.order) > 0 {
			h.order = order
			columns = append(columns, h.column)
		}
	}
	if len(columns) == 0 {
		return nil
	}
	row, err := upstream.Filling{Schema: p.base, Row: later.row, Other: earlier.row}.Fill(p.mem, func(column int) bool { return slices.Contains(columns, column) })
	if err == nil {
		later.row = row
	}
	return err
}

// replace takes the latest row of a keyed model.
func (k *kept) replace(v version) {
	for i := range k.versions {
		if bytes.Equal(k.versions[i].id, v.id) {
			k.versions[i] = v
			return
		}
	}
	k.versions = append(k.versions, v)
	// The order of what is kept does not depend on that of changes.
	slices.SortFunc(k.versions, func(a, b version) int { return bytes.Compare(a.id, b.id) })
}

// remove deletes the row of a keyed model; it goes, or is shown as deleted.
func (k *kept) remove(id []byte, soft bool) {
	for i := range k.versions {
		switch {
		case !bytes.Equal(k.versions[i].id, id):
		case soft:
			k.versions[i].gone = true
			return
		default:
			k.versions = slices.Delete(k.versions, i, i+1)
			return
		}
	}
}
