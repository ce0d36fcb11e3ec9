"""Reads tables through the catalog with Spark. SPARK_JARS names the folder of the
Iceberg jars."""

import functools
import glob
import os

from pyspark.sql import SparkSession

import report


def settings(catalog, store):
    lake = {
        "type": "rest",
        "uri": catalog,
        # Every read asks the catalog: a table that Spark caches stays as it was.
        "cache-enabled": "false",
    }
    if store:
        lake |= {
            "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
            "s3.endpoint": store.endpoint,
            "s3.path-style-access": "true",
            "s3.access-key-id": store.key,
            "s3.secret-access-key": store.secret,
            "client.region": store.region,
        }
    return {
        "spark.jars": ",".join(glob.glob(os.path.join(os.environ["SPARK_JARS"], "*.jar"))),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.catalog.lake": "org.apache.iceberg.spark.SparkCatalog",
    } | {f"spark.sql.catalog.lake.{name}": value for name, value in lake.items()}


@functools.cache
def session(catalog, store):
    builder = SparkSession.builder.master("local[2]").appName("interop")
    return builder.config(map=settings(catalog, store)).getOrCreate()


def read(catalog, store, table):
    spark = session(catalog, store)
    rows = spark.sql(f"SELECT * FROM lake.{table['name']}").toArrow()
    total = None
    if "sum" in table:
        total = spark.sql(f"SELECT sum({table['sum']}) FROM lake.{table['name']}").first()[0]
    return rows, total


if __name__ == "__main__":
    report.run("spark", read)
