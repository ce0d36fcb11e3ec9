"""What happens in the shop's database, the same each time.

    workload.py --port PORT [--clock FILE] apply PHASE   0 to 3, one after the other;
                                                         or marketplace
    workload.py --port PORT streams N                    whether N connectors read the log
    workload.py --port PORT [--seconds N] flushed        waits until those that do have put
                                                         all of it into Kafka

A clock is the file that tells the server's clock what time it is (see record). With it
three months pass; without it the orders are as old as they are.
"""

import argparse
import datetime
import os
import pathlib
import random
import sys
import time

import psycopg

import marketplace

here = pathlib.Path(__file__).resolve().parent

CUSTOMERS = [
    ("Ada Moreno", "Austin"), ("Ben Carter", "Chicago"), ("Cleo Novak", "Köln"), ("Dan Okafor", "Austin"),
    ("Eve Lindqvist", "Göteborg"), ("Finn Jacobs", "Boston"), ("Gita Rao", "Phoenix"), ("Hana Sato", "Phoenix"),
    ("Ivo Petrov", "Sofia"), ("Jane Doyle", "Dublin"), ("Karl Weiss", "Wien"), ("Lena Fuchs", "Berlin"),
    ("Milo Costa", "São Paulo"), ("Nora Haddad", "Houston"), ("Omar Aziz", "Houston"), ("Pia Keller", "Zürich"),
]
LATER_CUSTOMERS = [
    ("Quinn Adams", "Seattle"), ("Rosa Vega", "Madrid"), ("Sven Dahl", "Oslo"), ("Tara Singh", "Denver"),
    ("Uma Pillai", "Boston"), ("Vito Russo", "Napoli"),
]
CITIES = ["Austin", "Boston", "Chicago", "Denver", "Houston", "Phoenix", "Portland", "Seattle"]
PRODUCTS = [
    ("Kettle", "kitchen", "39.90"), ("Toaster", "kitchen", "54.00"), ("Pan", "kitchen", "27.50"),
    ("Desk lamp", "lighting", "45.00"), ("Floor lamp", "lighting", "129.00"), ("Lampshade", "lighting", "18.75"),
    ("Armchair", "furniture", "349.00"), ("Bookcase", "furniture", "219.00"), ("Stool", "furniture", "62.40"),
    ("Blanket", "textiles", "34.95"), ("Cushion", "textiles", "16.20"), ("Curtain", "textiles", "71.00"),
]


class Shop:
    """The database, and the people who change it."""

    def __init__(self, connection, phase, clock):
        self.connection, self.clock = connection, clock
        self.chances = random.Random(list(PHASES).index(phase))
        self.now = None

    def at(self, when):
        """It is WHEN: a month, a day, an hour and a minute of 2026."""
        self.now = datetime.datetime.strptime("2026-" + when, "%Y-%m-%d %H:%M")
        if self.clock:
            set_clock(self.clock, self.now)

    def do(self, *statements):
        """One transaction."""
        with self.connection.transaction():
            for statement in statements:
                self.connection.execute(statement)

    def sign_up(self, number, name, city):
        email = name.split()[0].lower() + "@example.com"
        self.do(f"INSERT INTO customers VALUES ({number}, '{name}', '{email}', '{city}', now() AT TIME ZONE 'UTC')")

    def move(self, number, *cities):
        self.do(*(f"UPDATE customers SET city = '{city}' WHERE customer_id = {number}" for city in cities))

    def order(self, customer, product, quantity=1):
        self.do(
            f"""INSERT INTO orders (customer_id, product_id, quantity, total_amount)
            SELECT {customer or "NULL"}, product_id, {quantity}, {quantity} * price
            FROM products WHERE product_id = {product}"""
        )

    def choose(self, among):
        return among[int(self.chances.random() * len(among))]

    def trade(self, first, last, a_day):
        """Days on which people order, and think again."""
        day = datetime.datetime.strptime("2026-" + first, "%Y-%m-%d")
        while day <= datetime.datetime.strptime("2026-" + last, "%Y-%m-%d"):
            for number in range(a_day):
                minute = 8 * 60 + (number * 600 + int(self.chances.random() * 600)) // a_day
                self.at((day + datetime.timedelta(minutes=minute)).strftime("%m-%d %H:%M"))
                self.something()
            day += datetime.timedelta(days=1)

    def something(self):
        customers = self.numbers("customers", "customer_id")
        # The last product is never ordered, and may be removed.
        products = self.numbers("products", "product_id WHERE product_id <> 12")
        orders = self.numbers("orders", "order_id")
        what = self.chances.random()
        if what < 0.08:
            self.order(None, self.choose(products))
        elif what < 0.70 or not orders:
            self.order(self.choose(customers), self.choose(products), 1 + int(self.chances.random() * 4))
        elif what < 0.80:
            # Its price for one is what it was, so it is the order's and not the product's.
            self.do(f"""UPDATE orders SET quantity = quantity + 1, total_amount = total_amount / quantity * (quantity + 1)
                WHERE order_id = {self.choose(orders)}""")
        elif what < 0.84:
            self.do(f"DELETE FROM orders WHERE order_id = {self.choose(orders)}")
        elif what < 0.92:
            # Ada moves when it is told below.
            self.move(self.choose(customers[1:]), self.choose(CITIES))
        elif what < 0.95:
            self.do(f"UPDATE customers SET email = 'new-' || email WHERE customer_id = {self.choose(customers)}")
        elif what < 0.97:
            self.do(f"UPDATE customers SET email = email WHERE customer_id = {self.choose(customers)}")
        else:
            self.do(f"UPDATE products SET price = round(price * 1.05, 2) WHERE product_id = {self.choose(products)}")

    def numbers(self, table, column):
        # The order is that of the first word, whatever the rest leaves out.
        query = f"SELECT {column.split()[0]} FROM {table} {' '.join(column.split()[1:])} ORDER BY 1"
        return [number for (number,) in self.connection.execute(query)]


def opening(shop):
    """What is there before the connector is."""
    shop.at("01-05 09:00")
    shop.do((here / "schema.sql").read_text())
    for number, (name, category, price) in enumerate(PRODUCTS, 1):
        shop.do(f"INSERT INTO products VALUES ({number}, '{name}', '{category}', {price}, {description(name)})")
    for number, (name, city) in enumerate(CUSTOMERS, 1):
        shop.at(f"01-05 10:{number:02}")
        shop.sign_up(number, name, city)
    for number in range(1, 9):
        shop.at(f"01-06 09:{number:02}")
        shop.order(number, number)


def january(shop):
    shop.trade("01-07", "01-19", 7)
    shop.at("01-20 10:00")
    shop.order(1, 5)  # Ada, in Austin
    shop.at("01-21 09:00")
    shop.do("UPDATE customers SET signup_date = '2025-12-24' WHERE customer_id = 3")
    shop.at("01-22 09:00")
    shop.move(4, "Denver")
    shop.at("01-22 12:00")
    shop.order(4, 6)
    shop.at("01-22 18:00")
    shop.move(4, "Austin")
    for number, (name, city) in enumerate(LATER_CUSTOMERS[:4], 17):
        shop.at(f"01-23 09:{number}")
        shop.sign_up(number, name, city)
    shop.trade("01-24", "01-31", 7)


def february(shop):
    shop.trade("02-01", "02-09", 7)
    shop.at("02-10 09:00")
    shop.move(1, "Denver")  # Ada
    shop.at("02-11 09:00")
    shop.move(6, "Chicago", "Seattle")  # twice in one transaction: never in Chicago
    shop.at("02-12 09:00")
    # The number of a product changes, and with it that of the product in its orders. The
    # connector tells of a product that is gone and of a new one, without the description,
    # which was not logged; it comes when it is written the next time.
    shop.do("UPDATE products SET product_id = 107 WHERE product_id = 7")
    shop.at("02-13 09:00")
    shop.do(f"UPDATE products SET description = {description('Soft blanket')} WHERE product_id = 10")
    shop.do(f"UPDATE products SET description = {description('Low armchair')} WHERE product_id = 107")
    shop.at("02-14 09:00")
    shop.do("DELETE FROM products WHERE product_id = 12")
    shop.trade("02-15", "02-19", 7)
    shop.at("02-20 10:00")
    shop.order(1, 4, 2)  # Ada, in Denver
    shop.at("02-20 23:30")
    shop.order(12, 11)  # Lena, in Berlin, where it is the 21st
    shop.trade("02-21", "02-28", 7)


def march(shop):
    shop.at("03-05 09:00")
    shop.do("DELETE FROM customers WHERE customer_id = 5")
    shop.trade("03-06", "03-19", 7)
    shop.at("03-20 09:00")
    shop.sign_up(5, "Eve Lindqvist", "Portland")  # is back
    shop.at("03-20 09:30")
    shop.order(5, 2)
    shop.at("03-21 09:00")
    shop.order(None, 3)
    shop.at("03-21 09:05")
    # A guest who turns out to be Ben.
    shop.do("UPDATE orders SET customer_id = 2 WHERE order_id = (SELECT max(order_id) FROM orders)")
    shop.at("03-21 10:00")
    # A price with the wrong sign, which is put right.
    shop.do("INSERT INTO orders (customer_id, product_id, quantity, total_amount) VALUES (10, 6, 1, -18.75)")
    shop.at("03-21 10:30")
    shop.do("UPDATE orders SET total_amount = 18.75 WHERE order_id = (SELECT max(order_id) FROM orders)")
    shop.trade("03-22", "03-30", 7)
    # What the customers' topic tells last, after orders that it is about.
    shop.at("03-31 09:00")
    shop.move(8, "Denver")  # Hana
    shop.at("03-31 10:00")
    shop.order(8, 1)
    shop.at("03-31 11:00")
    shop.sign_up(21, *LATER_CUSTOMERS[4])
    shop.at("03-31 11:15")
    shop.order(21, 8)
    shop.at("03-31 12:00")
    shop.order(1, 9)


def description(name):
    """Too long for a page of the table, so that it is stored apart."""
    return f"repeat('{name}, of which there is a lot to tell. ', 90)"


def set_clock(clock, now):
    clock.with_suffix(".new").write_text(now.strftime("%Y-%m-%d %H:%M:%S"))
    os.replace(clock.with_suffix(".new"), clock)


PHASES = {"0": opening, "1": january, "2": february, "3": march, **marketplace.PHASES}


def streams(connection, connectors):
    """A slot is read from once the tables have been."""
    (active,) = connection.execute("SELECT count(*) FROM pg_replication_slots WHERE active").fetchone()
    return active == connectors


def flushed(connection, seconds):
    """A connector confirms a place in the log when all before it is in Kafka: the place
    of the transaction before the newest that it has seen. So messages that nobody reads
    follow what is waited for."""
    (end,) = connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
    deadline = time.monotonic() + seconds
    while True:
        connection.execute("SELECT pg_logical_emit_message(true, 'flushed', '')")
        (confirmed,) = connection.execute(
            "SELECT coalesce(min(confirmed_flush_lsn), '0/0')::text FROM pg_replication_slots WHERE active"
        ).fetchone()
        if connection.execute("SELECT %s::pg_lsn >= %s::pg_lsn", (confirmed, end)).fetchone()[0]:
            return
        if time.monotonic() > deadline:
            sys.exit(f"interop: shop: the connectors have confirmed {confirmed} of the log after {seconds} seconds, not {end}")
        time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", required=True)
    parser.add_argument("--clock", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("what", choices=["apply", "streams", "flushed"])
    parser.add_argument("which", nargs="?")
    arguments = parser.parse_args()
    with psycopg.connect(host="127.0.0.1", port=arguments.port, user="shop", dbname="postgres", autocommit=True) as connection:
        if arguments.what == "streams":
            sys.exit(not streams(connection, int(arguments.which)))
        if arguments.what == "flushed":
            flushed(connection, arguments.seconds)
            return
        PHASES[arguments.which](Shop(connection, arguments.which, arguments.clock))


if __name__ == "__main__":
    main()
