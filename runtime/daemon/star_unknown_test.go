package daemon_test

import "testing"

// TestModelsOverADimensionLeaveOutItsUnknownMember reads a dimension, of which the
// unknown member's row has a null natural key.
func TestModelsOverADimensionLeaveOutItsUnknownMember(t *testing.T) {
	p := starSetup{
		dimension: "scd: {default: 1}\nunknown_member: {city: Unknown}\n",
		fact:      "allowed_lateness: 1h\n",
		more: map[string]string{
			"models/cities.yaml":        "name: cities\nkind: map\nnamespace: marts\nfrom: ref.dim_customers\nnatural_key: [customer_id]\ncolumns: [city]\n",
			"models/fct_customers.yaml": "name: fct_customers\nkind: fact\nnamespace: marts\nfrom: ref.dim_customers\ngrain: [customer_id]\nevent_time: kafka_timestamp\nderive: {letters: length(city)}\ncolumns: [city, letters]\n",
		},
	}.load(t, t.TempDir())
	produce(t, p, "customers", moves("c", 1, 1, day(1), "Austin"), moves("c", 2, 2, day(1), "Oslo"))
	produce(t, p, "orders", buys(1, 100, 1, day(2)))
	mustRun(t, p)
	wantRows(t, p, "marts.cities", "customer_id city", "[1 Austin]", "[2 Oslo]")
	wantRows(t, p, "marts.fct_customers", "customer_id city letters", "[1 Austin 6]", "[2 Oslo 4]")
	produce(t, p, "customers", moves("u", 3, 1, day(3), "Boston"))
	mustRun(t, p)
	wantRows(t, p, "marts.cities", "customer_id city", "[1 Boston]", "[2 Oslo]")
	wantRows(t, p, "marts.fct_customers", "customer_id city letters", "[1 Boston 6]", "[2 Oslo 4]")
}
