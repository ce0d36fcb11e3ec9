package bridge

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/calvelake/calve/runtime/dimension"
	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/record/recordtest"
)

// What the rows are by definition: of each owner and each member, at each time that
// something changed.

// hashed is a durable key.
func hashed(part any) string {
	if part == nil {
		return dimension.UnknownKey
	}
	sum := md5.Sum([]byte(fmt.Sprint(part)))
	return hex.EncodeToString(sum[:])
}

// model is a bridge by definition.
type model struct {
	unnest bool
	keyed  bool
	where  bool // n > 1
	taken  []stream
	order  []string // of taken, among those of one time
	gone   []bool
	times  []int64
}

// add takes a row that took effect at a time; epoch orders those of a keyed model.
func (m *model) add(s stream, gone bool, at int64, epoch int) {
	order := orderOf(s)
	if m.keyed {
		order = fmt.Sprintf("%08d|%v", epoch, s.host)
	}
	m.taken, m.order, m.gone = append(m.taken, s), append(m.order, order), append(m.gone, gone)
	m.times = append(m.times, at)
}

// orderOf is the place of a row of a staging model among those of one time.
func orderOf(s stream) string { return fmt.Sprintf("%s|%s|%08d", s.sequence, s.topic, s.offset) }

// effective is when a row of a staging model took effect.
func effective(s stream) int64 {
	made := recordedAt(s.offset)
	if ts, ok := s.ts.(int64); ok {
		made = ts
	}
	at, ok := s.at.(int64)
	switch {
	case !ok:
		return made
	case s.op == "d":
		return max(at, made)
	}
	return at
}

func (m *model) owner(s stream) string {
	if m.unnest {
		return hashed(s.id)
	}
	return hashed(s.id) + " host_key=" + hashed(s.host)
}

// state is what an owner's changes up to some time come to.
type state struct {
	row    stream
	live   bool
	newest stream
}

// at is the state of an owner at a time.
func (m *model) at(owner string, at int64) (now state) {
	var of []int
	for i, s := range m.taken {
		if m.owner(s) == owner && m.times[i] <= at {
			of = append(of, i)
		}
	}
	slices.SortFunc(of, func(a, b int) int {
		return cmp.Or(cmp.Compare(m.times[a], m.times[b]), cmp.Compare(m.order[a], m.order[b]))
	})
	for _, i := range of {
		s := m.taken[i]
		if m.gone[i] {
			if m.keyed && now.row.host != s.host {
				continue
			}
			now.live, now.newest = false, s
			continue
		}
		if slices.Contains(s.missing, "categories") {
			s.categories = now.row.categories
		}
		if slices.Contains(s.missing, "n") {
			s.n = now.row.n
		}
		now = state{row: s, live: true, newest: s}
	}
	return now
}

// mapped is what a state says of each member: by its key the columns.
func (m *model) mapped(s state) map[string]string {
	out := map[string]string{}
	n, ok := s.row.n.(int64)
	if !s.live || m.where && (!ok || n <= 1) {
		return out
	}
	weight := "(null)"
	if ok && n != 0 {
		weight = fmt.Sprint(1 / float64(n))
	}
	if !m.unnest {
		out[""] = "weight=" + weight
		return out
	}
	for _, c := range s.row.categories {
		label := "(null)"
		if c != nil && s.row.id != nil {
			label = fmt.Sprintf("%v/%v", s.row.id, c)
		}
		out[" category_key="+hashed(c)] = "label=" + label + " weight=" + weight
	}
	return out
}

// rows are those of the table.
func (m *model) rows() []string {
	owners, times := map[string]bool{}, map[int64]bool{}
	for i, s := range m.taken {
		owners[m.owner(s)], times[m.times[i]] = true, true
	}
	sorted := make([]int64, 0, len(times))
	for at := range times {
		sorted = append(sorted, at)
	}
	slices.Sort(sorted)
	var all []string
	for owner := range owners {
		members := map[string]bool{}
		for _, at := range sorted {
			for key := range m.mapped(m.at(owner, at)) {
				members[key] = true
			}
		}
		for key := range members {
			all = append(all, m.intervals(owner, key, sorted)...)
		}
	}
	slices.Sort(all)
	return all
}

// intervals are the rows of one member of an owner.
func (m *model) intervals(owner, key string, times []int64) (all []string) {
	var from int64
	said, stamped := "", record.NoTime
	finish := func(to int64) {
		if said != "" {
			all = append(all, fmt.Sprintf("stream_key=%s%s %s valid_from=%d valid_to=%s is_current=%v kafka_timestamp=%d ingested_at=%d",
				owner, key, said, from, timeName(to), to == dimension.Forever, stamped, recordtest.Ingested))
		}
	}
	for _, at := range times {
		now := m.at(owner, at)
		says, there := m.mapped(now)[key]
		if !there {
			says = ""
		}
		if says == said {
			continue
		}
		by := recordedAt(now.newest.offset)
		if said != "" {
			stamped = max(stamped, by)
		}
		finish(at)
		said, from, stamped = says, at, by
	}
	finish(dimension.Forever)
	return all
}
