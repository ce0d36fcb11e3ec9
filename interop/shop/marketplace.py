"""What happens in the database of examples/marketplace: livestreams and the categories
that they are in. Only record has use for it."""

SCHEMA = """
CREATE TABLE categories (
    category_id bigint PRIMARY KEY,
    category_name text NOT NULL
);
-- What the categories are summed up to.
CREATE TABLE category_groups (
    category_id bigint PRIMARY KEY,
    group_name text NOT NULL
);
CREATE TABLE livestreams (
    livestream_id bigint PRIMARY KEY,
    title text NOT NULL,
    host text NOT NULL,
    category_ids bigint[] NOT NULL,
    category_share float NOT NULL -- of each of them
);
"""

CATEGORIES = ["Chess", "Cooking", "Gardening", "Guitar", "Pottery", "Running", "Sewing", "Yoga"]
GROUPS = ["games", "food", "home", "music", "crafts", "sports", "crafts"]
LIVESTREAMS = [
    ("Blitz for breakfast", "Anouk", [1]), ("Soup of the day", "Bruno", [2]), ("Tomatoes on a balcony", "Chiara", [3]),
    ("Picnic run", "Dmitri", [2, 6]), ("Three chords", "Elif", [4]), ("Bowls and mugs", "Farid", [5]),
    ("Herbs, grown and cooked", "Greta", [2, 3]), ("Hems", "Hugo", [7]), ("Sun salutation", "Ines", [8]),
    ("Endgames and etudes", "Jonas", [1, 4]),
]


def categories_of(numbers):
    return f"ARRAY[{', '.join(map(str, numbers))}]::bigint[], {1 / len(numbers)}"


def start(shop, number, title, host, numbers):
    shop.do(f"INSERT INTO livestreams VALUES ({number}, '{title}', '{host}', {categories_of(numbers)})")


def move(shop, number, numbers):
    shop.do(f"UPDATE livestreams SET (category_ids, category_share) = ({categories_of(numbers)}) WHERE livestream_id = {number}")


def opening(shop):
    shop.at("04-01 08:00")
    shop.do(SCHEMA)
    for number, name in enumerate(CATEGORIES, 1):
        shop.do(f"INSERT INTO categories VALUES ({number}, '{name}')")
    # Yoga is in no group yet.
    for number, name in enumerate(GROUPS, 1):
        shop.do(f"INSERT INTO category_groups VALUES ({number}, '{name}')")
    for number, livestream in enumerate(LIVESTREAMS, 1):
        start(shop, number, *livestream)


def fortnight(shop):
    shop.at("04-03 09:00")
    start(shop, 11, "Rooks and riffs", "Jonas", [1, 4])
    shop.at("04-05 12:00")
    move(shop, 3, [3, 5])  # tomatoes, in pots that are made on air
    shop.at("04-06 09:00")
    shop.do("UPDATE livestreams SET title = 'Stew of the day' WHERE livestream_id = 2")
    shop.at("04-08 12:00")
    move(shop, 3, [5])
    shop.at("04-09 12:00")
    move(shop, 4, [2, 6, 7, 8])
    shop.at("04-10 09:00")
    shop.do("UPDATE categories SET category_name = 'Yoga and Pilates' WHERE category_id = 8")
    shop.do("INSERT INTO category_groups VALUES (8, 'sports')")
    shop.at("04-11 09:00")
    shop.do("UPDATE category_groups SET group_name = 'art' WHERE category_id = 5")
    shop.at("04-12 18:00")
    shop.do("DELETE FROM livestreams WHERE livestream_id = 9")
    shop.at("04-13 09:00")
    start(shop, 12, "Cranes of paper", "Kiri", [9])
    shop.at("04-13 10:00")
    shop.do("INSERT INTO categories VALUES (9, 'Origami')")


PHASES = {"marketplace-opening": opening, "marketplace": fortnight}
