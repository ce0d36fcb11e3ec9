package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/calvelake/calve/runtime/warehousesql"
)

func TestSQLIsOfTheProjectAlone(t *testing.T) {
	dir := writeProject(t, ordersModel)
	for name, text := range map[string]string{
		"models/fct_orders.yaml": "name: fct_orders\nkind: fact\nfrom: ref.orders\ngrain: [id]\nsurrogate_key: order_key\n",
		"models/dim_date.yaml":   "name: dim_date\nkind: date\nrange: [2024-01-01, 2024-12-31]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text := mustCalve(t, "", "sql", "--project", dir, "--target", "duckdb")
	for _, part := range []string{`AS "shop" (TYPE iceberg, ENDPOINT 'http://127.0.0.1:0', AUTHORIZATION_TYPE 'none');`, `"order_key" <> md5(coalesce(CAST("id" AS VARCHAR), '_dbt_utils_surrogate_key_null_'))`} {
		if !strings.Contains(text, part) {
			t.Errorf("calve sql does not print %q:\n%s", part, text)
		}
	}
	var statements []warehousesql.Statement
	parse(t, mustCalve(t, "", "sql", "--project", dir, "--target", "bigquery", "--model", "fct_orders", "--output", "json"), &statements)
	if n := len(statements); n != 3 || statements[n-1].Purpose != warehousesql.Check || !strings.HasPrefix(statements[n-1].Expression, "TO_HEX(MD5(") {
		t.Errorf("got statements %+v, want a schema, a table and a check", statements)
	}
	if _, err := os.Stat(filepath.Join(dir, ".calve")); err == nil {
		t.Error("calve sql made the project's folder of state")
	}
	for _, wrong := range [][]string{{}, {"--target", "oracle"}, {"--target", "duckdb", "--model", "none"}} {
		if o := calve(t, "", append([]string{"sql", "--project", dir}, wrong...)...); o.code != exitUsage {
			t.Errorf("calve sql %s: got exit code %d and %q, want %d", strings.Join(wrong, " "), o.code, o.errors, exitUsage)
		}
	}
}
