"""What each engine reports about the tables that it read, as one JSON document.

A reader calls run() with its engine's name and a function that answers, for one
table of the request, every row as a pyarrow table and the engine's own sum of the
request's sum column. The request names the tables:

    {"tables": [{"name": "staging.web_requests", "sum": "bytes",
                 "order": ["kafka_partition", "kafka_offset", "kafka_row"]}]}

Where order is given the report holds the first and the last row by it. The digests,
one over whole rows and one a column, cover every value, whatever the order in which
an engine read the rows.
"""

import argparse
import datetime
import decimal
import hashlib
import json
import os
import sys

import pyarrow as pa
import pyarrow.compute as pc


def run(engine, read):
    arguments = argparse.ArgumentParser(description=f"reads tables with {engine}")
    arguments.add_argument("--catalog", required=True, help="URI of the Iceberg REST catalog")
    arguments.add_argument("--request", required=True, help="JSON file that names the tables")
    options = arguments.parse_args()
    with open(options.request) as file:
        request = json.load(file)
    store = Store.from_environment()
    tables = {}
    for table in request["tables"]:
        rows, total = read(options.catalog, store, table)
        tables[table["name"]] = describe(rows, total, table.get("order"))
    json.dump({"engine": engine, "tables": tables}, sys.stdout, sort_keys=True)
    print()


class Store:
    """The S3 endpoint that the tables lie in; None stands for the local disk."""

    def __init__(self, endpoint, region, key, secret):
        self.endpoint, self.region, self.key, self.secret = endpoint, region, key, secret

    @classmethod
    def from_environment(cls):
        if not os.environ.get("S3_ENDPOINT"):
            return None
        return cls(
            os.environ["S3_ENDPOINT"],
            os.environ.get("AWS_REGION", "us-east-1"),
            os.environ["AWS_ACCESS_KEY_ID"],
            os.environ["AWS_SECRET_ACCESS_KEY"],
        )


def describe(rows, total, order):
    values = plain_rows(rows)
    described = {
        "rows": rows.num_rows,
        "columns": rows.column_names,
        "digest": digest(values),
        "column_digests": {name: digest(row[name] for row in values) for name in rows.column_names},
        "samples": [],
    }
    if total is not None:
        described["sum"] = int(total)
    if order and rows.num_rows > 0:
        ordered = rows.take(pc.sort_indices(rows, sort_keys=[(name, "ascending") for name in order]))
        ends = pa.concat_tables([ordered.slice(0, 1), ordered.slice(rows.num_rows - 1, 1)])
        described["samples"] = plain_rows(ends)
    return described


def digest(values):
    lines = sorted(json.dumps(value, sort_keys=True) for value in values)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def plain_rows(rows):
    return [plain(row) for row in timestamps_as_integers(rows).to_pylist()]


def timestamps_as_integers(rows):
    """Engines name the time zone of one instant differently; microseconds since the
    epoch have none."""
    for index, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type):
            micros = rows.column(index).cast(pa.timestamp("us", field.type.tz)).cast(pa.int64())
            rows = rows.set_column(index, field.name, micros)
    return rows


def plain(value):
    """The JSON form of a value, equal for the types that engines use for one another."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        # PyIceberg 0.12 shows a null list as an empty one, so the two count as equal.
        return [plain(item) for item in value] or None
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    return value
