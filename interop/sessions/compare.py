"""Compares the sessions that Calve wrote with those that sessions.sql computes from
the staging table, row for row, in DuckDB; PyIceberg looks for delete files.

    compare.py --catalog URI
"""

import argparse
import os
import pathlib
import sys

from pyiceberg.catalog import load_catalog

engines = pathlib.Path(__file__).resolve().parent.parent / "engines"
sys.path.insert(0, str(engines))

import read_duckdb  # noqa: E402
import read_pyiceberg  # noqa: E402
import report  # noqa: E402

TABLE = "intermediate.int_sessions"

# A session's key is the hash of client, agent and of where the session began when its
# row was first written. A request at that time is still one of its requests.
KEYS = f"""
    SELECT count(DISTINCT s.session_key)
    FROM lake.{TABLE} AS s
    JOIN lake.staging.web_requests AS r
        ON r.client = s.client AND coalesce(r.user_agent, '-') = s.agent
        AND r.requested_at BETWEEN s.session_start AND s.session_end
        AND s.session_key = md5(concat_ws('-', s.client, s.agent, epoch_us(r.requested_at)))
"""

problems = []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--catalog", required=True)
    uri = parser.parse_args().catalog
    store = report.Store.from_environment()
    compare(read_duckdb.connect(uri, store))
    look_for_deletes(uri, store)
    for problem in problems:
        print(f"interop: sessions: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


def compare(connection):
    def one(query):
        return connection.execute(query).fetchone()

    query = (pathlib.Path(__file__).parent / "sessions.sql").read_text()
    connection.execute(f"CREATE TEMP TABLE expected AS {query}")
    connection.execute(f"CREATE TEMP TABLE written AS SELECT * EXCLUDE (session_key) FROM lake.{TABLE}")
    (expected,) = one("SELECT count(*) FROM expected")
    written, requests, bots = one("SELECT count(*), sum(requests), count(*) FILTER (WHERE is_bot) FROM written")
    (staged,) = one("SELECT count(*) FROM lake.staging.web_requests")
    print(f"sessions: {written} written, {expected} computed by DuckDB; {requests} requests of {staged} staged; {bots} by bots")
    check(written > 0, "there are none")
    check(requests == staged, f"they hold {requests} requests, staged are {staged}")

    names = {side: {row[0] for row in connection.execute(f"DESCRIBE {side}").fetchall()} for side in ("written", "expected")}
    check(names["written"] == names["expected"], f"the columns differ: {names}")
    columns = ", ".join(sorted(names["expected"]))
    for what, one_side, other in (
        ("written, not computed", "written", "expected"),
        ("computed, not written", "expected", "written"),
    ):
        mine, theirs = (f"SELECT {columns} FROM {side}" for side in (one_side, other))
        connection.execute(f"CREATE OR REPLACE TEMP TABLE difference AS {mine} EXCEPT ALL {theirs}")
        rows = connection.execute("SELECT * FROM difference").to_arrow_table()
        print(f"rows {what}: {rows.num_rows}")
        check(rows.num_rows == 0, f"rows {what}: {rows.num_rows}, as {rows.slice(0, 3).to_pylist()}")

    keys, null = one(f"SELECT count(DISTINCT session_key), count(*) FILTER (WHERE session_key IS NULL) FROM lake.{TABLE}")
    (explained,) = one(KEYS)
    moved = one(
        f"SELECT count(*) FROM lake.{TABLE} WHERE session_key <> md5(concat_ws('-', client, agent, epoch_us(session_start)))"
    )[0]
    print(f"keys: {keys} distinct, {explained} the hash of a request's time; {moved} of sessions that begin earlier by now")
    check(keys == written and null == 0, f"{keys} distinct keys and {null} nulls in {written} rows")
    check(explained == written, f"{explained} keys of {written} are the hash of a request's time")


def look_for_deletes(uri, store):
    lake = load_catalog("lake", type="rest", uri=uri, **read_pyiceberg.properties(store))
    table = lake.load_table(TABLE)
    files = list(table.scan().plan_files())
    rows = sum(file.file.record_count for file in files)
    deletes = sum(len(file.delete_files) for file in files)
    operations = [snapshot.summary.operation.value for snapshot in table.snapshots()]
    print(f"pyiceberg: {len(files)} data files, {rows} rows, {deletes} delete files; snapshots: {', '.join(operations)}")
    check(deletes == 0 and table.inspect.delete_files().num_rows == 0, f"{deletes} delete files")
    check("overwrite" in operations, "no snapshot rewrites rows")


def check(holds, problem):
    if not holds:
        problems.append(problem)


if __name__ == "__main__":
    main()
