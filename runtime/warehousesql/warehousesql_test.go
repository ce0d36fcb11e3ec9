package warehousesql_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/calvelake/calve/runtime/record"
	"github.com/calvelake/calve/runtime/warehousesql"
)

var update = flag.Bool("update", false, "rewrite testdata")

func schema(columns ...any) *arrow.Schema {
	var fields []arrow.Field
	for i := 0; i < len(columns); i += 2 {
		fields = append(fields, arrow.Field{Name: columns[i].(string), Type: columns[i+1].(arrow.DataType), Nullable: true})
	}
	return arrow.NewSchema(fields, nil)
}

var (
	text, long, integer = arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Int32
	boolean, day, at    = arrow.FixedWidthTypes.Boolean, arrow.FixedWidthTypes.Date32, arrow.DataType(record.Timestamptz)
)

const unknown = "default_null_key"

// shop is a star: versioned customers, referred to by version and by durable key,
// products without versions, days.
func shop() warehousesql.Project {
	return warehousesql.Project{
		Name: "shop", Warehouse: "s3://lake/shop", Catalog: warehousesql.Catalog{URI: "https://catalog.example.com", Warehouse: "main"},
		Tables: []warehousesql.Table{
			{Model: "stg_orders", Namespace: "staging", Name: "stg_orders", Columns: schema("order_id", long, "region", text)},
			{
				Model: "dim_customers", Namespace: "marts", Name: "dim_customers",
				Columns: schema("customer_key", text, "customer_durable_key", text, "region", text, "customer_id", long, "customer_name", text, "city", text,
					"valid_from", at, "valid_to", at, "is_current", boolean, "is_deleted", boolean),
				Keys: []warehousesql.Key{
					{Column: "customer_key", Parts: []string{"region", "customer_id", "valid_from"}, Unknown: unknown},
					{Column: "customer_durable_key", Parts: []string{"region", "customer_id"}, Unknown: unknown},
				},
				Dimension: &warehousesql.Dimension{Key: "customer_key", Durable: "customer_durable_key", Versions: true, Unknown: unknown, Attributes: []string{"customer_name", "city"}},
			},
			{Model: "dim_date", Namespace: "marts", Name: "dim_date", Columns: schema("date_key", integer, "year", integer), Dimension: &warehousesql.Dimension{Key: "date_key", Attributes: []string{"year"}}},
			{
				Model: "fct_orders", Namespace: "marts", Name: "fct_orders",
				Columns: schema("order_key", text, "region", text, "placed_on", day, "express", boolean, "ordered_at", at, "customer_key", text, "payer_key", text, "payer_city", text, "order_date_key", integer),
				Keys:    []warehousesql.Key{{Column: "order_key", Parts: []string{"region", "placed_on", "express"}}},
				Fact: &warehousesql.Fact{ForeignKeys: []warehousesql.ForeignKey{
					{Name: "customer_key", To: "dim_customers"}, {Name: "payer_key", To: "dim_customers", Durable: true, At: "ordered_at"}, {Name: "order_date_key", To: "dim_date"},
				}},
			},
		},
	}
}

func TestScriptsOfEachTarget(t *testing.T) {
	for _, target := range warehousesql.Targets() {
		statements, err := warehousesql.Render(shop(), target, "")
		if err != nil {
			t.Fatal(err)
		}
		got, file := warehousesql.Script(statements), "testdata/"+string(target)+".sql"
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: got\n%s\nwant what %s has; if it is meant, run go test ./runtime/warehousesql -update", target, got, file)
		}
	}
}

func TestEmbeddedCatalogIsServed(t *testing.T) {
	p := shop()
	p.Catalog = warehousesql.Catalog{URI: "http://127.0.0.1:8181", Embedded: true}
	for target, want := range map[warehousesql.Target]string{
		warehousesql.DuckDB:    `ATTACH 'lake' AS "shop" (TYPE iceberg, ENDPOINT 'http://127.0.0.1:8181', AUTHORIZATION_TYPE 'none');`,
		warehousesql.Snowflake: "BEARER_TOKEN = '<token that the proxy asks for>'",
	} {
		statements, err := warehousesql.Render(p, target, "dim_customers")
		if err != nil {
			t.Fatal(err)
		}
		if got := warehousesql.Script(statements); !strings.Contains(got, want) {
			t.Errorf("%s: got\n%s\nwant %q within", target, got, want)
		}
	}
}

func TestOneModel(t *testing.T) {
	statements, err := warehousesql.Render(shop(), warehousesql.BigQuery, "fct_orders")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range statements {
		got = append(got, string(s.Purpose)+" "+s.Model+" "+s.Column)
	}
	if got, want := strings.Join(got, "\n"), "attach  \nattach fct_orders \nview fct_orders \ncheck fct_orders order_key"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWhatCannotBeRenderedIsRefused(t *testing.T) {
	odd := shop()
	odd.Tables[0].Keys = []warehousesql.Key{{Column: "k", Parts: []string{"amount"}}}
	odd.Tables[0].Columns = schema("k", text, "amount", arrow.PrimitiveTypes.Float64)
	for _, c := range []struct {
		project       warehousesql.Project
		target, model string
		want          string
	}{
		{shop(), "oracle", "", `there is no target "oracle", expected one of snowflake, bigquery, databricks, duckdb`},
		{shop(), "duckdb", "orders", `project shop has no model "orders" with a table`},
		{odd, "duckdb", "", "model stg_orders: key k: column amount is double, which cannot be part of a key"},
	} {
		if _, err := warehousesql.Render(c.project, warehousesql.Target(c.target), c.model); err == nil || err.Error() != c.want {
			t.Errorf("%s %s: got error %v, want %s", c.target, c.model, err, c.want)
		}
	}
}

// Who attaches tables with deletion vectors is told first what they need.
func TestDeletionVectorsAreTold(t *testing.T) {
	for _, target := range warehousesql.Targets() {
		for _, vectors := range []bool{false, true} {
			p := shop()
			p.Vectors = vectors
			all, err := warehousesql.Render(p, target, "")
			if err != nil {
				t.Fatal(err)
			}
			if told := strings.Contains(all[0].Note, "v3-dv"); told != vectors {
				t.Errorf("%s, vectors %v: the first note is %q", target, vectors, all[0].Note)
			}
		}
	}
}
