"""Random changes of customers and orders, as Debezium tells them, and the order in
which they come."""

import dataclasses
import datetime
import json

MINUTE = 60_000_000  # times are in µs since 1970 UTC
HOUR = 60 * MINUTE
DAY = 24 * HOUR
BEGIN = int(datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC).timestamp()) * 1_000_000

# Changes are of up to BACKDATED before the hour of their epoch, and come one or two
# epochs late: less than late_changes and allowed_lateness, so that none is refused, and
# no fact keeps the key of a version that is no more.
BACKDATED = 2 * HOUR
DELAYED = 1

UNAVAILABLE = "__debezium_unavailable_value"
CITIES = ("Austin", "Denver", "Köln", "Zürich", "São Paulo", None)
NOTES = ("good", "sléeps late", "", None)


@dataclasses.dataclass
class Change:
    """One change of a row of the database. row is the one after it, or the one before
    a deletion; None where a deletion tells the key alone."""

    op: str  # c, u, d or r
    key: dict
    row: dict | None
    before: dict | None
    made: int  # when the database says that it was
    sequence: int  # the order of changes there
    missing: frozenset = frozenset()  # columns that its log does not have

    def event(self):
        """The key and the value of its record."""
        after = None if self.op == "d" else dict(self.row)
        for name in self.missing:
            after[name] = UNAVAILABLE
        source = {
            "version": "3.7.0.Final", "connector": "postgresql", "name": "shop", "db": "shop", "schema": "public",
            "snapshot": "true" if self.op == "r" else "false", "ts_ms": self.made // 1000, "ts_us": self.made,
            "lsn": self.sequence,
        }  # fmt: skip
        value = {"before": self.before, "after": after, "source": source, "op": self.op, "ts_ms": self.made // 1000}
        return json.dumps(self.key), json.dumps(value, ensure_ascii=False)


class World:
    """A database, and a connector that sends some changes late, twice, or in the wrong
    order."""

    def __init__(self, random):
        self.random = random
        self.now = BEGIN
        self.sequence = 24_000_000
        self.rows = {"customers": {}, "orders": {}}  # as they are, by key
        self.gone = {"customers": [], "orders": []}
        self.orders = 0
        self.pending = []  # (epoch, topic, change)
        self.epoch = 0
        self.held = None

    def next(self, last):
        """What comes in the next epoch, in its order: pairs of topic and change. The
        last one has all that has not come yet."""
        self.now += HOUR
        for _ in range(self.random.randint(15, 40)):
            self.make("customers", self.customer())
        for _ in range(self.random.randint(20, 60)):
            self.make("orders", self.order())
        held = self.hold() if not last else None
        come = [p for p in self.pending if last or p[0] <= self.epoch and p[1] != held]
        self.pending = [p for p in self.pending if not last and (p[0] > self.epoch or p[1] == held)]
        come += [p for p in come if self.random.random() < 0.05]
        self.random.shuffle(come)
        self.epoch += 1
        return [(topic, change) for _, topic, change in come]

    def hold(self):
        """The topic of which nothing comes, in some epochs, but not in two in a row."""
        topics = [t for t in ("customers", "orders") if t != self.held] if self.epoch else []
        self.held = self.random.choice(topics) if topics and self.random.random() < 0.25 else None
        return self.held

    def make(self, topic, change):
        self.pending.append((self.epoch + self.random.choice((0, 0, 0, DELAYED)), topic, change))

    def time(self, back):
        """A time not long ago, often that of another change."""
        at = self.now - self.random.randrange(back // (10 * MINUTE)) * 10 * MINUTE
        return at + self.random.randrange(10 * MINUTE) if self.random.random() < 0.3 else at

    def customer_key(self, of):
        """A customer, some much more often than others."""
        number = int(of * self.random.random() ** 2)
        return {"region": ("eu", "us")[number % 2], "customer_id": number // 2 + 1}

    def customer(self):
        key = self.customer_key(50)
        row = {
            **key, "city": self.random.choice(CITIES), "notes": self.random.choice(NOTES),
            "email": f"{self.random.randrange(1000)}@example.org", "signed_up": self.random.randrange(20_000, 20_500),
            "updated_at": self.time(BACKDATED),
        }  # fmt: skip
        before = self.rows["customers"].get(tuple(key.values()))
        if before is not None and self.random.random() < 0.3:
            # What does not alter a version, and what alters none.
            row = {**before, "updated_at": row["updated_at"]}
            if self.random.random() < 0.7:
                row["email"] = f"{self.random.randrange(1000)}@example.net"
        change = self.change("customers", key, row)
        if change.op == "u" and self.random.random() < 0.2:
            # Large and unchanged: the log has it neither before nor after.
            row["notes"] = before["notes"]
            change.missing = frozenset({"notes"})
            change.before = None
        return change

    def order(self):
        if self.rows["orders"] and self.random.random() < 0.4:
            key = {"order_id": self.random.choice(sorted(self.rows["orders"]))[0]}
        elif self.gone["orders"] and self.random.random() < 0.1:
            key = {"order_id": self.random.choice(self.gone["orders"])[0]}
        else:
            self.orders += 1
            key = {"order_id": self.orders}
        customer, payer = self.customer_key(70), self.customer_key(70)
        row = {
            **key, **customer, "payer_id": payer["customer_id"], "cents": self.random.randrange(100_000),
            "ordered_at": self.time(BACKDATED), "paid_at": self.time(BACKDATED) + self.random.randrange(6) * HOUR,
        }  # fmt: skip
        if self.random.random() < 0.1:  # early or late by days
            row["ordered_at"] -= self.random.randrange(20 * DAY)
        for name in ("region", "customer_id", "payer_id", "paid_at"):
            if self.random.random() < 0.03:
                row[name] = None
        return self.change("orders", key, row)

    def change(self, topic, key, row):
        """Makes a row what it is from now on."""
        rows, identity = self.rows[topic], tuple(key.values())
        before = rows.get(identity)
        self.sequence += self.random.randint(1, 1000)
        change = Change("u", key, row, before, self.time(BACKDATED), self.sequence)
        if before is None:
            change.op = "r" if self.epoch == 0 else "c"
        elif self.random.random() < 0.25:
            change.op, change.row = "d", before
            if self.random.random() < 0.3:  # the key alone
                change.row, change.before = None, None
            del rows[identity]
            self.gone[topic].append(identity)
            return change
        if self.random.random() < 0.3:  # a replica identity that tells no row before
            change.before = None
        rows[identity] = row
        return change
