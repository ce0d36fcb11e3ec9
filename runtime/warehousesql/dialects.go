package warehousesql

import (
	"fmt"
	"strings"
)

// dialects are those of the targets. Their functions of time do not depend on the
// time zone of a session.
var dialects = map[Target]dialect{
	Snowflake: {
		quote:  quoted(""), // the linked database is case-insensitive, and names are in lower case
		table:  dotted(quoted(""), func(p Project) string { return p.Name }),
		view:   func(p Project, namespace, name string) string { return p.Name + "_views." + namespace + "." + name },
		text:   "VARCHAR",
		micros: "DATE_PART(EPOCH_MICROSECOND, ",
		day:    func(column string) string { return fmt.Sprintf("TO_CHAR(%s, 'YYYY-MM-DD')", column) },
		md5:    func(text string) string { return "MD5(" + text + ")" },
		attach: attachSnowflake,
	},
	BigQuery: {
		quote:  quoted("`"),
		table:  dotted(quoted("`"), nil),
		view:   func(_ Project, namespace, name string) string { return "`" + namespace + "`.`" + name + "`" },
		text:   "STRING",
		micros: "UNIX_MICROS(",
		day:    func(column string) string { return fmt.Sprintf("CAST(%s AS STRING)", column) },
		md5:    func(text string) string { return "TO_HEX(MD5(" + text + "))" },
		attach: attachBigQuery,
	},
	Databricks: {
		quote: quoted("`"),
		table: dotted(quoted("`"), func(p Project) string { return p.Name }),
		view: func(p Project, namespace, name string) string {
			return "`" + p.Name + "_views`.`" + namespace + "`.`" + name + "`"
		},
		text:   "STRING",
		micros: "unix_micros(",
		day:    func(column string) string { return fmt.Sprintf("date_format(%s, 'yyyy-MM-dd')", column) },
		md5:    func(text string) string { return "md5(" + text + ")" },
		attach: attachDatabricks,
	},
	DuckDB: {
		quote:  quoted(`"`),
		table:  dotted(quoted(`"`), func(p Project) string { return p.Name }),
		view:   func(_ Project, namespace, name string) string { return `"` + namespace + `"."` + name + `"` },
		text:   "VARCHAR",
		micros: "epoch_us(",
		day:    func(column string) string { return fmt.Sprintf("CAST(%s AS VARCHAR)", column) },
		md5:    func(text string) string { return "md5(" + text + ")" },
		attach: attachDuckDB,
	},
}

// dotted is the whole name of a table, behind that of a database if there is one.
func dotted(quote func(string) string, database func(Project) string) func(Project, Table) string {
	return func(p Project, t Table) string {
		parts := []string{quote(t.Namespace), quote(t.Name)}
		if database != nil {
			parts = append([]string{quote(database(p))}, parts...)
		}
		return strings.Join(parts, ".")
	}
}

// How Snowflake is let in: by catalogs that give credentials for the bucket, and
// by Calve's own behind a proxy.
const (
	snowflakeVended = `
    ACCESS_DELEGATION_MODE = VENDED_CREDENTIALS
  )
  REST_AUTHENTICATION = (
    TYPE = OAUTH
    OAUTH_CLIENT_ID = '<client id>'
    OAUTH_CLIENT_SECRET = '<client secret>'
    OAUTH_ALLOWED_SCOPES = ('PRINCIPAL_ROLE:ALL')`
	snowflakeBearer = `
  )
  REST_AUTHENTICATION = (
    TYPE = BEARER
    BEARER_TOKEN = '<token that the proxy asks for>'`
)

// attachSnowflake links the catalog as a database, which follows it by itself.
// https://docs.snowflake.com/en/sql-reference/sql/create-catalog-integration-rest
// https://docs.snowflake.com/en/sql-reference/sql/create-database-catalog-linked
func attachSnowflake(r renderer, tables []Table) []Statement {
	p := r.project
	uri, note := p.Catalog.URI, "Snowflake has to reach the catalog by public HTTPS, and the bucket; name the principal that may read."
	access, volume := snowflakeVended, ""
	if p.Catalog.Embedded {
		uri, access, volume = "<public https address of the proxy>", snowflakeBearer, "\n  EXTERNAL_VOLUME = '<external volume of the bucket>'"
		note = "calve catalog serve asks for no token and gives no credentials: put a proxy with public HTTPS before it that asks for one, and give Snowflake an external volume of the bucket."
	}
	warehouse := ""
	if p.Catalog.Warehouse != "" {
		warehouse = fmt.Sprintf("    CATALOG_NAME = %s\n", literal(p.Catalog.Warehouse))
	}
	spaces := namespaces(tables)
	integration := fmt.Sprintf(`CREATE CATALOG INTEGRATION IF NOT EXISTS calve_%s
  CATALOG_SOURCE = ICEBERG_REST
  TABLE_FORMAT = ICEBERG
  REST_CONFIG = (
    CATALOG_URI = %s
%s    CATALOG_API_TYPE = PUBLIC%s
  )
  ENABLED = TRUE
  REFRESH_INTERVAL_SECONDS = 30`, p.Name, literal(uri), warehouse, access)
	names := make([]string, len(spaces))
	for i, s := range spaces {
		names[i] = literal(s)
	}
	database := fmt.Sprintf(`CREATE DATABASE %s
  LINKED_CATALOG = (
    CATALOG = 'calve_%s',
    ALLOWED_NAMESPACES = (%s),
    ALLOWED_WRITE_OPERATIONS = NONE,
    SYNC_INTERVAL_SECONDS = 30
  )
  CATALOG_CASE_SENSITIVITY = CASE_INSENSITIVE%s`, p.Name, p.Name, strings.Join(names, ", "), volume)
	all := []Statement{
		{Purpose: Attach, Note: note, SQL: integration},
		{Purpose: Attach, Note: "Every table of these namespaces appears here by itself.", SQL: database},
		{Purpose: Attach, Note: "A linked database holds tables alone.", SQL: "CREATE DATABASE IF NOT EXISTS " + p.Name + "_views"},
	}
	for _, s := range spaces {
		all = append(all, Statement{Purpose: Attach, SQL: fmt.Sprintf("CREATE SCHEMA IF NOT EXISTS %s_views.%s", p.Name, s)})
	}
	return all
}

// attachBigQuery makes external tables: BigQuery attaches no REST catalog of
// others.
// https://cloud.google.com/bigquery/docs/iceberg-external-tables
func attachBigQuery(r renderer, tables []Table) []Statement {
	var all []Statement
	for _, s := range namespaces(tables) {
		all = append(all, Statement{Purpose: Attach, SQL: fmt.Sprintf("CREATE SCHEMA IF NOT EXISTS `%s`", s)})
	}
	for i, t := range tables {
		s := Statement{Purpose: Attach, Model: t.Model, SQL: fmt.Sprintf("CREATE OR REPLACE EXTERNAL TABLE %s\nWITH CONNECTION `<region>.<connection>`\nOPTIONS (\n  format = 'ICEBERG',\n  uris = ['<metadata location of %s.%s>']\n)",
			r.table(r.project, t), t.Namespace, t.Name)}
		if i == 0 {
			s.Note = "BigQuery attaches no REST catalog of others: an external table shows the snapshot of one metadata file, in gs:// or by Omni in s3://. Point it to the next one after each commit that it is to show. Tables that are written to the catalog of BigLake, or to Glue, need no external tables."
		}
		all = append(all, s)
	}
	return all
}

// attachDatabricks mirrors the Glue catalog: Databricks attaches no REST catalog of
// others.
// https://docs.databricks.com/aws/en/query-federation/hms-federation-glue
func attachDatabricks(r renderer, tables []Table) []Statement {
	p := r.project
	all := []Statement{
		{
			Purpose: Attach,
			Note:    "Databricks attaches no REST catalog of others: it mirrors Glue. Where the project's catalog is Unity Catalog itself the tables are there already, and this and the next statement are not needed.",
			SQL:     fmt.Sprintf("CREATE CONNECTION IF NOT EXISTS `calve_%s` TYPE glue\nOPTIONS (\n  aws_region '<region>',\n  aws_account_id '<account>',\n  credential '<service credential>'\n)", p.Name),
		},
		{Purpose: Attach, SQL: fmt.Sprintf("CREATE FOREIGN CATALOG IF NOT EXISTS `%s` USING CONNECTION `calve_%s`\nOPTIONS (authorized_paths %s)", p.Name, p.Name, literal(p.Warehouse))},
		{Purpose: Attach, Note: "A foreign catalog is for reading alone.", SQL: fmt.Sprintf("CREATE CATALOG IF NOT EXISTS `%s_views`", p.Name)},
	}
	for _, s := range namespaces(tables) {
		all = append(all, Statement{Purpose: Attach, SQL: fmt.Sprintf("CREATE SCHEMA IF NOT EXISTS `%s_views`.`%s`", p.Name, s)})
	}
	return all
}

// attachDuckDB attaches the catalog by REST.
// https://duckdb.org/docs/stable/core_extensions/iceberg/iceberg_rest_catalogs
func attachDuckDB(r renderer, tables []Table) []Statement {
	p := r.project
	warehouse, authorization, note := p.Catalog.Warehouse, "", "Give DuckDB a secret for the catalog (CREATE SECRET, TYPE iceberg), and for the bucket if the catalog hands out none."
	if p.Catalog.Embedded {
		warehouse, authorization, note = "lake", ", AUTHORIZATION_TYPE 'none'", "calve catalog serve has to run. Give DuckDB a secret for the bucket if the warehouse is on S3."
	}
	all := []Statement{
		{Purpose: Attach, SQL: "INSTALL iceberg"},
		{Purpose: Attach, SQL: "LOAD iceberg"},
		{Purpose: Attach, Note: note, SQL: fmt.Sprintf(`ATTACH %s AS "%s" (TYPE iceberg, ENDPOINT %s%s)`, literal(warehouse), p.Name, literal(p.Catalog.URI), authorization)},
	}
	for i, s := range namespaces(tables) {
		schema := Statement{Purpose: Attach, SQL: fmt.Sprintf(`CREATE SCHEMA IF NOT EXISTS "%s"`, s)}
		if i == 0 {
			schema.Note = "Views are in DuckDB's own database: the catalog is read alone."
		}
		all = append(all, schema)
	}
	return all
}
