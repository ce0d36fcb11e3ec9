"""Runs calve over random changes, an epoch at a time, and compares its dimensions and
facts after each with a model, as one session of each engine reads them.

    star.py --catalog URI --project FOLDER [--profile strict|v3-dv] [--epochs N | --long] [--seed N]
        [--engines ENGINE...]
"""

import argparse
import collections
import json
import pathlib
import random
import subprocess
import sys
import time

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent / "engines"))

import sessions  # noqa: E402
from model import Star  # noqa: E402
from world import World  # noqa: E402

LONG = 200  # epochs
DIMENSIONS = ("dim_customers", "dim_payers")
ENGINES = {"duckdb": sessions.DuckDB, "pyiceberg": sessions.PyIceberg, "spark": sessions.Spark}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--catalog", required=True)
    arguments.add_argument("--project", required=True)
    arguments.add_argument("--profile", choices=("strict", "v3-dv"), default="strict", help="of the project")
    arguments.add_argument("--epochs", type=int, default=20)
    arguments.add_argument("--long", action="store_true", help=f"{LONG} epochs")
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    arguments.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    options = arguments.parse_args()
    if options.profile == "v3-dv" and "spark" not in options.engines:
        arguments.error("Spark alone shows deletion vectors: --engines needs spark")
    epochs = LONG if options.long else options.epochs
    print(f"star: profile {options.profile}, {epochs} epochs, seed {options.seed}", flush=True)

    run = Run(options, random.Random(options.seed))
    for epoch in range(1, epochs + 1):
        problems = run.epoch(is_last=epoch == epochs)
        if problems:
            for problem in problems:
                print(f"interop: epoch {epoch} of seed {options.seed}: {problem}", file=sys.stderr)
            sys.exit(1)
    run.show()


class Run:
    def __init__(self, options, random):
        self.options = options
        self.world, self.star = World(random), Star()
        self.lake = None  # a session of PyIceberg, which knows files
        self.engines = {}
        self.expected = {}
        self.seen = collections.Counter()  # what happened that is worth a test

    def epoch(self, is_last):
        """Runs an epoch, and tells what is wrong behind it."""
        started = time.monotonic()
        changes = self.world.next(is_last)
        for topic, change in changes:
            self.star.add(topic, change)
        self.produce(changes)
        self.run()
        ran = time.monotonic()
        before, self.expected = self.expected, self.star.end()
        self.count(before, changes)
        if not self.engines:  # the tables are there
            self.engines = {name: ENGINES[name](self.options.catalog) for name in self.options.engines}
            self.lake = self.engines.get("pyiceberg") or sessions.PyIceberg(self.options.catalog)
        problems = [p for name, engine in self.engines.items() for p in self.compare(name, engine)]
        problems += self.look_at_files()
        sizes = ", ".join(f"{len(self.expected[name])} in {name}" for name in (*DIMENSIONS, "fct_orders"))
        print(
            f"epoch {self.world.epoch}: {len(changes)} changes make {sizes}; "
            f"{ran - started:.1f} s of calve, {time.monotonic() - ran:.1f} s of engines",
            flush=True,
        )
        return problems

    def count(self, before, changes):
        """Counts orders that were given another version or attribute by changes of
        dimensions alone, and inferred versions that came to be known or went."""
        if not before:
            return
        changed = {change.key["order_id"] for topic, change in changes if topic == "orders"}
        keyed = {row[1]: row[3:7] for row in before["fct_orders"]}
        for row in self.expected["fct_orders"]:
            self.seen["orders re-keyed"] += row[1] not in changed and keyed[row[1]] != row[3:7]
        for name in DIMENSIONS:
            inferred = [{row[0] for row in rows[name] if row[-1]} for rows in (before, self.expected)]
            self.seen["members inferred"] += len(inferred[1] - inferred[0])
            self.seen["inferred members filled in"] += len(inferred[0] - inferred[1])

    def produce(self, changes):
        for topic in ("customers", "orders"):
            lines = ["\t".join(change.event()) + "\n" for to, change in changes if to == topic]
            if lines:
                self.calve(["produce", f"star.{topic}", "--key-separator", "\t", "--partitions", "3"], "".join(lines))

    def run(self):
        done = json.loads(self.calve(["run", "--once", "--output", "json"]))
        if done["dead_letters"] != 0:
            sys.exit(f"interop: expected no dead letters: {done}")

    def calve(self, command, text=""):
        command = ["calve", *command, "--project", self.options.project]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            sys.exit(f"interop: calve {command[1]} ends with {done.returncode}:\n{done.stderr[-3000:]}")
        return done.stdout

    def compare(self, name, engine):
        for table in sessions.COLUMNS:
            yield from differences(f"{name}: {table}", engine.rows(table), self.expected[table.split(".")[1]])
        joined = self.expected["joined"]
        yield from differences(f"{name}: orders joined by key", engine.joined(), joined)
        yield from differences(f"{name}: orders joined as of their times", engine.joined_as_of(), joined)

    def look_at_files(self):
        for table in sessions.COLUMNS:
            if self.options.profile == "strict":
                found, self.seen[f"rewrites of {table}"] = self.lake.deletes(table)
            else:
                found, vectors = self.engines["spark"].vectors(table)
                self.seen[f"deletion vectors of {table}"] += vectors
            for what in found:
                yield f"{table}: {what}"
        if (epochs := self.lake.epochs()) != self.world.epoch:
            yield f"the changes came in {epochs} epochs, the model has them in {self.world.epoch}"

    def show(self):
        """Shows what was tested, and fails if it was not."""
        for what, times in self.seen.items():
            print(f"star: {what}: {times}")
            if times == 0:
                sys.exit(f"interop: there were no {what}, so that nothing is shown of them")


def differences(what, rows, expected):
    """How rows are not the expected ones, each once."""
    found = collections.Counter(rows)
    wanted = collections.Counter(expected)
    for how, some in (("not expected", found - wanted), ("missing", wanted - found)):
        if some:
            shown = "".join(f"\n  {row}" for row in sorted(some.elements(), key=str)[:5])
            yield f"{what}: {some.total()} rows of {len(rows)} are {how}, as{shown}"


if __name__ == "__main__":
    main()
