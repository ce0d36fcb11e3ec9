"""Compares what DuckDB and PyIceberg read with what interop/formats/produce says has
to become of its records: every value of every row, every dead letter, the types of
the columns, and what `calve verify` and `calve dlq list` counted. Runs by
interop/engines/python."""

import argparse
import collections
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "engines"))

from pyiceberg.catalog import load_catalog
from pyiceberg.types import ListType, MapType, StructType

import read_duckdb
import read_pyiceberg
import report

ENGINES = {"duckdb": read_duckdb.read, "pyiceberg": read_pyiceberg.read}
LETTERS = "calve_formats.dead_letters"
POSITION = ["kafka_topic", "kafka_partition", "kafka_offset", "kafka_row", "kafka_timestamp", "ingested_at"]
# Of these the producer knows the values.
PLACE = ["kafka_topic", "kafka_row"]

problems = []


def main():
    arguments = argparse.ArgumentParser(description="compares tables with what was produced")
    arguments.add_argument("--catalog", required=True, help="URI of the Iceberg REST catalog")
    for name in ("expected", "verify", "letters"):
        arguments.add_argument(f"--{name}", required=True, type=load, help="JSON file")
    options = arguments.parse_args()
    models = options.expected["models"]
    for model, fates in models.items():
        if compare_schema(options.catalog, model, fates):
            compare_rows(options.catalog, model, fates)
    compare_letters(options.catalog, models)
    compare_proof(options.verify, models)
    compare_list(options.letters, models)
    if problems:
        sys.exit("\n".join(problems))
    rows = sum(len(fates["rows"]) for fates in models.values())
    letters = sum(len(fates["letters"]) for fates in models.values())
    print(f"{rows} rows of {len(models)} tables and {letters} dead letters are as produced: {', '.join(ENGINES)}")


def load(path):
    with open(path) as file:
        return json.load(file)


def compare_rows(catalog, model, fates):
    names = [name for name, _ in fates["columns"]] + PLACE
    doubles = {name for name, kind in fates["columns"] if kind == "double"}
    want = [{name: value(row.get(name), name in doubles) for name in names} for row in fates["rows"]]
    for engine, read in ENGINES.items():
        got = report.plain_rows(read(catalog, None, {"name": f"formats.{model}"})[0].select(names))
        compare(f"{engine}: formats.{model}", got, want)


def value(given, double):
    """Go writes a double without a fraction as a whole number."""
    return float(given) if double and given is not None else given


def compare(what, got, want):
    """Rows in any order, as often as they are there."""
    found, expected = (collections.Counter(map(line, rows)) for rows in (got, want))
    for title, difference in (("not expected", found - expected), ("missing", expected - found)):
        total = sum(difference.values())
        if total:
            examples = "\n  ".join(sorted(difference)[:3])
            problems.append(f"{what}: {total} {title}, as\n  {examples}")


def line(row):
    return json.dumps(report.plain(row), sort_keys=True, ensure_ascii=False)


def compare_schema(catalog, model, fates):
    """Whether the table has the columns, of these types and no others."""
    schema = load_catalog("lake", type="rest", uri=catalog).load_table(f"formats.{model}").schema()
    got = {field.name: type_name(field.field_type) for field in schema.fields if field.name not in POSITION}
    want = dict(fates["columns"])
    for name in sorted(got.keys() | want.keys()):
        if got.get(name) != want.get(name):
            problems.append(f"formats.{model}: column {name} is {got.get(name)}, want {want.get(name)}")
    return got.keys() == want.keys()


def type_name(kind):
    if isinstance(kind, StructType):
        return f"struct<{', '.join(f'{f.name}: {type_name(f.field_type)}' for f in kind.fields)}>"
    if isinstance(kind, ListType):
        return f"list<{type_name(kind.element_type)}>"
    if isinstance(kind, MapType):
        return f"map<{type_name(kind.key_type)}, {type_name(kind.value_type)}>"
    return str(kind)


def compare_letters(catalog, models):
    names = ["model", "kafka_topic", "reason_code", "column_name", "record_key", "record_value", "resolution"]
    want = [
        {"model": model, "kafka_topic": fates["topic"], "resolution": None} | letter
        for model, fates in models.items()
        for letter in fates["letters"]
    ]
    for engine, read in ENGINES.items():
        compare(f"{engine}: {LETTERS}", report.plain_rows(read(catalog, None, {"name": LETTERS})[0].select(names)), want)


def compare_proof(proof, models):
    if not proof["proven"]:
        problems.append(f"calve verify: not proven: {proof['counter_examples']}")
    names = ("model", "delivered", "with_rows", "dead", "filtered", "rows", "dead_letters")
    want = [
        {
            "model": model,
            "delivered": fates["delivered"],
            "with_rows": fates["with_rows"],
            "dead": len(fates["letters"]),
            "filtered": fates["filtered"],
            "rows": len(fates["rows"]),
            "dead_letters": len(fates["letters"]),
        }
        for model, fates in models.items()
    ]
    compare("calve verify", [{name: model[name] for name in names} for model in proof["models"]], want)


def compare_list(listed, models):
    counts = collections.Counter(
        (model, letter["reason_code"], letter["column_name"] or "")
        for model, fates in models.items()
        for letter in fates["letters"]
    )
    want = [{"model": m, "reason": r, "column": c, "open": n} for (m, r, c), n in counts.items()]
    got = [
        {"model": g["model"], "reason": g["reason"], "column": g.get("column", ""), "open": g["open"]}
        for g in listed["groups"]
    ]
    compare("calve dlq list", got, want)


main()
