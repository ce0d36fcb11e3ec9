package bridge

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/upstream"
)

// change is what became of an owner at a time.
type change struct {
	at    int64  // when it took effect
	order []byte // among those of one time
	id    []byte // the row of a keyed model
	gone  bool   // it was deleted
	stamp upstream.Stamp
	row   []byte // in the columns of Program.kept; empty for a deletion
	holes []int  // columns of it that the change did not carry
}

func (c *change) compare(o *change) int {
	return cmp.Or(cmp.Compare(c.at, o.at), bytes.Compare(c.order, o.order))
}

// isWhole tells whether what came before, at its time, does not matter.
func (c *change) isWhole() bool { return !c.gone && len(c.holes) == 0 }

// history is the changes of an owner, in their order.
type history struct {
	base    *base // what those before come to, nil for none
	changes []change
	last    uint64 // the number of the last epoch's changes of a keyed model
}

// base is what changes up to a time come to: the last row that there was, which has
// no holes, and whether it was deleted.
type base struct {
	at   int64
	row  []byte
	id   []byte
	gone bool
	open []open
}

// open is a mapping that is in force: since when, and by which change.
type open struct {
	keys  string
	from  int64
	stamp upstream.Stamp
}

// isEmpty tells whether there is nothing to keep.
func (h *history) isEmpty() bool { return len(h.changes) == 0 }

// newest is the last change of a history that is not empty: it is never settled.
func (h *history) newest() *change { return &h.changes[len(h.changes)-1] }

// isLate tells whether a change of a time comes before what is settled.
func (h *history) isLate(at int64) bool { return h.base != nil && at <= h.base.at }

// add takes a change, which is not late. Of one time only those are kept that
// matter.
func (h *history) add(c change) {
	at, same := slices.BinarySearchFunc(h.changes, &c, func(have change, c *change) int { return have.compare(c) })
	if same {
		h.changes[at] = c
		return
	}
	if at < len(h.changes) && h.changes[at].at == c.at && h.changes[at].isWhole() {
		return
	}
	from := at
	for c.isWhole() && from > 0 && h.changes[from-1].at == c.at {
		from--
	}
	h.changes = slices.Replace(h.changes, from, at, c)
}

// filler completes a row that lacks columns with the one before it, nil for none.
type filler func(row []byte, holes []int, before []byte) ([]byte, error)

// steps are what the changes come to, one of a time, and behind which of them there
// is what base says.
func (h *history) steps(fill filler) (all []step, after []base, err error) {
	now := base{gone: true}
	if h.base != nil {
		now = *h.base
	}
	for i := range h.changes {
		c := &h.changes[i]
		now.at = c.at
		altered := true
		switch {
		case !c.gone:
			row := c.row
			if len(c.holes) > 0 {
				if row, err = fill(row, c.holes, now.row); err != nil {
					return nil, nil, err
				}
			}
			now.row, now.id, now.gone = row, c.id, false
		case bytes.Equal(c.id, now.id):
			now.gone = true
		default:
			altered = false
		}
		s := step{at: c.at, stamp: c.stamp}
		if !now.gone {
			s.row = now.row
		}
		n := len(all)
		switch {
		case n > 0 && all[n-1].at == c.at:
			if !altered {
				s.stamp = all[n-1].stamp
			}
			all[n-1], after[n-1] = s, now
		default:
			all, after = append(all, s), append(after, now)
		}
	}
	return all, after, nil
}

// step is what an owner's changes of one time come to.
type step struct {
	at    int64
	row   []byte // nil if it maps nothing
	stamp upstream.Stamp
}

// member is a mapping of an owner at a time: the keys of the other members, joined,
// what its row says beside keys and times, and its place among the rows that were
// computed.
type member struct {
	keys    string
	payload string
	place   int
}

// version is a mapping and its time, [from, to).
type version struct {
	member
	from, to int64
	stamp    upstream.Stamp
}

// versions goes through what steps map, and the mappings that are in force before
// the first one. They come in the order of their beginnings, and of one time in that
// of their keys.
func versions(before []version, steps []step, mapped func(row []byte) []member) []version {
	all := slices.Clone(before)
	inForce := map[string]int{}
	for i := range all {
		inForce[all[i].keys] = i
	}
	for _, s := range steps {
		stays := map[string]bool{}
		members := mapped(s.row)
		for _, m := range members {
			if i, ok := inForce[m.keys]; ok && all[i].payload == m.payload {
				stays[m.keys] = true
			}
		}
		for keys, i := range inForce {
			if !stays[keys] {
				all[i].to, all[i].stamp = s.at, all[i].stamp.Max(s.stamp)
				delete(inForce, keys)
			}
		}
		for _, m := range members {
			if !stays[m.keys] {
				inForce[m.keys] = len(all)
				all = append(all, version{member: m, from: s.at, to: dimension.Forever, stamp: s.stamp})
			}
		}
	}
	slices.SortFunc(all, func(a, b version) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.keys, b.keys)) })
	return all
}

// inForce is the mappings of versions that have not ended.
func inForce(all []version) []open {
	var out []open
	for _, v := range all {
		if v.to == dimension.Forever {
			out = append(out, open{v.keys, v.from, v.stamp})
		}
	}
	return out
}

// settle forgets the changes up to a time, of which it keeps what they come to. The
// newest time's stay: others of that time may come, and have a place among them.
func (h *history) settle(until int64, steps []step, after []base, before []version, mapped func(row []byte) []member) {
	n := 0
	for n < len(steps)-1 && steps[n].at <= until {
		n++
	}
	if n == 0 {
		return
	}
	settled := after[n-1]
	settled.open = inForce(versions(before, steps[:n], mapped))
	h.base = &settled
	h.changes = slices.DeleteFunc(h.changes, func(c change) bool { return c.at <= settled.at })
}
