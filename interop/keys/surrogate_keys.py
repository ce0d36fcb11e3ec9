"""Computes surrogate keys as dbt_utils does, in DuckDB, in two session time zones.

    engines/python keys/surrogate_keys.py          compares them with the committed ones
    engines/python keys/surrogate_keys.py --write  writes those

The SQL is what dbt_utils.generate_surrogate_key of dbt_utils 1.4.1 renders for DuckDB:
macros/sql/generate_surrogate_key.sql at 49b932cb1f6fd0f7dfbf9048512db6415f570b20 of
github.com/dbt-labs/dbt-utils, over hash and concat of dbt-adapters
(dbt-adapters/src/dbt/include/global_project/macros/utils, github.com/dbt-labs/dbt-adapters
at 802d40f0f0eb663c17e5be08d1e3fb2e55b9ee34), where type_string is TEXT. A timestamptz
goes in as its microseconds since 1970: as text it differs by session and engine.
"""

import json
import pathlib
import sys

import duckdb

GOLDEN = pathlib.Path(__file__).parents[2] / "runtime/record/testdata/surrogate_keys.json"
ZONES = ("UTC", "America/Denver")
TYPES = {
    "string": "VARCHAR",
    "int": "INTEGER",
    "long": "BIGINT",
    "date": "DATE",
    "boolean": "BOOLEAN",
    "timestamptz": "TIMESTAMPTZ",
}
NULL = "_dbt_utils_surrogate_key_null_"


def generate_surrogate_key(field_list):
    """The macro default__generate_surrogate_key, line by line."""
    fields = []
    for i, field in enumerate(field_list):
        fields.append(f"coalesce(cast({field} as TEXT), '{NULL}')")
        if i + 1 < len(field_list):
            fields.append("'-'")
    return f"md5(cast({' || '.join(fields)} as TEXT))"


def literal(part):
    value = part["value"]
    if value is None:
        return f"cast(null as {TYPES[part['type']]})"
    text = str(value).replace("'", "''")
    return f"cast('{text}' as {TYPES[part['type']]})"


def query(parts):
    names = [f"part_{i}" for i in range(len(parts))]
    rows = ", ".join(f"{literal(p)} as {n}" for p, n in zip(parts, names))
    fields = [f"epoch_us({n})" if p["type"] == "timestamptz" else n for p, n in zip(parts, names)]
    return f"select {generate_surrogate_key(fields)} from (select {rows})"


def keys(connection, cases):
    return [connection.execute(query(c["parts"])).fetchone()[0] for c in cases]


def main():
    golden = json.loads(GOLDEN.read_text())
    connection = duckdb.connect()
    made = {}
    for zone in ZONES:
        connection.execute(f"set TimeZone = '{zone}'")
        made[zone] = keys(connection, golden["cases"])
    if made[ZONES[0]] != made[ZONES[1]]:
        sys.exit(f"keys differ by session time zone: {made}")
    if sys.argv[1:] == ["--write"]:
        golden["duckdb"] = duckdb.__version__
        for case, key in zip(golden["cases"], made[ZONES[0]]):
            case["sql"], case["key"] = query(case["parts"]), key
        GOLDEN.write_text(json.dumps(golden, indent=2, ensure_ascii=False) + "\n")
        return
    wrong = 0
    for case, key in zip(golden["cases"], made[ZONES[0]]):
        if case["key"] != key or case["sql"] != query(case["parts"]):
            wrong += 1
            print(f"{case['name']}: committed {case['key']}, DuckDB computes {key} by {query(case['parts'])}")
    if wrong:
        sys.exit(f"{wrong} of {len(golden['cases'])} surrogate keys differ")
    print(f"{len(golden['cases'])} surrogate keys are those of dbt_utils in time zones {' and '.join(ZONES)}")


if __name__ == "__main__":
    main()
