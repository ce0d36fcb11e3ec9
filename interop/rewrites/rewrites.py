"""Changes a few members of a dimension, an epoch at a time, so that its files are
rewritten from row groups of others, and compares what each engine reads of them.

    rewrites.py --catalog URI --project FOLDER [--members N] [--epochs N] [--seed N]
"""

import argparse
import collections
import datetime
import decimal
import hashlib
import json
import pathlib
import random
import subprocess
import sys
from urllib.parse import unquote, urlsplit

import pyarrow.parquet as pq
from pyiceberg.catalog import load_catalog

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent / "engines"))

import read_duckdb  # noqa: E402
import read_pyiceberg  # noqa: E402
import read_spark  # noqa: E402

TABLE = {"name": "marts.dim_members"}
ENGINES = {"duckdb": read_duckdb, "pyiceberg": read_pyiceberg, "spark": read_spark}
ATTRIBUTES = ("name", "city", "balance", "score", "rank", "vip", "since", "seen", "note")
COLUMNS = ("id", *ATTRIBUTES, "valid_from", "valid_to", "is_current")
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
BEGIN = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
FOREVER = datetime.datetime(9999, 12, 31, tzinfo=datetime.UTC)
ALWAYS = datetime.datetime(1900, 1, 1, tzinfo=datetime.UTC)
CITIES = ("Austin", "Boise", "Denver", "Zürich", "")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--catalog", required=True)
    arguments.add_argument("--project", required=True)
    arguments.add_argument("--members", type=int, default=60_000)
    arguments.add_argument("--epochs", type=int, default=4)
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = arguments.parse_args()
    print(f"rewrites: {options.members} members, {options.epochs} epochs, seed {options.seed}", flush=True)

    rewrites = Rewrites(options)
    rewrites.epoch(range(options.members))
    lake = load_catalog("lake", type="rest", uri=options.catalog)
    seen, total = groups(lake), collections.Counter()
    for epoch in range(1, options.epochs + 1):
        # Members lie in the order of their keys, which are hashes: many are in every
        # row group, and one leaves most groups as they are.
        changed = rewrites.random.sample(range(options.members), 50 if epoch % 2 else 1)
        rewrites.epoch(sorted(changed))
        present = groups(lake)
        found = collections.Counter("copied" if digest in seen else "made" for digest in present)
        print(f"rewrites: epoch {epoch}: {found['copied']} row groups of {len(present)} are bytes of others", flush=True)
        total += found
        seen = present
    for name, engine in ENGINES.items():
        rewrites.compare(name, engine)
    if not total["copied"] or not total["made"]:
        sys.exit(f"interop: row groups are {dict(total)}, so that nothing is shown of both kinds")


class Rewrites:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.versions = collections.defaultdict(list)  # by member: (from, attributes)
        self.epochs = 0

    def epoch(self, members):
        lines = []
        for member in members:
            at = BEGIN + datetime.timedelta(minutes=self.epochs, microseconds=member)
            row = self.row(member)
            self.versions[member].append((at, row))
            lines.append(json.dumps({"id": member, "changed": at.isoformat()} | row, default=text) + "\n")
        self.epochs += 1
        self.calve(["produce", "members"], "".join(lines))
        done = json.loads(self.calve(["run", "--once", "--output", "json"]))
        if done["dead_letters"] != 0:
            sys.exit(f"interop: expected no dead letters: {done}")

    def row(self, member):
        some = self.random.random
        return {
            "name": f"member {member} of epoch {self.epochs}",  # so that each change makes a version
            "city": self.random.choice(CITIES) if some() < 0.9 else None,
            "balance": decimal.Decimal(self.random.randrange(-(10**6), 10**10)).scaleb(-2) if some() < 0.8 else None,
            "score": some() if some() < 0.5 else None,
            "rank": self.random.randrange(5) if some() < 0.7 else None,
            "vip": some() < 0.1 if some() < 0.95 else None,
            "since": datetime.date(2000, 1, 1) + datetime.timedelta(days=self.random.randrange(9000)),
            "seen": EPOCH + datetime.timedelta(microseconds=self.random.randrange(1 << 50)) if some() < 0.6 else None,
            "note": f"note {member}" if some() < 0.01 else None,
        }

    def rows(self):
        """What the dimension should hold."""
        for member, versions in self.versions.items():
            for i, (at, row) in enumerate(versions):
                until = versions[i + 1][0] if i + 1 < len(versions) else FOREVER
                start = at if i else ALWAYS
                yield (member, *(row[name] for name in ATTRIBUTES), start, until, until == FOREVER)

    def compare(self, name, engine):
        rows, _ = engine.read(self.options.catalog, None, TABLE)
        table = rows.select(list(COLUMNS)).to_pylist()
        read = (tuple(moment(row[column]) for column in COLUMNS) for row in table if row["id"] is not None)
        found, wanted = collections.Counter(read), collections.Counter(self.rows())
        for how, some in (("not expected", found - wanted), ("missing", wanted - found)):
            if some:
                shown = "".join(f"\n  {row}" for row in sorted(some, key=str)[:5])
                sys.exit(f"interop: {name}: {some.total()} rows of {len(table)} are {how}, as{shown}")
        print(f"rewrites: {name} reads {found.total()} versions as they should be", flush=True)

    def calve(self, command, text=""):
        command = ["calve", *command, "--project", self.options.project]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            sys.exit(f"interop: calve {command[1]} ends with {done.returncode}:\n{done.stderr[-3000:]}")
        return done.stdout


def text(value):
    """A value that JSON has no type for."""
    return str(value) if isinstance(value, decimal.Decimal) else value.isoformat()


def moment(value):
    """A value whose time, if it is one, is in UTC by any library's zone."""
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=datetime.UTC) if value.tzinfo is None else value.astimezone(datetime.UTC)
    return value


def groups(lake):
    """The digests of the row groups of a table's files, of their bytes without gaps."""
    digests = []
    for task in lake.load_table(TABLE["name"]).scan().plan_files():
        path = pathlib.Path(unquote(urlsplit(task.file.file_path).path))
        body, footer = path.read_bytes(), pq.ParquetFile(path).metadata
        for i in range(footer.num_row_groups):
            digest = hashlib.sha256()
            for j in range(footer.num_columns):
                column = footer.row_group(i).column(j)
                start = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
                digest.update(body[start : start + column.total_compressed_size])
            digests.append(digest.hexdigest())
    return digests


if __name__ == "__main__":
    main()
