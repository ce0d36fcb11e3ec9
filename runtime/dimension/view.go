package dimension

import (
	"bytes"
	"math"
	"slices"

	"github.com/calvelake/calve/runtime/upstream"
)

// infersBefore tells whether there is an inferred version before the first one.
func (p *Program) infersBefore() bool {
	return p.hasVersions && p.spec.FirstValidFrom == FirstValidFromEffective
}

// view is what a member looks like from outside: in the table, and to lookups. Of
// two views that are compared, versions that are the same may be missing at the
// front of both.
type view struct {
	*Program
	head     *head
	versions []version
}

// row is a row of the table.
type row struct {
	member             string
	from, to           int64
	changedAt          int64
	deleted, inferred  bool
	stamp              upstream.Stamp
	fixed, over, other []byte // attributes by type; nil of an inferred version
	isUnknown          bool
}

// id tells the rows of a member apart.
func (p *Program) id(r *row) int64 {
	if p.hasVersions {
		return r.from
	}
	return 0
}

func (r *row) equal(o *row) bool {
	return r.from == o.from && r.to == o.to && r.changedAt == o.changedAt && r.deleted == o.deleted && r.inferred == o.inferred && r.stamp == o.stamp &&
		r.sameAttributes(o)
}

func (r *row) sameAttributes(o *row) bool {
	return bytes.Equal(r.other, o.other) && bytes.Equal(r.over, o.over) && bytes.Equal(r.fixed, o.fixed)
}

// exists tells whether a member has versions.
func (v *view) exists() bool { return v.head.last != nil }

// rows are the rows of the table.
func (v *view) rows(member string) []row {
	out := make([]row, 0, len(v.versions)+1)
	if asked := v.head.asked; asked != neverAsked && (!v.exists() || v.infersBefore() && asked < v.head.first) {
		out = append(out, v.inferred(member))
	}
	for i := range v.versions {
		out = append(out, v.row(member, &v.versions[i]))
	}
	return out
}

// inferred is the row that stands for what is not known of a member: of all time,
// or of that before its first version.
func (v *view) inferred(member string) row {
	r := row{member: member, from: Beginning, to: Forever, inferred: true, stamp: upstream.NoStamp}
	if v.exists() {
		r.to = v.head.first
	}
	return r
}

func (v *view) row(member string, of *version) row {
	r := row{member: member, from: of.from, to: of.to, changedAt: of.changedAt, deleted: of.deleted, stamp: of.stamp, fixed: of.end.fixed, over: of.end.over, other: of.end.versioned}
	if v.all {
		r.over, r.stamp = v.head.now.over, r.stamp.Max(v.head.overwritten)
	}
	return r
}

// cursor goes through the versions of a view in the order of time.
type cursor struct {
	*view
	next int
}

// at finds the version in force at a time, which is not before that of the last
// call: nil for none, or an inferred one.
func (c *cursor) at(t int64) (found *version, inferred bool) {
	if !c.exists() {
		return nil, true
	}
	for c.next < len(c.versions) && c.versions[c.next].to <= t {
		c.next++
	}
	if c.next == len(c.versions) {
		return nil, false
	}
	v := &c.versions[c.next]
	if c.hasVersions && t < v.from {
		return nil, t < c.head.first
	}
	return v, false
}

// moved are the ranges of time, in their order, in which a lookup finds something
// else in one view than in another; from is where to begin.
func moved(before, now *view, from int64) []Moved {
	points := []int64{from, Forever}
	for _, v := range []*view{before, now} {
		for i := range v.versions {
			points = append(points, v.versions[i].from, v.versions[i].to)
		}
	}
	slices.Sort(points)
	points = slices.Compact(points)
	old, new := &cursor{view: before}, &cursor{view: now}
	var out []Moved
	for i, t := range points[:len(points)-1] {
		if t < from {
			continue
		}
		same, keys := old.finds(new, t)
		if same {
			continue
		}
		if n := len(out); n > 0 && out[n-1].To == t && out[n-1].Keys == keys {
			out[n-1].To = points[i+1]
		} else {
			out = append(out, Moved{From: t, To: points[i+1], Keys: keys})
		}
	}
	for i := range out {
		if out[i].From == Beginning {
			out[i].From = math.MinInt64
		}
		if out[i].To == Forever {
			out[i].To = math.MaxInt64
		}
	}
	return out
}

// finds tells whether two cursors find the same, and if not, whether that is so of
// keys.
func (c *cursor) finds(o *cursor, t int64) (same, keys bool) {
	mine, isMine := c.row(t)
	theirs, isTheirs := o.row(t)
	switch {
	case !isMine || !isTheirs:
		return isMine == isTheirs, true
	case c.id(&mine) != o.id(&theirs):
		return false, true
	case mine.inferred != theirs.inferred:
		return bytes.Equal(c.attributesOf(&mine), o.attributesOf(&theirs)), false
	}
	return mine.sameAttributes(&theirs), false
}

// row is the row in force at a time, if there is one.
func (c *cursor) row(t int64) (row, bool) {
	v, inferred := c.at(t)
	switch {
	case inferred:
		return c.view.inferred(""), true
	case v == nil:
		return row{}, false
	}
	return c.view.row("", v), true
}
