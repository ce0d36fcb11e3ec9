"""Reads tables through the catalog with PyIceberg."""

import pyarrow.compute as pc
from pyiceberg.catalog import load_catalog

import report


def properties(store):
    if not store:
        return {}
    return {
        "s3.endpoint": store.endpoint,
        "s3.region": store.region,
        "s3.access-key-id": store.key,
        "s3.secret-access-key": store.secret,
    }


def read(catalog, store, table):
    lake = load_catalog("lake", type="rest", uri=catalog, **properties(store))
    rows = lake.load_table(table["name"]).scan().to_arrow()
    total = None
    if "sum" in table:
        # PyIceberg has no aggregates of its own; it plans the column's scan anew.
        column = lake.load_table(table["name"]).scan(selected_fields=(table["sum"],)).to_arrow()
        total = pc.sum(column[table["sum"]]).as_py()
    return rows, total


if __name__ == "__main__":
    report.run("pyiceberg", read)
