"""What ``make bench`` measures, section by section: each makes its rows in a folder of its own."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from bench import alerting, preloading
from bench import dataplane as dataplane_
from bench import live as live_
from bench import parsing as parsing_
from bench import promises as promises_
from bench import validation as validation_
from bench.report import Row

if TYPE_CHECKING:
    from pathlib import Path


def parsing(folder: Path) -> list[Row]:
    """1,000 manifests, three ways, three rounds."""
    load = parsing_.measure(folder)
    return [
        Row(
            "load and build, against the SDK by hand",
            f"{load['ours']:.2f} ms / {load['by hand']:.2f} ms per DAG of 9 tasks",
            load["ours"] / load["by hand"], 2.0,
        ),
        Row(
            "load and build, against dag-factory",
            f"{load['ours']:.2f} ms / {load['dag-factory']:.2f} ms per DAG of 9 tasks",
            load["ours"] / load["dag-factory"], 0.4,
        ),
    ]  # fmt: skip


def airflow(folder: Path) -> list[Row]:
    """What people wait for in a running Airflow."""
    waits = live_.measure(folder / "live")
    tasks = preloading.measure(folder / "preloading")
    return [
        Row("product.yaml saved until the API lists its DAG, median of 5", "", waits["save to list, median"], 10, "s"),
        Row("the same, the worst of 5", "", waits["save to list, worst"], 10, "s"),
        Row(
            "a whole run of 6 tasks over 1 row, against 6 tasks that do nothing",
            f"{waits['run of a product']:.1f} s / {waits['run by hand']:.1f} s",
            waits["run of a product"] / waits["run by hand"], None,
        ),
        Row(
            "the task validate over 1 row in Airflow, with [dataproducts] preload against without",
            f"{tasks['preloaded']:.1f} s / {tasks['cold']:.1f} s", tasks["preloaded"] / tasks["cold"], None,
        ),
    ]  # fmt: skip


def promises(folder: Path) -> list[Row]:
    """A tick of the monitor over 1,000 to 10,000 products with six promises each."""
    found = promises_.measure(folder)
    sizes = ", ".join(f"{count:,}: {seconds:.2f} s" for count, seconds in found["sizes"])
    rows = []
    for name in ("SQLite", "PostgreSQL"):
        seconds, statements = found[name]
        rows += [
            Row(f"a tick over 1,000 products with 6 promises each, {name}, CPU", "", seconds, 2, "s"),
            Row(f"the same, {name}, SQL statements", "", statements, 10, ""),
        ]
    waits = alerting.measure(folder / "alerting")
    return [
        *rows,
        Row(
            f"a promise broken until Slack has the message, in a running Airflow, worst of {len(waits)}",
            f"median {statistics.median(waits):.0f} s", max(waits), 90, "s",
        ),
        Row("a tick's cost is linear in the number of products: R² (at least 0.98)", sizes, found["r2"], None, ""),
    ]  # fmt: skip


def validation(folder: Path) -> list[Row]:
    """Orders with 17 checks, six ways, three rounds."""
    found = validation_.measure(folder)
    rows = []
    for case, goal in (("10M clean", 1.2), ("10M dirty", 1.6), ("1M clean", 1.2), ("1M dirty", 1.6)):
        ours, floor = found[case]["warm seconds"], found[case]["floor seconds"]
        rows.append(
            Row(f"validate {case}, against DuckDB by hand", f"{ours:.2f} s / {floor:.2f} s", ours / floor, goal)
        )
    for case in ("10M clean", "10M dirty"):
        each = found[case]
        cold, fork, soda, contract = (
            each[name] for name in ("cold wall", "warm forked", "soda wall", "datacontract wall")
        )
        least = max(each["gx import wall"], each["floor wall"])
        rows += [
            Row(f"validate {case}, cold process, against the longer of GX's import and the scan", f"{cold:.2f} s / {least:.2f} s", cold / least, 1.15),
            Row(f"validate {case}, cold process, against datacontract-cli", f"{cold:.2f} s / {contract:.2f} s", cold / contract, 1.0),
            Row(f"validate {case}, forked from a process with GX, against soda-core", f"{fork:.2f} s / {soda:.2f} s", fork / soda, 1.0),
            Row(f"validate {case}, forked from a process with GX, against datacontract-cli", f"{fork:.2f} s / {contract:.2f} s", fork / contract, 0.5),
        ]  # fmt: skip
    small, ten, thirty = found["10 rows"], found["10M clean"]["cold rss"], found["30M clean"]["cold rss"]
    peers = f"soda-core {found['10M clean']['soda rss']:.0f} MB, datacontract-cli {found['10M clean']['datacontract rss']:.0f} MB"
    return [
        *rows,
        Row("validate 10M clean, peak memory at a limit of 1 GB", peers, ten / 1000, 1.2, "GB"),
        Row("validate 30M clean, peak memory against that of 10M", f"{thirty:.0f} MB / {ten:.0f} MB", thirty / ten, 1.05),
        Row(
            "validate 10 rows, cold process, against GX's import",
            f"{small['cold wall']:.2f} s / {small['gx import wall']:.2f} s", small["cold wall"] / small["gx import wall"], 1.1,
        ),
        Row("validate 10 rows, with GX loaded", "", small["warm seconds"], 0.5, "s"),
    ]  # fmt: skip


def dataplane(folder: Path) -> list[Row]:
    """5 million rows of 9 columns, and 50 million to publish."""
    found = dataplane_.measure(folder)

    def against(claim: str, ours: str, other: str, goal: float | None) -> Row:
        mine, theirs = found[ours]["seconds"], found[other]["seconds"]
        return Row(claim, f"{mine:.2f} s / {theirs:.2f} s", mine / theirs, goal)

    five, twenty = found["extract"]["rss"], found["extract 20M"]["rss"]
    return [
        against("PostgreSQL to Parquet, against binary COPY to nowhere", "extract", "copy to nowhere", 3),
        against("PostgreSQL to Parquet, against pandas in chunks (1M rows)", "extract 1M", "pandas 1M", 0.2),
        Row("PostgreSQL to Parquet, peak memory", "", five, 400, "MB"),
        Row(
            "PostgreSQL to Parquet, 20M rows, peak memory against 5M",
            f"{twenty:.0f} MB / {five:.0f} MB",
            twenty / five,
            1.1,
        ),
        against("Parquet to PostgreSQL, against CSV and COPY", "load", "csv_copy", 1.2),
        Row("publishing 5M rows to Delta once validated", "", found["switch 5M"]["seconds"], 1, "s"),
        Row("publishing 50M rows to Delta once validated", "", found["switch 50M"]["seconds"], 1, "s"),
        against("extract, transform and publish, against ADBC, DuckDB and deltalake by hand", "whole", "by_hand", 1.3),
        against("extract, transform and publish to Delta, against dlt", "whole, with peers", "dlt, with peers", 0.5),
        against(
            "extract, transform and publish to PostgreSQL, against Airflow's GenericTransfer",
            "table_to_table, with peers", "generic_transfer, with peers", 0.5,
        ),
    ]  # fmt: skip
