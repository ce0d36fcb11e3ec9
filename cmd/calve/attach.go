package main

import (
	"bytes"
	"fmt"
	"io"
	"text/template"

	"github.com/calvelake/calve/catalog"
	"github.com/calvelake/calve/runtime/project"
)

// attachText shows how to read a kept demo. What stands between the rules is
// run as it is by the interop suite.
var attachText = template.Must(template.New("attach").Parse(`
The project is kept in {{.Dir}}. It goes on where it ended:

    calve run --project {{.Dir}} --once

To read its tables from other engines, serve its catalog, then run any of these:

    calve catalog serve --project {{.Dir}}

--- duckdb (python) ---
import duckdb
con = duckdb.connect()
con.execute("INSTALL iceberg")
con.execute("LOAD iceberg")
con.execute("ATTACH 'lake' AS lake (TYPE iceberg, ENDPOINT 'http://{{.Listen}}', AUTHORIZATION_TYPE 'none')")
con.sql("SELECT * FROM lake.{{.Table}} LIMIT 5").show()
con.sql("SELECT count(*) AS rows FROM lake.{{.Table}}").show()

--- pyiceberg ---
from pyiceberg.catalog import load_catalog
lake = load_catalog("lake", type="rest", uri="http://{{.Listen}}")
table = lake.load_table("{{.Table}}")
print(table.scan(limit=5).to_arrow())
print("rows:", table.scan().count())

--- spark (pyspark) ---
from pyspark.sql import SparkSession
spark = (SparkSession.builder
    .config("spark.jars.packages", "org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0")
    .config("spark.sql.catalog.lake", "org.apache.iceberg.spark.SparkCatalog")
    .config("spark.sql.catalog.lake.type", "rest")
    .config("spark.sql.catalog.lake.uri", "http://{{.Listen}}")
    .getOrCreate())
spark.sql("SELECT * FROM lake.{{.Table}} LIMIT 5").show()
spark.sql("SELECT count(*) AS rows FROM lake.{{.Table}}").show()

--- end ---
`))

func printAttach(out io.Writer, p *project.Project, id catalog.Identifier) error {
	var text bytes.Buffer
	data := struct{ Dir, Listen, Table string }{p.Dir, p.Connections.Catalog.Listen, id.String()}
	if err := attachText.Execute(&text, data); err != nil {
		return fmt.Errorf("render how to attach engines: %w", err)
	}
	_, err := out.Write(text.Bytes())
	return err
}
