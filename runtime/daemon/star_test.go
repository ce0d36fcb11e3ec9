package daemon_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/daemon"
)

func TestOrdersReferToTheVersionInForce(t *testing.T) {
	dir := t.TempDir()
	p := starSetup{dimension: "unknown_member: {city: Unknown}\n"}.load(t, dir)
	produce(t, p, "customers", moves("c", 1, 1, day(1), "Austin"), moves("u", 2, 1, day(10), "Denver"), moves("r", 3, 2, day(1), "Oslo"))
	produce(t, p, "orders", buys(1, 100, 1, day(5)), buys(2, 101, 1, day(15)), buys(3, 102, 0, day(5)), buys(4, 103, 9, day(5)), buys(5, 104, 2, day(1).AddDate(-10, 0, 0)))
	mustRun(t, p)
	wantMembers(t, p,
		"[1 Austin 1900-01-01 10 false false false]", "[1 Denver 10 9999-12-31 true false false]", "[2 Oslo 1900-01-01 9999-12-31 true false false]",
		"[9 <nil> 1900-01-01 9999-12-31 true false true]", "[<nil> Unknown 1900-01-01 9999-12-31 true false false]")
	wantOrders(t, p, "100 Austin", "101 Denver", "102 Unknown", "103 null", "104 Oslo")
	wantKeys := "[100 " + versionKey(1, beginning) + "]\n[101 " + versionKey(1, day(10)) + "]\n[102 default_null_key]\n[103 " + versionKey(9, beginning) + "]\n[104 " + versionKey(2, beginning) + "]"
	if got := rowsOf(t, p, "marts.fct_orders", "order_id", "customer_key"); got != wantKeys {
		t.Errorf("got keys\n%s\nwant\n%s", got, wantKeys)
	}

	// The early order's member comes, and is the one that it refers to. The local
	// copy of the state is a cache.
	if err := os.RemoveAll(filepath.Join(dir, ".calve", "state")); err != nil {
		t.Fatal(err)
	}
	produce(t, p, "customers", moves("c", 4, 9, day(3), "Rome"))
	mustRun(t, p)
	wantOrders(t, p, "100 Austin", "101 Denver", "102 Unknown", "103 Rome", "104 Oslo")
	if got := rowsOf(t, p, "marts.fct_orders", "order_id", "customer_key"); got != wantKeys {
		t.Errorf("when the member has come: got keys\n%s\nwant\n%s", got, wantKeys)
	}
	wantMembers(t, p,
		"[1 Austin 1900-01-01 10 false false false]", "[1 Denver 10 9999-12-31 true false false]", "[2 Oslo 1900-01-01 9999-12-31 true false false]",
		"[9 Rome 1900-01-01 9999-12-31 true false false]", "[<nil> Unknown 1900-01-01 9999-12-31 true false false]")
}

// A late change of a customer splits a version, and the orders since then refer to
// the new one in the same epoch. One that says the same as the version in force
// changes nothing; one before a change that said the same moves its version's
// start, and so its key.
func TestLateChangesMoveKeysInTheirEpoch(t *testing.T) {
	p := starSetup{}.load(t, t.TempDir())
	produce(t, p, "customers", moves("c", 1, 1, day(1), "Austin"), moves("u", 2, 1, day(20), "Denver"))
	produce(t, p, "orders", buys(1, 100, 1, day(5)), buys(2, 101, 1, day(12)), buys(3, 102, 1, day(25)))
	mustRun(t, p)
	wantOrders(t, p, "100 Austin", "101 Austin", "102 Denver")

	produce(t, p, "customers", moves("u", 3, 1, day(10), "Boise"))
	epochs := mustRun(t, p).Epochs
	if epochs != 1 {
		t.Errorf("the change and its orders take %d epochs, want 1", epochs)
	}
	wantMembers(t, p, unknownMember, "[1 Austin 1900-01-01 10 false false false]", "[1 Boise 10 20 false false false]", "[1 Denver 20 9999-12-31 true false false]")
	wantOrders(t, p, "100 Austin", "101 Boise", "102 Denver")

	produce(t, p, "customers", moves("u", 4, 1, day(15), "Denver"), moves("u", 5, 1, day(3), "Austin"))
	mustRun(t, p)
	wantMembers(t, p, unknownMember, "[1 Austin 1900-01-01 10 false false false]", "[1 Boise 10 15 false false false]", "[1 Denver 15 9999-12-31 true false false]")
	wantOrders(t, p, "100 Austin", "101 Boise", "102 Denver")
	if got, want := rowsOf(t, p, "marts.fct_orders", "order_id", "customer_key"), "[102 "+versionKey(1, day(15))+"]"; !strings.HasSuffix(got, want) {
		t.Errorf("got keys\n%s\nwant the last to be %s", got, want)
	}

	// Beyond what is kept for late changes there is a dead letter.
	produce(t, p, "customers", moves("c", 6, 2, day(28), "Oslo"), moves("u", 7, 1, day(28).AddDate(0, 0, -31), "Rome"))
	mustRun(t, p)
	produce(t, p, "customers", moves("u", 8, 1, day(28).AddDate(0, 0, -31), "Rome"))
	mustRun(t, p)
	if got := reasons(t, p); got != "7:late_change" {
		t.Errorf("got dead letters %s, want 7:late_change", got)
	}
}

const unknownMember = "[<nil> <nil> 1900-01-01 9999-12-31 true false false]"

// What the deletion of a member does is for hard_deletes to say, and orders from
// then on refer to what there is.
func TestDeletedMembers(t *testing.T) {
	for _, c := range []struct {
		hardDeletes string
		members     []string
		orders      []string
	}{
		{"new_record", []string{"[1 Austin 1900-01-01 10 false false false]", "[1 Austin 10 20 false true false]", "[1 Denver 20 9999-12-31 true false false]"}, []string{"100 Austin", "101 Austin", "102 Denver"}},
		{"invalidate", []string{"[1 Austin 1900-01-01 10 false false false]", "[1 Denver 20 9999-12-31 true false false]"}, []string{"100 Austin", "101 null", "102 Denver"}},
		{"ignore", []string{"[1 Austin 1900-01-01 20 false false false]", "[1 Denver 20 9999-12-31 true false false]"}, []string{"100 Austin", "101 Austin", "102 Denver"}},
	} {
		t.Run(c.hardDeletes, func(t *testing.T) {
			p := starSetup{dimension: "hard_deletes: " + c.hardDeletes + "\n"}.load(t, t.TempDir())
			produce(t, p, "customers", moves("c", 1, 1, day(1), "Austin"), moves("d", 2, 1, day(10), "Austin"))
			produce(t, p, "orders", buys(1, 100, 1, day(5)), buys(2, 101, 1, day(15)))
			mustRun(t, p)
			produce(t, p, "orders", buys(3, 102, 1, day(25)))
			mustRun(t, p)
			produce(t, p, "customers", moves("c", 3, 1, day(20), "Denver"))
			mustRun(t, p)
			wantMembers(t, p, append(c.members, unknownMember)...)
			wantOrders(t, p, c.orders...)
		})
	}
}

// A dimension over a keyed model is a snapshot of it, as dbt's are: a record of an
// order makes a version, a late change of its customer corrects those that there
// are.
func TestSnapshotOfAFact(t *testing.T) {
	p := starSetup{more: map[string]string{
		"models/order_history.yaml": "name: order_history\nkind: dimension\nnamespace: marts\nfrom: ref.fct_orders\nnatural_key: [order_id]\nsurrogate_key: version_key\n" +
			"columns: [customer_city, amount]\nfirst_valid_from: effective\n",
	}}.load(t, t.TempDir())
	produce(t, p, "customers", moves("c", 1, 1, day(1), "Austin"))
	produce(t, p, "orders", buys(1, 100, 1, day(5)), buys(2, 101, 1, day(6)))
	mustRun(t, p)
	produce(t, p, "customers", moves("u", 2, 1, day(3), "Boise"))
	mustRun(t, p)
	produce(t, p, "orders", change("u", 3, day(7), `{"order_id":101,"customer_id":1,"ordered_at":"2026-05-06T12:00:00Z","amount":7}`))
	mustRun(t, p)
	want := "[100 Boise 1000 true]\n[101 Boise 1010 false]\n[101 Boise 7 true]\n[<nil> <nil> <nil> true]"
	if got := rowsOf(t, p, "marts.order_history", "order_id", "customer_city", "amount", "is_current"); got != want {
		t.Errorf("got versions\n%s\nwant\n%s", got, want)
	}
	wantProven(t, p)
}

// A star over tables that have rows takes them in, the dimension before the fact;
// and so it does when the dimension is reset, with which the fact begins anew.
func TestAStarThatIsAddedOrBeginsAnew(t *testing.T) {
	dir := t.TempDir()
	p := starSetup{}.load(t, dir)
	for _, name := range []string{"dim_customers", "fct_orders"} {
		if err := os.Rename(filepath.Join(dir, "models", name+".yaml"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	p = reload(t, p)
	produce(t, p, "customers", moves("c", 1, 1, day(1), "Austin"))
	for i := range 3 { // orders are ahead
		produce(t, p, "orders", buys(i, 100+i, 1, day(5+5*i)))
		mustRun(t, p)
	}
	produce(t, p, "customers", moves("u", 2, 1, day(10), "Denver"))
	mustRun(t, p)
	p = starSetup{}.load(t, dir)
	mustRun(t, p)
	members := []string{unknownMember, "[1 Austin 1900-01-01 10 false false false]", "[1 Denver 10 9999-12-31 true false false]"}
	wantMembers(t, p, members...)
	wantOrders(t, p, "100 Austin", "101 Denver", "102 Denver")

	p = starSetup{dimension: "hard_deletes: ignore\n"}.load(t, dir)
	if _, err := once(t.Context(), p); err == nil || !strings.Contains(err.Error(), "--reset-model dim_customers") || !strings.Contains(err.Error(), "hard_deletes ignore") {
		t.Errorf("another definition of the dimension: got error %v, want one that names --reset-model", err)
	}
	var log strings.Builder
	if _, err := daemon.Run(t.Context(), p, daemon.RunOptions{Once: true, ResetModels: []string{"dim_customers"}, Logger: textLog(&log)}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "model=fct_orders dimensions=dim_customers") {
		t.Errorf("the log does not tell that the fact begins anew: %s", log.String())
	}
	wantMembers(t, p, members...)
	wantOrders(t, p, "100 Austin", "101 Denver", "102 Denver")
	produce(t, p, "customers", moves("u", 3, 1, day(7), "Boise"))
	mustRun(t, p)
	wantOrders(t, p, "100 Austin", "101 Denver", "102 Denver")
}

// Changes need not be those of a database: each row is what its member is from its
// time on.
func TestMembersOfPlainRows(t *testing.T) {
	p := starSetup{plain: true, dimension: "where: city <> 'nowhere'\nderive: {region: \"upper(city)\"}\n"}.load(t, t.TempDir())
	row := func(id int, at int, city string) string {
		return fmt.Sprintf(`{"customer_id":%d,"city":%q,"changed":%q}`, id, city, day(at).Format("2006-01-02T15:04:05Z"))
	}
	produce(t, p, "orders", `{"order_id":100,"customer_id":1,"ordered_at":"2026-05-11T12:00:00Z","amount":1}`)
	produce(t, p, "customers", row(1, 10, "Denver"), row(1, 1, "Austin"), row(1, 12, "nowhere"), `{"customer_id":null,"city":"x","changed":"2026-05-01T00:00:00Z"}`)
	mustRun(t, p)
	wantMembers(t, p, unknownMember, "[1 Austin 1900-01-01 10 false false false]", "[1 Denver 10 9999-12-31 true false false]")
	if got := reasons(t, p); got != "3:null_key" {
		t.Errorf("got dead letters %s, want 3:null_key", got)
	}
	wantOrders(t, p, "100 Denver")
}

func TestPlanFindsWhatIsWrongWithDimensions(t *testing.T) {
	for text, want := range map[string]string{
		"where: nothing = 1\n":                    "nothing",
		"derive: {x: city + 1}\n":                 "models/dim_customers.yaml:",
		"scd: {type_1: [nothing]}\n":              "nothing",
		"unknown_member: {city: x, nothing: y}\n": "nothing",
		"effective_at: customer_id\n":             "customer_id",
	} {
		dir := t.TempDir()
		p, err := loadStar(t, dir, starSetup{dimension: text})
		if err == nil {
			_, err = daemon.MakePlan(t.Context(), p, quiet)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", strings.TrimSpace(text), err, want)
		}
	}
}

// A fact has several keys of one dimension, lasting ones, and days.
func TestKeysOfAllSorts(t *testing.T) {
	p := starSetup{
		dimension: "durable_key: customer_durable_key\n",
		fact: `foreign_keys:
  - {name: customer_key, to: ref.dim_customers, on: [customer_id], copy: {customer_city: city}}
  - {name: lasting_key, to: ref.dim_customers, on: [customer_id], durable: true}
  - {name: first_key, to: ref.dim_customers, on: [customer_id], at: long_ago}
  - {name: day_key, to: ref.dim_date, on: [ordered_at]}
derive: {long_ago: "cast('2020-01-01T00:00:00Z' as timestamptz)"}
`,
		more: map[string]string{"models/dim_date.yaml": "name: dim_date\nkind: date\nnamespace: marts\nrange: [2026-05-01, 2026-05-20]\n"},
	}.load(t, t.TempDir())
	produce(t, p, "customers", moves("c", 1, 1, day(1), "Austin"), moves("u", 2, 1, day(10), "Denver"))
	produce(t, p, "orders", buys(1, 100, 1, day(15)), buys(2, 101, 0, day(25)))
	mustRun(t, p)
	sum := md5.Sum([]byte("1"))
	want := fmt.Sprintf("[100 %s %s %s 2.0260515e+07]\n[101 default_null_key default_null_key default_null_key 0]", versionKey(1, day(10)), hex.EncodeToString(sum[:]), versionKey(1, beginning))
	if got := rowsOf(t, p, "marts.fct_orders", "order_id", "customer_key", "lasting_key", "first_key", "day_key"); got != want {
		t.Errorf("got keys\n%s\nwant\n%s", got, want)
	}
	wantOrders(t, p, "100 Denver", "101 null")
}
