"""Asks DuckDB, pyarrow, Polars and DataFusion about a prefix of the cold tier.

Arguments: the prefix. Input: a JSON list of the queries of docs/format/parquet-tier.md, in order. Output: a JSON object,
for each engine the answers by number of query: lists of rows. A float is an object with its bits, a time is in ms.
"""

import datetime
import json
import struct
import sys
from pathlib import Path

import datafusion
import duckdb
import polars
import pyarrow
import pyarrow.compute as compute
import pyarrow.dataset

FROM_MS, TO_MS = 1795824600000, 1795825200000


def cell(value):
    if isinstance(value, float):
        return {"bits": str(struct.unpack("<Q", struct.pack("<d", value))[0])}
    if isinstance(value, datetime.datetime):
        return round(value.timestamp() * 1000)
    if hasattr(value, "item"):
        return cell(value.item())
    return value


def rows(table):
    return [[cell(value) for value in row.values()] for row in table.to_pylist()]


def ask_duckdb(prefix, queries):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    answers = {}
    for number, query in enumerate(queries):
        text = query.replace("'cold/", f"'{prefix}/")
        answers[number] = [[cell(value) for value in row] for row in connection.execute(text).fetchall()]
    return answers


def ask_pyarrow(prefix):
    files = [str(path) for path in sorted(Path(prefix).rglob("samples.parquet"))]
    data = pyarrow.dataset.dataset(files, format="parquet")
    field = pyarrow.dataset.field

    def counted():
        table = data.to_table(["job", "instance"], filter=field("__name__") == "requests_total")
        grouped = table.group_by(["job", "instance"]).aggregate([([], "count_all")])
        return rows(grouped.sort_by([("job", "ascending"), ("instance", "ascending")]))

    def by_minute():
        wanted = (field("__name__") == "temperature") & (field("job") == "sensor")
        table = data.to_table(["timestamp", "value"], filter=wanted)
        table = table.filter(compute.invert(compute.is_nan(table["value"])))
        table = table.set_column(0, "minute", compute.floor_temporal(table["timestamp"], unit="minute"))
        return rows(table.group_by("minute").aggregate([("value", "mean")]).sort_by("minute"))

    def raw():
        time = pyarrow.timestamp("ms", tz="UTC")
        wanted = (field("__name__") == "temperature") & (field("instance") == "host-3")
        wanted &= field("timestamp") >= pyarrow.scalar(FROM_MS, time)
        wanted &= field("timestamp") < pyarrow.scalar(TO_MS, time)
        return rows(data.to_table(["timestamp", "value"], filter=wanted).sort_by("timestamp"))

    return {0: counted(), 1: by_minute(), 2: raw()}


def ask_polars(prefix):
    column = polars.col
    data = polars.scan_parquet(f"{prefix}/**/samples.parquet")
    counted = data.filter(column("__name__") == "requests_total").group_by("job", "instance").len()
    temperature = data.filter(column("__name__") == "temperature")
    valid = temperature.filter((column("job") == "sensor") & column("value").is_not_nan())
    minute = column("timestamp").dt.truncate("1m").alias("minute")
    by_minute = valid.group_by(minute).agg(column("value").mean())
    time = column("timestamp").dt.epoch("ms")
    raw = temperature.filter((column("instance") == "host-3") & (time >= FROM_MS) & (time < TO_MS))

    def answer(frame, *order):
        return [[cell(value) for value in row] for row in frame.sort(*order).collect().rows()]

    return {
        0: answer(counted, "job", "instance"),
        1: answer(by_minute, "minute"),
        2: answer(raw.select("timestamp", "value"), "timestamp"),
    }


def ask_datafusion(prefix):
    context = datafusion.SessionContext()
    # The files are named one by one: a listing would take those of labels too.
    files = sorted(Path(prefix).rglob("samples.parquet"))
    for number, path in enumerate(files):
        context.register_parquet(f"part{number}", str(path))
    every = " UNION ALL ".join(f"SELECT * FROM part{number}" for number in range(len(files)))

    def answer(text):
        table = pyarrow.Table.from_batches(context.sql(text).collect())
        return rows(table)

    temperature = f"FROM ({every}) WHERE __name__ = 'temperature'"
    return {
        0: answer(
            f"SELECT job, instance, count(*) AS n FROM ({every}) WHERE __name__ = 'requests_total' "
            "GROUP BY job, instance ORDER BY job, instance"
        ),
        1: answer(
            "SELECT date_bin(INTERVAL '1 minute', timestamp, TIMESTAMP '1970-01-01') AS minute, avg(value) AS mean "
            f"{temperature} AND job = 'sensor' AND NOT isnan(value) GROUP BY 1 ORDER BY 1"
        ),
        2: answer(
            f"SELECT timestamp, value {temperature} AND instance = 'host-3' "
            f"AND timestamp >= to_timestamp_millis({FROM_MS}) AND timestamp < to_timestamp_millis({TO_MS}) ORDER BY 1"
        ),
    }


def main():
    prefix = sys.argv[1]
    answers = {
        "duckdb": ask_duckdb(prefix, json.load(sys.stdin)),
        "pyarrow": ask_pyarrow(prefix),
        "polars": ask_polars(prefix),
        "datafusion": ask_datafusion(prefix),
    }
    json.dump(answers, sys.stdout)


main()
