"""Counts with DuckDB what is in the tables of the kill9 project, and prints it as
JSON, by model. Runs by interop/engines/python."""

import argparse
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "engines"))

import read_duckdb
import report

COUNT = """
    WITH found AS MATERIALIZED (
        SELECT kafka_partition, kafka_offset, seq FROM lake.kill9.{model}
    ), dead AS MATERIALIZED (
        SELECT kafka_partition, kafka_offset FROM lake.calve_kill9.dead_letters
        WHERE model = '{model}' AND resolution IS NULL
    )
    SELECT
        (SELECT count(*) FROM found) AS rows,
        (SELECT count(DISTINCT (kafka_partition, kafka_offset)) FROM found) AS positions,
        (SELECT count(DISTINCT seq) FROM found) AS numbers,
        (SELECT coalesce(sum(seq), 0)::BIGINT FROM found) AS sum,
        (SELECT count(*) FROM dead) AS dead,
        (SELECT count(DISTINCT (kafka_partition, kafka_offset)) FROM dead) AS dead_positions,
        (SELECT count(*) FROM (
            SELECT kafka_partition, kafka_offset FROM found
            INTERSECT SELECT kafka_partition, kafka_offset FROM dead)) AS both
"""


def main():
    arguments = argparse.ArgumentParser(description="counts the tables of kill9 with DuckDB")
    arguments.add_argument("--catalog", required=True, help="URI of the Iceberg REST catalog")
    connection = read_duckdb.connect(arguments.parse_args().catalog, report.Store.from_environment())
    counts = {}
    for model in ("events", "notes"):
        result = connection.execute(COUNT.format(model=model))
        names = [column[0] for column in result.description]
        counts[model] = dict(zip(names, result.fetchone()))
    json.dump(counts, sys.stdout)
    print()


main()
