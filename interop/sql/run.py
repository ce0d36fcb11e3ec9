"""Runs the statements that calve sql prints for DuckDB.

    engines/python sql/run.py STATEMENTS.json
"""

import json
import re
import sys

import duckdb

ZONES = ("UTC", "America/Denver")


def main(path):
    with open(path) as file:
        statements = json.load(file)
    connection = duckdb.connect()
    counts = {"attach": 0, "view": 0, "check": 0}
    for s in statements:
        counts[s["purpose"]] += 1
        if s["purpose"] != "check":
            connection.execute(s["sql"])
            continue
        for zone in ZONES:
            connection.execute(f"SET TimeZone = '{zone}'")
            (wrong,) = connection.execute(s["sql"]).fetchone()
            if wrong:
                sys.exit(f"{s['model']}.{s['column']}: {wrong} keys are not what DuckDB computes in {zone}")
    for s in statements:
        if s["purpose"] == "view":
            check_view(connection, s)
    if not all(counts.values()):
        sys.exit(f"statements are missing: {counts}")
    print(f"calve sql runs in DuckDB: {counts['view']} views have rows, {counts['check']} keys are as computed in {' and '.join(ZONES)}")


def check_view(connection, s):
    """A view has rows; a star has those of its fact, no more and no fewer."""
    name = re.match(r'CREATE OR REPLACE VIEW (\S+) AS', s["sql"]).group(1)
    (rows,) = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
    if not rows:
        sys.exit(f"view {name} has no rows")
    if name.endswith('_star"'):
        fact = re.search(r"^FROM (\S+) AS f$", s["sql"], re.MULTILINE).group(1)
        (facts,) = connection.execute(f"SELECT count(*) FROM {fact}").fetchone()
        if rows != facts:
            sys.exit(f"view {name} has {rows} rows, its fact {facts}")


main(*sys.argv[1:])
