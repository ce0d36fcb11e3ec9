"""Dimensions and facts by brute force: all changes so far, sorted and gone through in
one go. Times are in µs since 1970 UTC."""

import dataclasses
import hashlib

from world import Change

BEGINNING = -2_208_988_800_000_000  # 1900-01-01
FOREVER = 253_402_214_400_000_000  # 9999-12-31
UNKNOWN = "default_null_key"


def hashed(*parts):
    return hashlib.md5("-".join(str(part) for part in parts).encode()).hexdigest()


@dataclasses.dataclass
class Version:
    begin: int
    end: int
    changed_at: int | None
    values: dict
    deleted: bool = False
    inferred: bool = False


@dataclasses.dataclass
class Dimension:
    """What models.yaml says of one."""

    types: dict  # of attributes: 0, 1 or 2
    hard_deletes: str
    first_valid_from: str
    overwrites_all: bool  # type_1_scope
    empty_valid_to: bool  # valid_to_current
    by_database: bool  # effective when the database changed, else at updated_at
    unknown: dict
    changes: dict = dataclasses.field(default_factory=dict)  # by member
    known: dict = dataclasses.field(default_factory=dict)  # versions of the changes so far, by member
    asked: dict = dataclasses.field(default_factory=dict)  # the first time that facts found no version at, by member

    def add(self, change):
        member = change.key["region"], change.key["customer_id"]
        self.changes.setdefault(member, []).append(change)
        self.known.pop(member, None)

    def effective(self, change):
        """A deletion has the row before it, so that it took effect when it was made."""
        if self.by_database:
            return change.made
        if change.op == "d":
            return max(change.made, change.row["updated_at"]) if change.row else change.made
        return change.row["updated_at"]

    def versions(self, member):
        """The versions of a member in the order of time, without an inferred one."""
        if member not in self.known:
            self.known[member] = self.fold(member)
        return self.known[member]

    def fold(self, member):
        changes = sorted(self.changes.get(member, ()), key=lambda c: (self.effective(c), c.sequence))
        out, state = [], State()
        while changes:
            at, before = self.effective(changes[0]), state
            while changes and self.effective(changes[0]) == at:
                state = state.after(changes.pop(0), self.types)
            if state.gone:
                # The last change counts: what there was at this very time never was.
                state = dataclasses.replace(before, gone=before.values is not None)
            if state.values is not None and (state.values, state.gone) != (before.values, before.gone):
                self.settle(out, state, at)
        if self.overwrites_all:
            for version in out:
                version.values |= {name: state.values[name] for name, kind in self.types.items() if kind == 1}
        return out

    def settle(self, out, state, at):
        """What a member became at a time: another version, or the last one amended."""
        last = out[-1] if out else None
        if last is None:
            if not state.gone:
                begin = BEGINNING if self.first_valid_from == "beginning" else at
                out.append(Version(begin, FOREVER, at, dict(state.values)))
            return
        if state.gone and self.hard_deletes == "invalidate":
            last.end = min(last.end, at)
            return
        told = [name for name, kind in self.types.items() if kind == 2]
        if (
            state.gone != last.deleted
            or last.end != FOREVER
            or any(state.values[name] != last.values[name] for name in told)
            and not state.gone
        ):
            last.end = min(last.end, at)
            out.append(Version(at, FOREVER, at, dict(state.values), deleted=state.gone))
        else:
            last.values = dict(state.values)

    def everything(self, member):
        """The versions of a member, with the one that stands for what is not known, if
        facts have asked for it."""
        out, asked = list(self.versions(member)), self.asked.get(member)
        begin = out[0].begin if out else FOREVER
        if asked is not None and asked < begin:
            out.insert(0, Version(BEGINNING, begin, None, dict.fromkeys(self.types), inferred=True))
        return out

    def find(self, member, at):
        """The surrogate key, the durable key and the version of a member at a time."""
        if at is None or None in member:
            return UNKNOWN, UNKNOWN, None
        versions = self.versions(member)
        if not versions or at < versions[0].begin:
            self.asked[member] = min(at, self.asked.get(member, at))
            versions = self.everything(member)
        for version in versions:
            if version.begin <= at < version.end:
                return hashed(*member, version.begin), hashed(*member), version
        return UNKNOWN, UNKNOWN, None  # it was deleted

    def rows(self):
        """The rows of the table."""
        unknown = Version(BEGINNING, FOREVER, None, self.unknown)
        out = {(UNKNOWN, UNKNOWN, None, None, *self.told(unknown.values), *self.validity(unknown))}
        for member in self.changes.keys() | self.asked.keys():
            for v in self.everything(member):
                out.add((hashed(*member, v.begin), hashed(*member), *member, *self.told(v.values), *self.validity(v)))
        return out

    def told(self, values):
        return [values.get(name) for name in self.types]

    def validity(self, v):
        is_current = v.end == FOREVER
        end = None if is_current and self.empty_valid_to else v.end
        return v.begin, end, v.changed_at, is_current, v.deleted, v.inferred


@dataclasses.dataclass(frozen=True)
class State:
    """What changes so far make of a member."""

    values: dict | None = None  # None before there is one
    carried: frozenset = frozenset()  # attributes of type 0 that some change had
    gone: bool = False

    def after(self, change: Change, types):
        if change.op == "d":
            return dataclasses.replace(self, gone=self.values is not None)
        values, carried = {}, set(self.carried)
        for name, kind in types.items():
            was = self.values[name] if self.values else None
            value = was if name in change.missing else change.row[name]
            if kind == 0 and name in self.carried:
                value = was
            if kind == 0 and name not in change.missing:
                carried.add(name)
            values[name] = value
        return State(values, frozenset(carried))


class Star:
    """The tables of models.yaml."""

    def __init__(self):
        self.customers = Dimension(
            types={"city": 2, "notes": 2, "email": 1, "signed_up": 0},
            hard_deletes="new_record", first_valid_from="beginning", overwrites_all=True, empty_valid_to=False,
            by_database=False, unknown={"city": "Unknown"},
        )  # fmt: skip
        self.payers = Dimension(
            types={"city": 2, "notes": 0, "email": 1},
            hard_deletes="invalidate", first_valid_from="effective", overwrites_all=False, empty_valid_to=True,
            by_database=True, unknown={"city": "Nowhere"},
        )  # fmt: skip
        self.orders = {}  # the newest change of each

    def add(self, topic, change):
        if topic == "customers":
            self.customers.add(change)
            self.payers.add(change)
            return
        order = change.key["order_id"]
        if order not in self.orders or self.orders[order].sequence < change.sequence:
            self.orders[order] = change

    def end(self):
        """Ends an epoch: the rows of each table, and of the fact joined with both
        dimensions. Facts ask for the members that they refer to now: what is inferred
        stays."""
        facts, joined = set(), set()
        for change in self.orders.values():
            if change.op == "d":
                continue
            o = change.row
            customer, durable, c = self.customers.find((o["region"], o["customer_id"]), o["ordered_at"])
            payer, _, p = self.payers.find((o["region"], o["payer_id"]), o["paid_at"])
            payer_city = (p.values if p else self.payers.unknown).get("city")
            facts.add((hashed(o["order_id"]), o["order_id"], o["ordered_at"], customer, durable, payer, payer_city,
                o["cents"], o["region"], o["customer_id"], o["payer_id"], o["paid_at"]))  # fmt: skip
            joined.add((o["order_id"], customer, *(self.joined(c, self.customers, o["customer_id"])),
                payer, *self.joined(p, self.payers, o["payer_id"])))  # fmt: skip
        return {
            "dim_customers": self.customers.rows(), "dim_payers": self.payers.rows(),
            "fct_orders": facts, "joined": joined,
        }  # fmt: skip

    def joined(self, version, dimension, customer):
        """What a row of the fact is joined with: the number, city and start of a version,
        or those of the unknown member."""
        if version is None:
            return None, dimension.unknown.get("city"), BEGINNING
        return customer, version.values["city"], version.begin
