"""One session of each engine, which stays open while the tables change: what it keeps
of them must not show. A session answers with rows as tuples: times in µs since 1970
UTC, dates in days."""

import collections

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import load_catalog
from pyiceberg.manifest import DataFileContent, ManifestContent
from pyspark.sql import SparkSession

import read_duckdb
import read_pyiceberg
import read_spark
import report
from model import UNKNOWN

CUSTOMERS, PAYERS, ORDERS = (f"marts.{name}" for name in ("dim_customers", "dim_payers", "fct_orders"))
# All that a model can know: not the times of the newest record.
COLUMNS = {
    CUSTOMERS: "customer_key, customer_durable_key, region, customer_id, city, notes, email, signed_up, "
    "valid_from, valid_to, changed_at, is_current, is_deleted, is_inferred",
    PAYERS: "payer_key, payer_durable_key, region, customer_id, city, notes, email, "
    "valid_from, valid_to, changed_at, is_current, is_deleted, is_inferred",
    ORDERS: "order_key, order_id, ordered_at, customer_key, customer_durable_key, payer_key, payer_city, "
    "cents, region, customer_id, payer_id, paid_at",
}

# The keys of the versions that an order refers to, as it has them, and as natural key
# and time give them: where no version was in force, the unknown member is meant.
OWN_KEYS = f"SELECT order_id, customer_key, payer_key FROM lake.{ORDERS}"
KEYS_AS_OF = f"""
    SELECT o.order_id,
        coalesce(c.customer_key, '{UNKNOWN}') AS customer_key, coalesce(p.payer_key, '{UNKNOWN}') AS payer_key
    FROM lake.{ORDERS} AS o
    LEFT JOIN lake.{CUSTOMERS} AS c
        ON o.region = c.region AND o.customer_id = c.customer_id
        AND o.ordered_at >= c.valid_from AND o.ordered_at < c.valid_to
    LEFT JOIN lake.{PAYERS} AS p
        ON o.region = p.region AND o.payer_id = p.customer_id AND o.paid_at >= p.valid_from
        AND (p.valid_to IS NULL OR o.paid_at < p.valid_to)
"""
JOINED = f"""
    SELECT o.order_id, c.customer_key, c.customer_id, c.city, c.valid_from,
        p.payer_key, p.customer_id AS payer_id, p.city AS payer_city, p.valid_from AS payer_from
    FROM ({{keys}}) AS o
    JOIN lake.{CUSTOMERS} AS c ON o.customer_key = c.customer_key
    JOIN lake.{PAYERS} AS p ON o.payer_key = p.payer_key
"""


class Queries:
    """What an engine with SQL answers."""

    def rows(self, table):
        return tuples(self.query(f"SELECT {COLUMNS[table]} FROM lake.{table}"))

    def joined(self):
        return tuples(self.query(JOINED.format(keys=OWN_KEYS)))

    def joined_as_of(self):
        return tuples(self.query(JOINED.format(keys=KEYS_AS_OF)))


class DuckDB(Queries):
    def __init__(self, catalog):
        self.connection = read_duckdb.connect(catalog, None)
        self.connection.execute("SET parquet_metadata_cache = true")

    def query(self, text):
        return self.connection.execute(text).to_arrow_table()


class Spark(Queries):
    def __init__(self, catalog):
        settings = read_spark.settings(catalog, None) | {
            "spark.sql.catalog.lake.io.manifest.cache-enabled": "true",
            # Many small queries: what makes large ones fast costs more than it gives.
            "spark.sql.shuffle.partitions": "1",
            "spark.sql.adaptive.enabled": "false",
            "spark.sql.codegen.wholeStage": "false",
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
        }
        self.session = SparkSession.builder.master("local[2]").appName("star").config(map=settings).getOrCreate()

    def query(self, text):
        return self.session.sql(text).toArrow()

    def vectors(self, table):
        """What of a table's delete files and row ids is not as format version 3 wants
        it, and how many deletion vectors there are. No other engine shows them."""
        data = {path for (path,) in tuples(self.query(f"SELECT file_path FROM lake.{table}.data_files"))}
        deletes = tuples(self.query(f"SELECT file_format, referenced_data_file FROM lake.{table}.delete_files"))
        found = [f"a delete file is of format {kind}" for kind, _ in deletes if kind != "PUFFIN"]
        for path, times in collections.Counter(of for _, of in deletes).items():
            if times > 1 or path not in data:
                found.append(f"{times} vectors are of {path}, which the table {'has' if path in data else 'lacks'}")
        [(ids, rows)] = tuples(self.query(f"SELECT count(DISTINCT _row_id), count(*) FROM lake.{table}"))
        if ids != rows:
            found.append(f"{rows} rows have {ids} ids")
        return found, len(deletes)


class PyIceberg:
    """Reads tables, which pyarrow joins."""

    def __init__(self, catalog):
        self.catalog = load_catalog("lake", type="rest", uri=catalog, **read_pyiceberg.properties(None))
        self.tables = {}

    def table(self, name):
        if name not in self.tables:
            self.tables[name] = self.catalog.load_table(name)
        return self.tables[name].refresh()

    def read(self, name):
        """A table as it is now. Joins take no text of 64-bit lengths."""
        rows = self.table(name).scan(selected_fields=tuple(COLUMNS[name].split(", "))).to_arrow()
        types = [pa.string() if pa.types.is_large_string(f.type) else f.type for f in rows.schema]
        return rows.cast(pa.schema(zip(rows.schema.names, types))).select(COLUMNS[name].split(", "))

    def rows(self, table):
        return tuples(self.read(table))

    def joined(self):
        return self.versions(self.read(ORDERS).select(["order_id", "customer_key", "payer_key"]))

    def joined_as_of(self):
        orders, customers, payers = self.read(ORDERS), self.read(CUSTOMERS), self.read(PAYERS)
        found = orders.select(["order_id"])
        found = found.join(in_force(orders, "customer_id", "ordered_at", customers, "customer_key"), "order_id")
        found = found.join(in_force(orders, "payer_id", "paid_at", payers, "payer_key"), "order_id")
        for name in ("customer_key", "payer_key"):
            keys = pc.fill_null(found[name], UNKNOWN)
            found = found.set_column(found.schema.get_field_index(name), name, keys)
        return self.versions(found)

    def versions(self, keys):
        version = ["customer_id", "city", "valid_from"]
        customers = self.read(CUSTOMERS).select(["customer_key", *version])
        payers = self.read(PAYERS).select(["payer_key", *version])
        payers = payers.rename_columns(["payer_key", "payer_id", "payer_city", "payer_from"])
        found = keys.join(customers, "customer_key", join_type="inner").join(payers, "payer_key", join_type="inner")
        return tuples(found.select(["order_id", "customer_key", *version, *payers.schema.names]))

    def epochs(self):
        """How many epochs have taken records."""
        rows = self.table("calve_star.epochs").scan(selected_fields=("epoch",)).to_arrow()
        return len(rows["epoch"].unique())

    def deletes(self, name):
        """What of a table, and of its snapshots, tells of delete files, and how many of
        its snapshots rewrote files."""
        table, found, rewrites = self.table(name), [], 0
        for snapshot in table.snapshots():
            summary = snapshot.summary
            rewrites += summary.operation.value == "overwrite"
            told = {k: v for k, v in summary.additional_properties.items() if is_of_deletes(k) and v != "0"}
            if told:
                found.append(f"snapshot {snapshot.snapshot_id} says {told}")
        for manifest in table.current_snapshot().manifests(table.io):
            if manifest.content != ManifestContent.DATA:
                found.append(f"manifest {manifest.manifest_path} is of deletes")
            for entry in manifest.fetch_manifest_entry(table.io):
                if entry.data_file.content != DataFileContent.DATA:
                    found.append(f"{entry.data_file.file_path} is a delete file")
        return found, rewrites


def is_of_deletes(key):
    """Whether a summary's key counts delete files or what is in them. deleted-data-files
    and deleted-records count what copy-on-write replaced."""
    return key.endswith(("-delete-files", "-position-deletes", "-equality-deletes", "-deletes", "-dvs"))


def in_force(orders, member, time, versions, key):
    """The key of the version of a member that is in force at a time, by order_id."""
    theirs = versions.select(["region", "customer_id", "valid_from", "valid_to", key])
    theirs = theirs.rename_columns(["region", member, "valid_from", "valid_to", key])
    mine = orders.select(["order_id", "region", member, time])
    both = mine.join(theirs, ["region", member], join_type="inner")
    begun = pc.less_equal(both["valid_from"], both[time])
    ended = pc.fill_null(pc.less_equal(both["valid_to"], both[time]), False)
    return both.filter(pc.and_not(begun, ended)).select(["order_id", key])


def tuples(rows):
    rows = report.timestamps_as_integers(rows)
    for index, field in enumerate(rows.schema):
        if pa.types.is_date32(field.type):
            rows = rows.set_column(index, field.name, rows.column(index).cast(pa.int32()))
    return list(zip(*(column.to_pylist() for column in rows.columns)))
