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

# The sessions of a table of events, as SQL finds them, and those that Calve wrote. A
# difference in either direction is a row.
SESSIONS = """
    WITH events AS MATERIALIZED (
        SELECT visitor, "at" AS happened, seq FROM lake.kill9.events
    ), begins AS (
        SELECT *, CASE WHEN happened - lag(happened) OVER (PARTITION BY visitor ORDER BY happened, seq) <= INTERVAL 200 MILLISECOND
            THEN 0 ELSE 1 END AS is_first FROM events
    ), numbered AS (
        SELECT *, sum(is_first) OVER (PARTITION BY visitor ORDER BY happened, seq ROWS UNBOUNDED PRECEDING) AS number FROM begins
    ), expected AS (
        SELECT visitor, min(happened) AS session_start, max(happened) AS session_end, count(*) AS events,
            sum(seq)::BIGINT AS sum, min(seq) AS first_seq, max(seq) AS last_seq
        FROM numbered GROUP BY visitor, number
    ), found AS MATERIALIZED (
        SELECT visitor, session_start, session_end, events, sum::BIGINT AS sum, first_seq, last_seq FROM lake.kill9.visits
    )
    SELECT
        (SELECT count(*) FROM found) AS sessions,
        (SELECT count(*) FROM (SELECT * FROM expected EXCEPT ALL SELECT * FROM found)) AS missing,
        (SELECT count(*) FROM (SELECT * FROM found EXCEPT ALL SELECT * FROM expected)) AS wrong,
        (SELECT count(*) - count(DISTINCT session_key) FROM lake.kill9.visits) AS doubled
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
    result = connection.execute(SESSIONS)
    counts["visits"] = dict(zip([column[0] for column in result.description], result.fetchone()))
    json.dump(counts, sys.stdout)
    print()


main()
