package daemon_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/project"
)

// starSetup is a project with customers and orders of a database, as a dimension
// and a fact.
type starSetup struct {
	dimension string            // more of dim_customers, as YAML
	fact      string            // more of fct_orders
	more      map[string]string // further files
	plain     bool              // the sources are no change events
	interval  string            // commit.interval; 10s if ""
}

func (s starSetup) load(t *testing.T, dir string) *project.Project {
	t.Helper()
	p, err := loadStar(t, dir, s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// reload reads a project again whose files were changed.
func reload(t *testing.T, p *project.Project) *project.Project {
	t.Helper()
	again, err := project.Load(p.Dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func textLog(to io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(to, nil)) }

func loadStar(t *testing.T, dir string, s starSetup) (*project.Project, error) {
	t.Helper()
	setup{interval: s.interval}.write(t, dir)
	if err := os.RemoveAll(filepath.Join(dir, "models")); err != nil {
		t.Fatal(err)
	}
	format, of := "debezium-json", "event_time: source_ts\n"
	if s.plain {
		format, of = "json", "event_time: changed\n"
	}
	customers := "columns:\n  - {name: customer_id, data_type: long}\n  - {name: city, data_type: string}\n  - {name: email, data_type: string}\n"
	if s.plain {
		customers += "  - {name: changed, data_type: timestamptz}\n"
	}
	files := map[string]string{
		"models/sources.yaml":               "sources:\n  - name: shop\n    format: " + format + "\n    tables:\n      - {name: customers, topic: customers}\n      - {name: orders, topic: orders}\n",
		"models/staging/stg_customers.yaml": "name: stg_customers\nkind: staging\nfrom: source.shop.customers\nmax_out_of_orderness: 0s\n" + of + customers,
		"models/staging/stg_orders.yaml": "name: stg_orders\nkind: staging\nfrom: source.shop.orders\nmax_out_of_orderness: 0s\nevent_time: ordered_at\n" +
			"columns:\n  - {name: order_id, data_type: long}\n  - {name: customer_id, data_type: long}\n  - {name: ordered_at, data_type: timestamptz}\n  - {name: amount, data_type: long}\n",
		"models/dim_customers.yaml": "name: dim_customers\nkind: dimension\nnamespace: marts\nfrom: ref.stg_customers\nnatural_key: [customer_id]\nsurrogate_key: customer_key\n" +
			"columns: [city, email]\n" + s.dimension,
		"models/fct_orders.yaml": "name: fct_orders\nkind: fact\nnamespace: marts\nfrom: ref.stg_orders\ngrain: [order_id]\nmeasures: [amount]\n" + orElse(s.fact, ordersOfCustomers),
	}
	for name, text := range s.more {
		files[name] = text
	}
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return project.Load(dir, func(string) (string, bool) { return "", false })
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

const ordersOfCustomers = `allowed_lateness: 30d
foreign_keys:
  - {name: customer_key, to: ref.dim_customers, on: [customer_id], copy: {customer_city: city}}
`

// day is a time in May 2026.
func day(n int) time.Time { return time.Date(2026, 5, n, 12, 0, 0, 0, time.UTC) }

// change is what Debezium says of a row, which is JSON. Its place in the
// database's log is one for each change of a test.
func change(op string, sequence int, at time.Time, row string) string {
	before, after := "null", row
	if op == "d" {
		before, after = row, "null"
	}
	return fmt.Sprintf(`{"op":%q,"ts_ms":9,"source":{"connector":"postgresql","db":"shop","schema":"public","table":"any","ts_ms":%d,"lsn":%d},"before":%s,"after":%s}`,
		op, at.UnixMilli(), sequence, before, after)
}

// moves is a change of a customer's city.
func moves(op string, sequence, id int, at time.Time, city string) string {
	return change(op, sequence, at, fmt.Sprintf(`{"customer_id":%d,"city":%q,"email":"%d@x"}`, id, city, id))
}

// buys is an order; a customer of 0 is none.
func buys(sequence, id, customer int, at time.Time) string {
	of := fmt.Sprint(customer)
	if customer == 0 {
		of = "null"
	}
	return change("c", sequence, at, fmt.Sprintf(`{"order_id":%d,"customer_id":%s,"ordered_at":%q,"amount":%d}`, id, of, at.Format(time.RFC3339), 10*id))
}

// versionKey is the surrogate key of a customer's version.
func versionKey(id int, from time.Time) string {
	sum := md5.Sum(fmt.Appendf(nil, "%d-%d", id, from.UnixMicro()))
	return hex.EncodeToString(sum[:])
}

var beginning = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)

// wantMembers compares the dimension, a version a line.
func wantMembers(t *testing.T, p *project.Project, want ...string) {
	t.Helper()
	slices.Sort(want)
	got := rowsOf(t, p, "marts.dim_customers", "customer_id", "city", "valid_from", "valid_to", "is_current", "is_deleted", "is_inferred")
	got = strings.NewReplacer("T12:00:00Z", "", "T00:00:00Z", "", "2026-05-", "").Replace(got)
	lines := strings.Split(got, "\n")
	slices.Sort(lines)
	if !slices.Equal(lines, want) {
		t.Errorf("got members\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

// wantOrders compares the facts beside the versions that they refer to, of which
// each must have one.
func wantOrders(t *testing.T, p *project.Project, want ...string) {
	t.Helper()
	lake, err := daemon.OpenLakehouse(t.Context(), p, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer lake.Close() //nolint:errcheck // only read from
	cities := map[string]string{}
	for _, r := range readTable(t, lake, definitionID(t, "marts.dim_customers")) {
		if _, twice := cities[r.text("customer_key")]; twice {
			t.Errorf("key %s is there twice", r.text("customer_key"))
		}
		cities[r.text("customer_key")] = string(r["city"])
	}
	var got []string
	for _, r := range readTable(t, lake, definitionID(t, "marts.fct_orders")) {
		city, ok := cities[r.text("customer_key")]
		if !ok {
			city = "no member has key " + r.text("customer_key")
		}
		if copied := string(r["customer_city"]); copied != city {
			city += ", copied as " + copied
		}
		got = append(got, fmt.Sprintf("%s %s", r["order_id"], strings.ReplaceAll(city, `"`, "")))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got orders\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	wantProven(t, p)
}
