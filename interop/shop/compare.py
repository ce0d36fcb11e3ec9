"""Compares the star schema that Calve wrote with the database that it is of, row for
row, in DuckDB; PyIceberg looks for delete files.

    compare.py --catalog URI --port PORT --early FILE

The file holds the customers as they were in the lake when the orders were ahead of them.
"""

import argparse
import json
import pathlib
import sys

import psycopg
import pyarrow as pa
from psycopg.rows import dict_row
from pyiceberg.catalog import load_catalog

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent / "engines"))

import read_duckdb  # noqa: E402
import read_pyiceberg  # noqa: E402
import report  # noqa: E402

# What is asked of the database, by the name that the answer has in DuckDB. The time of
# a change is that of its commit, as the connector tells it.
DATABASE = {
    "customers": "SELECT * FROM customers",
    "products": "SELECT * FROM products",
    "orders": """
        SELECT order_id, customer_id, product_id, quantity, total_amount, order_date AT TIME ZONE 'UTC' AS ordered_at,
            to_char(order_date AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Berlin', 'YYYYMMDD')::int AS order_date_key
        FROM orders""",
    "customers_log": "SELECT *, pg_xact_commit_timestamp(xid::xid) AS committed_at FROM customers_log",
    "orders_log": "SELECT op, order_id FROM orders_log",
}

# Two queries each that give the same rows.
SAME = {
    "current customers": (
        """SELECT customer_id, customer_name, email, city FROM lake.marts.dim_customers
        WHERE is_current AND NOT is_deleted AND customer_id IS NOT NULL""",
        "SELECT customer_id, customer_name, email, city FROM customers",
    ),
    "the customers' history": (
        """SELECT customer_id, customer_name, email, city, signup_date, valid_from, valid_to, is_current, is_deleted
        FROM lake.marts.dim_customers WHERE customer_id IS NOT NULL""",
        (here / "history.sql").read_text(),
    ),
    "current products": (
        """SELECT product_id, product_name, category, price, description FROM lake.marts.dim_products
        WHERE NOT is_deleted AND product_id IS NOT NULL""",
        "SELECT product_id, product_name, category, price::DECIMAL(10, 2), description FROM products",
    ),
    "orders, by the keys of their dimensions": (
        """SELECT order_id, c.customer_id, p.product_id, quantity, total_amount, ordered_at, d.date_key
        FROM lake.marts.fct_orders AS f
        JOIN lake.marts.dim_customers AS c USING (customer_key)
        JOIN lake.marts.dim_products AS p USING (product_key)
        JOIN lake.marts.dim_date AS d ON d.date_key = f.order_date_key
        WHERE NOT f.is_deleted""",
        """SELECT order_id, customer_id, product_id, quantity, total_amount::DECIMAL(10, 2), ordered_at, order_date_key
        FROM orders""",
    ),
    "orders that were deleted": (
        "SELECT order_id FROM lake.marts.fct_orders WHERE is_deleted",
        "SELECT order_id FROM orders_log WHERE op = 'D'",
    ),
    "cities when orders were placed": (
        """SELECT order_id, c.city, f.customer_city
        FROM lake.marts.fct_orders AS f
        JOIN lake.marts.dim_customers AS c
            ON c.customer_durable_key = f.customer_durable_key
            AND f.ordered_at >= c.valid_from AND f.ordered_at < c.valid_to
        WHERE NOT f.is_deleted""",
        f"""SELECT order_id, coalesce(h.city, 'Unknown'), coalesce(h.city, 'Unknown')
        FROM orders
        LEFT JOIN ({(here / "history.sql").read_text()}) AS h
            ON h.customer_id = orders.customer_id
            AND ordered_at >= h.valid_from AND ordered_at < h.valid_to""",
    ),
    "keys of customers, by version and by time": (
        "SELECT order_id, customer_key FROM lake.marts.fct_orders",
        """SELECT order_id, c.customer_key FROM lake.marts.fct_orders AS f
        JOIN lake.marts.dim_customers AS c
            ON c.customer_durable_key = f.customer_durable_key
            AND f.ordered_at >= c.valid_from AND f.ordered_at < c.valid_to""",
    ),
}

# Kinds of change that the workload makes, so that what is compared has them.
NOT_EMPTY = {
    "customers who moved": "SELECT customer_id FROM customers_log GROUP BY ALL HAVING count(DISTINCT city) > 1",
    "customers who were deleted": "SELECT DISTINCT customer_id FROM customers_log WHERE op = 'D'",
    "orders of guests": "SELECT order_id FROM orders WHERE customer_id IS NULL",
    "orders from where their customer lives no more": """
        SELECT order_id FROM lake.marts.fct_orders AS f
        JOIN customers AS c ON c.customer_id = (
            SELECT customer_id FROM lake.marts.dim_customers AS d WHERE d.customer_key = f.customer_key)
        WHERE f.customer_city <> c.city""",
    "changes of products without their description": """
        SELECT product_id FROM lake.staging.stg_products WHERE list_contains(unavailable_columns, 'description')""",
}

TABLES = ["dim_customers", "dim_products", "dim_date", "fct_orders"]

problems = []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--catalog", required=True)
    parser.add_argument("--port", required=True)
    parser.add_argument("--early", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    store = report.Store.from_environment()
    connection = read_duckdb.connect(arguments.catalog, store)
    take_from_database(connection, arguments.port)
    for what, (written, expected) in SAME.items():
        compare(connection, what, written, expected)
    for what, query in NOT_EMPTY.items():
        rows = count(connection, query)
        print(f"{what}: {rows}")
        check(rows > 0, f"{what}: there are none")
    look_at_early(connection, json.loads(arguments.early.read_text()))
    lake = load_catalog("lake", type="rest", uri=arguments.catalog, **read_pyiceberg.properties(store))
    for table in TABLES:
        deletes = lake.load_table(f"marts.{table}").inspect.delete_files().num_rows
        check(deletes == 0, f"{table}: {deletes} delete files")
    for problem in problems:
        print(f"interop: shop: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


def take_from_database(connection, port):
    with psycopg.connect(host="127.0.0.1", port=port, user="shop", dbname="postgres", row_factory=dict_row) as database:
        for name, query in DATABASE.items():
            connection.register(name, pa.Table.from_pylist(database.execute(query).fetchall()))


def compare(connection, what, written, expected):
    connection.execute(f"CREATE OR REPLACE TEMP TABLE written AS {written}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE expected AS {expected}")
    rows = count(connection, "FROM written")
    print(f"{what}: {rows} rows")
    check(rows > 0, f"{what}: there are none")
    for side, one, other in (("written only", "written", "expected"), ("in the database only", "expected", "written")):
        difference = connection.execute(f"FROM {one} EXCEPT ALL FROM {other}").to_arrow_table()
        check(
            difference.num_rows == 0,
            f"{what}: {difference.num_rows} rows {side}, as {difference.slice(0, 3).to_pylist()}",
        )


def look_at_early(connection, sample):
    """Orders came before their customers, so customers were inferred, and none is now."""
    inferred = sample["columns"].index("is_inferred")
    early = sum(row[inferred] for row in sample["rows"])
    late = count(connection, "FROM lake.marts.dim_customers WHERE is_inferred")
    moved = count(connection, f"FROM lake.marts.dim_customers OFFSET {len(sample['rows'])}")
    print(f"customers inferred while theirs was behind: {early}, {late} of them left; {moved} versions came then")
    check(early > 0 and late == 0 and moved > 0, f"{early} customers were inferred, {late} still are, {moved} versions came")


def count(connection, query):
    return connection.execute(f"SELECT count(*) FROM ({query})").fetchone()[0]


def check(holds, problem):
    if not holds:
        problems.append(problem)


if __name__ == "__main__":
    main()
