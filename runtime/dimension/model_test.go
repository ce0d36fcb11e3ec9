package dimension

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/calvelake/calve/runtime/record/recordtest"
)

// happening is a change of a member, as the model of the tests has it.
type happening struct {
	id       string
	sub      int64
	op       string // c, u, d or r
	at       int64  // when it took effect
	sequence string
	topic    string
	offset   int64
	call     int // of a keyed model: when it was told
	values   map[string]any
	missing  map[string]bool // columns that it does not carry
	recorded int64
}

func compareHappenings(a, b *happening) int {
	return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.sequence, b.sequence), cmp.Compare(a.call, b.call), strings.Compare(a.topic, b.topic), cmp.Compare(a.offset, b.offset))
}

// naiveVersion is a version by brute force.
type naiveVersion struct {
	from, to, changedAt int64
	deleted, inferred   bool
	values              map[string]any
	recorded            int64
}

// naive is a dimension by brute force: all changes sorted, and gone through in one
// go.
type naive struct {
	spec    Spec
	where   func(map[string]any) bool // nil for none
	derive  func(map[string]any) any  // of label; nil for none
	decides func(op string, at int64, now, change map[string]any) (Action, map[string]any)
}

func (n *naive) typeOf(name string) Type {
	if n.decides != nil {
		return Type2
	}
	if t, ok := n.spec.Types[name]; ok {
		return t
	}
	return n.spec.DefaultType
}

func (n *naive) versioned() bool {
	return slices.ContainsFunc(n.spec.Attributes, func(name string) bool { return n.typeOf(name) == Type2 })
}

// naiveState is what changes so far make of a member.
type naiveState struct {
	raw     map[string]any // the last row, whatever became of it
	values  map[string]any // of the member; nil before there is one
	carried map[string]bool
	gone    bool
}

func (s naiveState) clone() naiveState {
	copied := func(m map[string]any) map[string]any {
		if m == nil {
			return nil
		}
		out := map[string]any{}
		for k, v := range m {
			out[k] = v
		}
		return out
	}
	c := naiveState{raw: copied(s.raw), values: copied(s.values), gone: s.gone, carried: map[string]bool{}}
	for k, v := range s.carried {
		c.carried[k] = v
	}
	return c
}

func (s naiveState) differs(o naiveState) bool {
	return s.gone != o.gone || (s.values == nil) != (o.values == nil) || !sameValues(s.values, o.values, nil)
}

func sameValues(a, b map[string]any, only func(string) bool) bool {
	for k, v := range a {
		if (only == nil || only(k)) && b[k] != v {
			return false
		}
	}
	return true
}

// step is one change on top of others. It tells whether a version is asked for.
func (n *naive) step(s naiveState, h *happening) (naiveState, bool) {
	s = s.clone()
	keepsRaw := n.where != nil || n.derive != nil
	row := map[string]any{}
	for k, v := range h.values {
		row[k] = v
		if h.missing[k] {
			row[k] = nil
			switch {
			case keepsRaw && s.raw != nil:
				row[k] = s.raw[k]
			case !keepsRaw && s.values != nil:
				row[k] = s.values[k]
			}
		}
	}
	if h.op != "d" {
		s.raw = row
	}
	leaves := h.op == "d" || n.where != nil && !n.where(row)
	made := map[string]any{}
	for _, name := range n.spec.Attributes {
		if name == "label" {
			made[name] = n.derive(row)
		} else {
			made[name] = row[name]
		}
	}
	if n.decides != nil {
		return n.decided(s, h, made, leaves)
	}
	if leaves {
		if s.values != nil && n.spec.HardDeletes != HardDeletesIgnore {
			s.gone = true
		}
		return s, false
	}
	first := s.values == nil
	if first {
		s.values = map[string]any{}
		s.carried = map[string]bool{}
	}
	for _, name := range n.spec.Attributes {
		if n.typeOf(name) != Type0 {
			s.values[name] = made[name]
			continue
		}
		if first || !s.carried[name] && !h.missing[name] {
			s.values[name] = made[name]
			s.carried[name] = !h.missing[name]
		}
	}
	s.gone = false
	return s, false
}

func (n *naive) decided(s naiveState, h *happening, made map[string]any, leaves bool) (naiveState, bool) {
	op := h.op
	if leaves {
		op = "d"
		for k := range made {
			made[k] = nil
		}
	}
	var now map[string]any
	if s.values != nil && !s.gone {
		now = s.values
	}
	action, values := n.decides(op, h.at, now, made)
	switch action {
	case ActionDelete:
		s.gone = s.values != nil && n.spec.HardDeletes != HardDeletesIgnore
	case ActionOverwrite, ActionNewVersion:
		s.values, s.gone = values, false
	}
	return s, action == ActionNewVersion
}

// versions are those of one member.
func (n *naive) versions(changes []*happening) []naiveVersion {
	changes = slices.Clone(changes)
	if n.spec.HardDeletes == HardDeletesIgnore {
		changes = slices.DeleteFunc(changes, func(h *happening) bool { return h.op == "d" })
	}
	slices.SortFunc(changes, compareHappenings)
	var out []naiveVersion
	s := naiveState{}
	overwritten := int64(-1)
	for len(changes) > 0 {
		at := clamp(changes[0].at)
		before, recorded, split := s.clone(), int64(-1), false
		changedAt := int64(0)
		for len(changes) > 0 && clamp(changes[0].at) == at {
			next, wants := n.step(s, changes[0])
			if next.differs(s) || wants {
				recorded = max(recorded, changes[0].recorded)
			}
			s, split = next, !next.gone && (split || wants)
			changedAt, changes = changes[0].at, changes[1:]
		}
		if s.gone { // of one time the last change counts
			s.values, s.carried, s.gone = before.values, before.carried, before.values != nil
		}
		if s.values == nil || !s.differs(before) && !split {
			continue
		}
		if before.values == nil || !sameValues(s.values, before.values, func(name string) bool { return n.typeOf(name) == Type1 }) {
			overwritten = recorded
		}
		out = n.settle(out, s, naiveVersion{from: at, to: Forever, changedAt: changedAt, deleted: s.gone, recorded: recorded}, split)
	}
	if n.versioned() && n.spec.Type1Scope == Type1All {
		any := false
		for _, name := range n.spec.Attributes {
			if n.typeOf(name) != Type1 {
				continue
			}
			any = true
			for i := range out {
				out[i].values[name] = s.values[name]
			}
		}
		for i := range out {
			if any {
				out[i].recorded = max(out[i].recorded, overwritten)
			}
		}
	}
	return out
}

func clamp(at int64) int64 { return max(min(at, Forever-1), Beginning) }

// settle adds what the changes of one time make of a member.
func (n *naive) settle(out []naiveVersion, s naiveState, v naiveVersion, split bool) []naiveVersion {
	v.values = s.clone().values
	if len(out) == 0 {
		if s.gone {
			return out
		}
		if n.spec.FirstValidFrom == FirstValidFromBeginning {
			v.from = Beginning
		}
		return append(out, v)
	}
	last := &out[len(out)-1]
	amend := func() {
		last.recorded = max(last.recorded, v.recorded)
		last.values = v.values
	}
	isType2 := func(name string) bool { return n.typeOf(name) == Type2 }
	switch {
	case !n.versioned():
		amend()
		last.deleted = s.gone && n.spec.HardDeletes == HardDeletesNewRecord
		if n.spec.HardDeletes == HardDeletesInvalidate {
			if !s.gone {
				last.to = Forever
			} else if last.to == Forever {
				last.to = v.from
			}
		}
	case s.gone && n.spec.HardDeletes == HardDeletesInvalidate:
		if last.to == Forever {
			last.to = v.from
		}
		last.recorded = max(last.recorded, v.recorded)
	case s.gone && last.deleted:
	case s.gone, last.deleted, last.to != Forever, split, n.decides == nil && !sameValues(s.values, last.values, isType2):
		last.to = min(last.to, v.from)
		return append(out, v)
	default:
		amend()
	}
	return out
}

// all are the versions of a member with that which is inferred, if it was asked
// for at some time.
func (n *naive) all(changes []*happening, asked []int64) []naiveVersion {
	out := n.versions(changes)
	inferred := naiveVersion{from: Beginning, to: Forever, inferred: true, recorded: -1, values: map[string]any{}}
	if len(out) == 0 {
		if len(asked) == 0 {
			return nil
		}
		return []naiveVersion{inferred}
	}
	if n.versioned() && n.spec.FirstValidFrom == FirstValidFromEffective && slices.ContainsFunc(asked, func(at int64) bool { return clamp(at) < out[0].from }) {
		inferred.to = out[0].from
		out = append([]naiveVersion{inferred}, out...)
	}
	return out
}

// find is the version in force at a time, nil for a gap.
func (n *naive) find(changes []*happening, at int64) *naiveVersion {
	at = clamp(at)
	all := n.all(changes, []int64{at})
	if !n.versioned() && !all[0].inferred {
		if at >= all[0].to {
			return nil
		}
		return &all[0]
	}
	for i := range all {
		if all[i].from <= at && at < all[i].to {
			return &all[i]
		}
	}
	return nil
}

func hashed(parts ...any) string {
	var texts []string
	for _, p := range parts {
		texts = append(texts, fmt.Sprint(p))
	}
	sum := md5.Sum([]byte(strings.Join(texts, "-")))
	return hex.EncodeToString(sum[:])
}

func (n *naive) keys(id string, sub int64, v *naiveVersion) (surrogate, durable string) {
	durable = hashed(id, sub)
	if n.versioned() {
		return hashed(id, sub, v.from), durable
	}
	return durable, durable
}

func anyText(v any) string {
	if v == nil {
		return "(null)"
	}
	return fmt.Sprint(v)
}

// text is a row of the table.
func (n *naive) text(id string, sub int64, v *naiveVersion) string {
	surrogate, durable := n.keys(id, sub, v)
	parts := []string{"customer_key=" + surrogate, "durable_key=" + durable, "id=" + id, fmt.Sprintf("sub=%d", sub)}
	for _, name := range n.spec.Attributes {
		parts = append(parts, name+"="+anyText(v.values[name]))
	}
	to, changedAt, recorded, polled := instantText(v.to), instantText(v.changedAt), fmt.Sprint(v.recorded), fmt.Sprint(recordtest.Ingested)
	if v.to == Forever && n.spec.ValidToCurrent == ValidToEmpty {
		to = "(null)"
	}
	if v.inferred {
		changedAt = "(null)"
	}
	if v.recorded < 0 {
		recorded, polled = "(null)", "(null)"
	}
	parts = append(parts, "valid_from="+instantText(v.from), "valid_to="+to, "changed_at="+changedAt,
		fmt.Sprintf("is_current=%t", v.to == Forever), fmt.Sprintf("is_deleted=%t", v.deleted), fmt.Sprintf("is_inferred=%t", v.inferred),
		"kafka_timestamp="+recorded, "ingested_at="+polled)
	return strings.Join(parts, " ")
}
