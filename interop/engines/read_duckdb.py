"""Reads tables through the catalog with DuckDB."""

import functools
from urllib.parse import urlsplit

import duckdb

import report


@functools.cache
def connect(catalog, store):
    # engines/install has put the extensions in place, so nothing may be downloaded.
    connection = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    )
    for extension in ("avro", "httpfs", "iceberg"):
        connection.load_extension(extension)
    if store:
        endpoint = urlsplit(store.endpoint)
        connection.execute(
            f"""
            CREATE SECRET (
                TYPE s3, KEY_ID '{store.key}', SECRET '{store.secret}', REGION '{store.region}',
                ENDPOINT '{endpoint.netloc}', URL_STYLE 'path', USE_SSL {endpoint.scheme == "https"}
            )
            """
        )
    connection.execute(
        f"ATTACH '' AS lake (TYPE iceberg, ENDPOINT '{catalog}', AUTHORIZATION_TYPE 'none')"
    )
    return connection


def read(catalog, store, table):
    connection = connect(catalog, store)
    rows = connection.execute(f"SELECT * FROM lake.{table['name']}").to_arrow_table()
    total = None
    if "sum" in table:
        (total,) = connection.execute(
            f"SELECT sum({table['sum']}) FROM lake.{table['name']}"
        ).fetchone()
    return rows, total


if __name__ == "__main__":
    report.run("duckdb", read)
