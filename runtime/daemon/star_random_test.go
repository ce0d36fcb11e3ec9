package daemon_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/calvelake/calve/lakehouse"
	"github.com/calvelake/calve/runtime/project"
)

// trade is a random stream of changes of customers and of orders, and the star that
// they must come to, computed with hindsight.
type trade struct {
	*rand.Rand
	hardDeletes string
	moves       []tradedMove
	orders      []tradedOrder
}

type tradedMove struct {
	sequence, customer int
	at                 time.Time
	city               string // "" for a deletion
}

type tradedOrder struct {
	id, customer int
	at           time.Time
}

// hours are within the three weeks that nothing is late in.
func (r *trade) time() time.Time { return day(1).Add(time.Duration(r.IntN(21*24)) * time.Hour) }

var tradedCities = []string{"Austin", "Boise", "Denver"}

// next are records of both topics.
func (r *trade) next() (customers, orders []string) {
	for range 1 + r.IntN(6) {
		m := tradedMove{sequence: len(r.moves) + 1, customer: 1 + r.IntN(4), at: r.time(), city: tradedCities[r.IntN(3)]}
		op := []string{"c", "u", "u", "r"}[r.IntN(4)]
		text := moves(op, m.sequence, m.customer, m.at, m.city)
		if r.IntN(6) == 0 {
			m.city = ""
			text = moves("d", m.sequence, m.customer, m.at, "gone")
		}
		r.moves = append(r.moves, m)
		customers = append(customers, text)
	}
	for range 1 + r.IntN(6) {
		o := tradedOrder{id: 100 + len(r.orders), customer: r.IntN(6), at: r.time()}
		r.orders = append(r.orders, o)
		orders = append(orders, buys(o.id, o.id, o.customer, o.at))
	}
	return customers, orders
}

// tradedVersion is a version of a customer.
type tradedVersion struct {
	city     string
	from, to time.Time
	deleted  bool
}

var forever = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// versions are those of a customer: what was in force from each of its changes on,
// as far as it differs from what was before.
func (r *trade) versions(customer int) []tradedVersion {
	var changes []tradedMove
	for _, m := range r.moves {
		if m.customer == customer {
			changes = append(changes, m)
		}
	}
	slices.SortFunc(changes, func(a, b tradedMove) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.sequence, b.sequence)) })
	var all []tradedVersion
	exists, gone := false, false
	city := ""
	for i, m := range changes {
		if i+1 < len(changes) && changes[i+1].at.Equal(m.at) {
			continue // of equal times the last wins
		}
		switch {
		case m.city != "":
			if n := len(all); n > 0 && !gone && city == m.city {
				continue
			}
			city, exists, gone = m.city, true, false
			all = r.begin(all, tradedVersion{city: city, from: m.at, to: forever})
		case !exists || gone || r.hardDeletes == "ignore":
		case r.hardDeletes == "invalidate":
			gone = true
			all[len(all)-1].to = m.at
		default:
			gone = true
			all = r.begin(all, tradedVersion{city: city, from: m.at, to: forever, deleted: true})
		}
	}
	return all
}

// begin adds a version, which ends the one before; the first is from the beginning
// on.
func (r *trade) begin(all []tradedVersion, v tradedVersion) []tradedVersion {
	if len(all) == 0 {
		v.from = beginning
	} else if last := &all[len(all)-1]; last.to.Equal(forever) {
		last.to = v.from
	}
	return append(all, v)
}

// members are the rows of the dimension, as rowsOf shows them.
func (r *trade) members() []string {
	lines := []string{fmt.Sprint([]any{nil, nil, beginning.Format(time.RFC3339), forever.Format(time.RFC3339), false, false, "default_null_key"})}
	for customer := 1; customer < 6; customer++ {
		all := r.versions(customer)
		if len(all) == 0 && slices.ContainsFunc(r.orders, func(o tradedOrder) bool { return o.customer == customer }) {
			lines = append(lines, fmt.Sprint([]any{customer, nil, beginning.Format(time.RFC3339), forever.Format(time.RFC3339), false, true, versionKey(customer, beginning)}))
		}
		for _, v := range all {
			lines = append(lines, fmt.Sprint([]any{customer, v.city, v.from.Format(time.RFC3339), v.to.Format(time.RFC3339), v.deleted, false, versionKey(customer, v.from)}))
		}
	}
	slices.Sort(lines)
	return lines
}

// facts are the rows of the fact.
func (r *trade) facts() []string {
	var lines []string
	for _, o := range r.orders {
		key := "default_null_key"
		if all := r.versions(o.customer); o.customer > 0 && len(all) == 0 {
			key = versionKey(o.customer, beginning)
		} else {
			for _, v := range all {
				if !o.at.Before(v.from) && o.at.Before(v.to) {
					key = versionKey(o.customer, v.from)
				}
			}
		}
		lines = append(lines, fmt.Sprint([]any{o.id, key}))
	}
	slices.Sort(lines)
	return lines
}

// withProfile is a project whose tables are of a profile.
func withProfile(t *testing.T, p *project.Project, profile string) *project.Project {
	t.Helper()
	file := filepath.Join(p.Dir, "calve.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, "profile: "+profile+"\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	return reload(t, p)
}

// Whatever order changes and orders come in, wherever runs are stopped, and whether
// or not the machine keeps its copy of the state, each order refers to the version
// that was in force.
func TestOrdersReferToVersionsWhateverComesFirst(t *testing.T) {
	for seed, hardDeletes := range []string{"new_record", "invalidate", "ignore"} {
		t.Run(hardDeletes, func(t *testing.T) { tradeOnce(t, hardDeletes, "strict", uint64(seed)) })
	}
	t.Run("deletion vectors", func(t *testing.T) { tradeOnce(t, "invalidate", "v3-dv", 9) })
}

func tradeOnce(t *testing.T, hardDeletes, profile string, seed uint64) {
	const runs = 4
	dir := t.TempDir()
	p := starSetup{dimension: "hard_deletes: " + hardDeletes + "\nlate_changes: 90d\n", fact: strings.Replace(ordersOfCustomers, "30d", "90d", 1)}.load(t, dir)
	p = withProfile(t, p, profile)
	r := &trade{Rand: rand.New(rand.NewPCG(seed, 7)), hardDeletes: hardDeletes}
	for i := range runs {
		customers, orders := r.next()
		produce(t, p, "customers", customers...)
		produce(t, p, "orders", orders...)
		if r.IntN(3) == 0 {
			if err := os.RemoveAll(filepath.Join(dir, ".calve", "state")); err != nil {
				t.Fatal(err)
			}
		}
		if i < runs-1 && r.IntN(2) == 0 {
			runStopped(t, p, 1+r.Int64N(12))
			continue
		}
		mustRun(t, p)
		columns := []string{"customer_id", "city", "valid_from", "valid_to", "is_deleted", "is_inferred", "customer_key"}
		if got, want := rowsOf(t, p, "marts.dim_customers", columns...), strings.Join(r.members(), "\n"); got != want {
			t.Errorf("run %d: got members\n%s\nwant\n%s", i, got, want)
		}
		if got, want := rowsOf(t, p, "marts.fct_orders", "order_id", "customer_key"), strings.Join(r.facts(), "\n"); got != want {
			t.Errorf("run %d: got orders\n%s\nwant\n%s", i, got, want)
		}
		if t.Failed() {
			for _, m := range r.moves {
				t.Logf("customer %d is in %q from %s on (%d)", m.customer, m.city, m.at.Format(time.RFC3339), m.sequence)
			}
			return
		}
	}
	if got := reconciled(t, p, "dim_customers"); got != (lakehouse.RequestResult{}) {
		t.Errorf("made anew with its orders the dimension differs by %+v, want nothing", got)
	}
	wantProven(t, p)
}
