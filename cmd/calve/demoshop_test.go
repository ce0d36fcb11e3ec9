package main

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

func TestDemoJoinsOrdersWithTheCitiesOfTheirTime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	demo := wantDemo(t, dir, "shop")
	// 23 records are tombstones; one order has a price below zero.
	if demo.RowsIn != 566 || demo.RowsOut != demo.RowsIn-23-1 || demo.Rejects != 1 {
		t.Errorf("got %+v, want 566 rows in, 23 tombstones and 1 reject", demo)
	}
	customers := sampled(t, dir, "marts.dim_customers", 1000)
	orders := sampled(t, dir, "marts.fct_orders", 1000)
	products := sampled(t, dir, "marts.dim_products", 1000)
	// Computed from the files of data/ in Python: 58 versions and the unknown
	// customer, 13 products and the unknown one.
	if len(customers) != 59 || len(products) != 14 || len(orders) != 352 {
		t.Errorf("got %d versions of customers, %d products and %d orders; want 59, 14 and 352", len(customers), len(products), len(orders))
	}
	wantAustinToDenver(t, customers)
	wantSales(t, customers, orders)
	wantLateCustomers(t, customers, orders)
}

// wantAustinToDenver looks at the versions of Ada.
func wantAustinToDenver(t *testing.T, customers []map[string]any) {
	t.Helper()
	got := map[string]string{}
	durable := map[any]bool{}
	for _, c := range customers {
		if c["customer_name"] == "Ada Moreno" {
			got[fmt.Sprint(c["city"])] = fmt.Sprintf("%v to %v, current %v", c["valid_from"], c["valid_to"], c["is_current"])
			durable[c["customer_durable_key"]] = true
		}
	}
	want := map[string]string{
		"Austin": "1900-01-01T00:00:00Z to 2026-02-10T09:00:00Z, current false",
		"Denver": "2026-02-10T09:00:00Z to 9999-12-31T00:00:00Z, current true",
	}
	if !maps.Equal(got, want) || len(durable) != 1 {
		t.Errorf("got %v with %d durable keys, want %v with one", got, len(durable), want)
	}
}

// wantSales sums up the orders by where their customers lived, and where they live
// now: what was computed in Python from the files of data/, in cents.
func wantSales(t *testing.T, customers, orders []map[string]any) {
	t.Helper()
	versions, current := map[any]map[string]any{}, map[any]map[string]any{}
	for _, c := range customers {
		versions[c["customer_key"]] = c
		if c["is_current"] == true {
			current[c["customer_durable_key"]] = c
		}
	}
	then, now := map[any]int64{}, map[any]int64{}
	for _, o := range orders {
		version, today := versions[o["customer_key"]], current[o["customer_durable_key"]]
		if version == nil || today == nil {
			t.Fatalf("an order refers to no customer: %v", o)
		}
		if o["is_deleted"] == true {
			continue
		}
		amount, err := strconv.ParseFloat(o["total_amount"].(string), 64)
		if err != nil {
			t.Fatal(err)
		}
		cents := int64(math.Round(amount * 100))
		then[version["city"]] += cents
		now[today["city"]] += cents
	}
	for city, want := range map[string][2]int64{
		"Austin": {1_178_053, 1_244_930}, "Denver": {869_754, 1_398_854}, "Köln": {429_620, 0}, "Unknown": {292_935, 292_935},
	} {
		if got := [2]int64{then[city], now[city]}; got != want {
			t.Errorf("sales in %s, then and now: got %v, want %v cents", city, got, want)
		}
	}
}

// wantLateCustomers looks at the orders of the last day, which came before what
// they needed to know of their customers: one had moved, one was new.
func wantLateCustomers(t *testing.T, customers, orders []map[string]any) {
	t.Helper()
	names := map[any]string{}
	for _, c := range customers {
		names[c["customer_key"]] = fmt.Sprintf("%v, inferred %v", c["customer_name"], c["is_inferred"])
	}
	var got []string
	for _, o := range orders {
		if id := o["order_id"].(float64); id >= 350 {
			got = append(got, fmt.Sprintf("%v %v %v", id, o["customer_city"], names[o["customer_key"]]))
		}
	}
	slices.Sort(got)
	want := []string{"350 Denver Hana Sato, inferred false", "351 Boston Uma Pillai, inferred false", "352 Denver Ada Moreno, inferred false"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
