"""Compares keyed tables that Calve wrote with what SQL computes from staging tables,
row for row, in DuckDB; PyIceberg looks for delete files.

    compare.py --catalog URI weblog|athlete
"""

import argparse
import dataclasses
import pathlib
import sys

from pyiceberg.catalog import load_catalog

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent / "engines"))

import read_duckdb  # noqa: E402
import read_pyiceberg  # noqa: E402
import report  # noqa: E402


@dataclasses.dataclass
class Keyed:
    """A keyed table, and the query that computes it, without its session_key."""

    table: str
    query: str
    # Of sessions: their key, the events, the same key of those and their time, and the
    # column that counts a session's events.
    key: tuple = ()
    events: str = ""
    event_key: tuple = ()
    time: str = ""
    counted: str = ""


PROJECTS = {
    "weblog": [
        Keyed(
            "intermediate.int_sessions", "sessions.sql",
            key=("client", "agent"), events="staging.web_requests",
            event_key=("client", "coalesce(user_agent, '-')"), time="requested_at", counted="requests",
        ),
    ],
    "athlete": [
        Keyed(
            "intermediate.int_training_sessions", "training_sessions.sql",
            key=("athlete_id", "session_id"), events="staging.stg_pose_events",
            event_key=("athlete_id", "session_id"), time="captured_at", counted="frames",
        ),
        Keyed("marts.fct_training_sessions", "training_facts.sql"),
    ],
}

problems = []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--catalog", required=True)
    parser.add_argument("project", choices=PROJECTS)
    arguments = parser.parse_args()
    store = report.Store.from_environment()
    connection = read_duckdb.connect(arguments.catalog, store)
    lake = load_catalog("lake", type="rest", uri=arguments.catalog, **read_pyiceberg.properties(store))
    for keyed in PROJECTS[arguments.project]:
        compare(connection, keyed)
        check_keys(connection, keyed)
        look_for_deletes(lake, keyed)
    for problem in problems:
        print(f"interop: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


def compare(connection, keyed):
    computed = "computed_" + keyed.table.split(".")[1]
    query = (here / keyed.query).read_text()
    connection.execute(f"CREATE TEMP TABLE {computed} AS {query}")
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE written AS SELECT * EXCLUDE (session_key) FROM lake.{keyed.table}"
    )
    rows, expected = (count(connection, side) for side in ("written", computed))
    print(f"{keyed.table}: {rows} rows written, {expected} computed by {keyed.query}")
    check(rows > 0, keyed, "it is empty")
    columns = {name: columns_of(connection, name) for name in ("written", computed)}
    if columns["written"] != columns[computed]:
        problems.append(f"{keyed.table}: the columns differ: {columns}")
        return

    names = ", ".join(columns[computed])
    for what, one, other in (
        ("written, not computed", "written", computed),
        ("computed, not written", computed, "written"),
    ):
        difference = connection.execute(
            f"SELECT {names} FROM {one} EXCEPT ALL SELECT {names} FROM {other}"
        ).to_arrow_table()
        print(f"{keyed.table}: {difference.num_rows} rows {what}")
        check(difference.num_rows == 0, keyed, f"rows {what}, as {difference.slice(0, 3).to_pylist()}")


def columns_of(connection, table):
    return sorted(row[0] for row in connection.execute(f"DESCRIBE {table}").fetchall())


def check_keys(connection, keyed):
    """A session's key is the hash of its key columns and of the time when it began as
    its row was first written. An event at that time is still one of its events."""
    (rows, keys, nulls) = connection.execute(
        f"SELECT count(*), count(DISTINCT session_key), count(*) - count(session_key) FROM lake.{keyed.table}"
    ).fetchone()
    check(keys == rows and nulls == 0, keyed, f"{rows} rows have {keys} distinct keys, {nulls} nulls")
    if not keyed.key:
        return
    own = ", ".join(keyed.key)
    theirs = ", ".join(f"{event} AS {name}" for name, event in zip(keyed.key, keyed.event_key))
    hashed = f"md5(concat_ws('-', {own}, epoch_us({{}})))"
    (events,) = connection.execute(f"SELECT sum({keyed.counted}) FROM lake.{keyed.table}").fetchone()
    (explained,) = connection.execute(
        f"""
        WITH events AS (SELECT {theirs}, {keyed.time} AS event_time FROM lake.{keyed.events})
        SELECT count(DISTINCT session_key) FROM lake.{keyed.table} JOIN events USING ({own})
        WHERE event_time BETWEEN session_start AND session_end AND session_key = {hashed.format("event_time")}
        """
    ).fetchone()
    (moved,) = connection.execute(
        f"SELECT count(*) FROM lake.{keyed.table} WHERE session_key <> {hashed.format('session_start')}"
    ).fetchone()
    staged = count(connection, "lake." + keyed.events)
    print(
        f"{keyed.table}: {events} events of {staged} staged; {explained} keys are the hash of an event's time, "
        f"{moved} of sessions that begin earlier by now"
    )
    check(events == staged, keyed, f"its rows are of {events} events, staged are {staged}")
    check(explained == rows, keyed, f"{explained} keys of {rows} are the hash of an event's time")


def look_for_deletes(lake, keyed):
    table = lake.load_table(keyed.table)
    files = list(table.scan().plan_files())
    rows = sum(file.file.record_count for file in files)
    deletes = sum(len(file.delete_files) for file in files)
    operations = [snapshot.summary.operation.value for snapshot in table.snapshots()]
    print(
        f"{keyed.table}: pyiceberg finds {len(files)} data files, {rows} rows, {deletes} delete files; "
        f"snapshots: {', '.join(operations)}"
    )
    check(deletes == 0 and table.inspect.delete_files().num_rows == 0, keyed, f"{deletes} delete files")
    check("overwrite" in operations, keyed, "no snapshot rewrites rows")


def count(connection, table):
    return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def check(holds, keyed, problem):
    if not holds:
        problems.append(f"{keyed.table}: {problem}")


if __name__ == "__main__":
    main()
