package fact

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// row is a fact's row as the model has it.
type row struct {
	values     []any // of orderFields
	deleted    bool
	recorded   int64
	ingested   int64
	paidAt     any
	paid       any
	milestones bool
}

// want is the table by brute force: all rows sorted, and joined to all.
func (w *world) want() []string {
	var out []string
	for _, r := range w.shown() {
		if !w.v.where || r.values[5] != nil && r.values[5].(int64) > 2 {
			out = append(out, w.text(r))
		}
	}
	slices.Sort(out)
	return out
}

// compareOrder compares where rows belong among those of their grain.
func compareOrder(a, b *left) int {
	if a.Changes == nil {
		return cmp.Or(cmp.Compare(a.Values[1].(int64), b.Values[1].(int64)), cmp.Compare(a.Offset, b.Offset))
	}
	sequence := func(l *left) string {
		if l.Changes[2] == nil {
			return ""
		}
		return l.Changes[2].(string)
	}
	at := func(l *left) int64 {
		if l.Changes[1] == nil {
			return -1
		}
		return l.Changes[1].(int64)
	}
	return cmp.Or(strings.Compare(sequence(a), sequence(b)), cmp.Compare(at(a), at(b)), cmp.Compare(a.Offset, b.Offset))
}

// shown is the rows of the facts, not joined.
func (w *world) shown() []row {
	if w.v.keyed {
		return w.shownKeyed()
	}
	grains := map[string][]*left{}
	for i := range w.lefts {
		l := &w.lefts[i]
		id := l.Values[0].(string)
		if w.v.append {
			id += fmt.Sprint(l.Offset)
		}
		grains[id] = append(grains[id], l)
	}
	var out []row
	for _, rows := range grains {
		slices.SortFunc(rows, compareOrder)
		r := row{milestones: !w.v.append}
		var amount any
		found, own := false, int64(0)
		for _, l := range rows {
			if l.op == "d" && !w.v.append {
				if !w.v.ignore {
					r.deleted = true
					r.recorded, r.ingested = max(own, 1000+l.Offset), 5000
				}
				continue
			}
			found = true
			if !l.missing {
				amount = l.Values[5]
			}
			r.values = slices.Clone(l.Values)
			r.values[5] = amount
			r.deleted = l.op == "d"
			own = 1000 + l.Offset
			r.recorded, r.ingested = own, 5000
			if l.Values[6] == "paid" && r.paidAt == nil {
				r.paidAt = l.Values[1]
			}
			if l.Values[6] == "paid" && r.paid == nil {
				r.paid = l.Values[5]
			}
		}
		if found && (!r.deleted || w.v.soft) {
			out = append(out, r)
		}
	}
	return out
}

// shownKeyed is that of each grain's rows with the greatest time and key; deleted
// ones come last.
func (w *world) shownKeyed() []row {
	type candidate struct {
		id     string
		values []any
		gone   bool
	}
	grains := map[string][]candidate{}
	add := func(values []any, gone bool) {
		grain, is := values[1].(string)
		if !is {
			return
		}
		grains[grain] = append(grains[grain], candidate{values[0].(string), values, gone})
	}
	for _, values := range w.keyed {
		add(values, false)
	}
	for _, values := range w.gone {
		if w.v.soft || w.v.ignore {
			add(values, w.v.soft)
		}
	}
	var out []row
	for _, rows := range grains {
		best := slices.MaxFunc(rows, func(a, b candidate) int {
			if a.gone != b.gone {
				if a.gone {
					return -1
				}
				return 1
			}
			return cmp.Or(cmp.Compare(a.values[2].(int64), b.values[2].(int64)), strings.Compare(a.id, b.id))
		})
		out = append(out, row{values: best.values[1:8], deleted: best.gone, recorded: best.values[8].(int64), ingested: best.values[9].(int64)})
	}
	return out
}

func text(v any) string {
	if v == nil {
		return "(null)"
	}
	return fmt.Sprint(v)
}

// matched is what the readings of a row give.
type matched struct {
	rows, rated, sum int64
	top, first, last any
}

func (w *world) readings(r *row) matched {
	m := matched{}
	if r.values[2] == nil || r.values[3] == nil || r.values[4] == nil {
		return m
	}
	var in []*left
	for _, right := range w.rights {
		if right.Values[0] == r.values[2] && right.Values[1] != nil && right.Values[1].(int64) >= r.values[3].(int64) && right.Values[1].(int64) <= r.values[4].(int64) {
			in = append(in, &left{Row: right})
		}
	}
	slices.SortFunc(in, compareOrder)
	for _, right := range in {
		m.rows++
		r.recorded, r.ingested = max(r.recorded, 1000+right.Offset), max(r.ingested, 5000)
		if right.Values[2] == nil {
			continue
		}
		rate := right.Values[2].(int64)
		if m.rated++; m.first == nil {
			m.first = rate
		}
		if m.last = rate; m.top == nil || m.top.(int64) < rate {
			m.top = rate
		}
		m.sum += rate
	}
	return m
}

// text joins a row, and writes it as the tests of tables do.
func (w *world) text(r row) string {
	m := w.readings(&r)
	mean, city := any(nil), any(nil)
	if m.rated > 0 {
		mean = float64(m.sum) / float64(m.rated)
	}
	mates, cities := 0, map[any]bool{}
	for id, u := range w.users {
		if id == r.values[2] {
			city = u[1]
		}
		if u[2] == r.values[6] {
			if mates++; u[1] != nil {
				cities[u[1]] = true
			}
		}
		if id == r.values[2] || u[2] == r.values[6] {
			r.recorded, r.ingested = max(r.recorded, u[3].(int64)), max(r.ingested, u[4].(int64))
		}
	}
	v := r.values
	var gross, perReading any
	if v[5] != nil {
		gross, perReading = v[5].(int64)*2, v[5].(int64)*2+m.rows
	}
	out := fmt.Sprintf("id=%s at=%s"+strings.ReplaceAll(w.references(v, gross), "%", "%%")+" user=%s began=%s ended=%s amount=%s status=%s readings=%d mean=%s top=%s first_rate=%s last_rate=%s user_city=%s mates=%d cities=%d",
		text(v[0]), text(v[1]), text(v[2]), text(v[3]), text(v[4]), text(v[5]), text(v[6]), m.rows, text(mean), text(m.top), text(m.first), text(m.last), text(city), mates, len(cities))
	if r.milestones {
		out += fmt.Sprintf(" paid_at=%s paid=%s", text(r.paidAt), text(r.paid))
	}
	out += fmt.Sprintf(" gross=%s per_reading=%s", text(gross), text(perReading))
	if w.v.soft {
		out += fmt.Sprintf(" is_deleted=%t", r.deleted)
	}
	return out + fmt.Sprintf(" kafka_timestamp=%d ingested_at=%d", r.recorded, r.ingested)
}
