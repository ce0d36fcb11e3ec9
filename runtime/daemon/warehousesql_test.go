package daemon_test

import (
	"reflect"
	"testing"

	"github.com/calvelake/calve/runtime/daemon"
	"github.com/calvelake/calve/runtime/warehousesql"
)

func TestTablesForWarehouses(t *testing.T) {
	const dates = "name: dim_date\nkind: date\nnamespace: marts\nrange: [2026-05-01, 2026-05-31]\n"
	for _, c := range []struct {
		scd  string
		want []warehousesql.Key
	}{
		{"{default: 2, type_1: [email]}", []warehousesql.Key{{Column: "customer_key", Parts: []string{"customer_id", "valid_from"}, Unknown: "default_null_key"}, {Column: "durable_key", Parts: []string{"customer_id"}, Unknown: "default_null_key"}}},
		{"{default: 1}", []warehousesql.Key{{Column: "customer_key", Parts: []string{"customer_id"}, Unknown: "default_null_key"}, {Column: "durable_key", Parts: []string{"customer_id"}, Unknown: "default_null_key"}}},
	} {
		p := starSetup{
			dimension: "durable_key: durable_key\nscd: " + c.scd + "\n",
			fact:      "surrogate_key: order_key\n" + ordersOfCustomers + "  - {name: payer_key, to: ref.dim_customers, on: [customer_id], durable: true}\n  - {name: order_date_key, to: ref.dim_date, on: [ordered_at]}\n",
			more:      map[string]string{"models/dim_date.yaml": dates},
		}.load(t, t.TempDir())
		got, err := daemon.WarehouseProject(p)
		if err != nil {
			t.Fatal(err)
		}
		tables := map[string]warehousesql.Table{}
		for _, table := range got.Tables {
			tables[table.Model] = table
		}
		customers, orders := tables["dim_customers"], tables["fct_orders"]
		if !reflect.DeepEqual(customers.Keys, c.want) {
			t.Errorf("scd %s: got keys %+v, want %+v", c.scd, customers.Keys, c.want)
		}
		if want := (&warehousesql.Dimension{Key: "customer_key", Durable: "durable_key", Versions: true, Attributes: []string{"customer_id", "city", "email"}, Unknown: "default_null_key"}); !reflect.DeepEqual(customers.Dimension, want) {
			t.Errorf("got dimension %+v, want %+v", customers.Dimension, want)
		}
		if want := []warehousesql.Key{{Column: "order_key", Parts: []string{"order_id"}}}; !reflect.DeepEqual(orders.Keys, want) {
			t.Errorf("got keys of orders %+v, want %+v", orders.Keys, want)
		}
		want := []warehousesql.ForeignKey{
			{Name: "customer_key", To: "dim_customers", At: "ordered_at"}, {Name: "payer_key", To: "dim_customers", Durable: true, At: "ordered_at"}, {Name: "order_date_key", To: "dim_date", At: "ordered_at"},
		}
		if !reflect.DeepEqual(orders.Fact.ForeignKeys, want) {
			t.Errorf("got foreign keys %+v, want %+v", orders.Fact.ForeignKeys, want)
		}
		if len(got.Tables) != 5 || tables["dim_date"].Dimension.Key != "date_key" || tables["stg_orders"].Dimension != nil {
			t.Errorf("got tables %+v", got.Tables)
		}
		for _, target := range warehousesql.Targets() {
			if _, err := warehousesql.Render(got, target, ""); err != nil {
				t.Errorf("%s: %v", target, err)
			}
		}
	}
}
