"""``make bench``: measures, prints a table, and keeps it in docs/benchmarks.md with the machine."""

from __future__ import annotations

import os
import platform
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from bench.validation import Medians

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
PACKAGES = ("apache-airflow", "dag-factory", "pydantic", "pyyaml", "great-expectations", "duckdb")


@dataclass(frozen=True)
class Row:
    """One claim and what was measured."""

    claim: str
    measured: str
    value: float
    reach: float | None
    unit: str = "x"

    @property
    def shown(self) -> tuple[str, str, str, str]:
        """As cells: claim, measurement, value, goal and whether it is reached."""
        if self.reach is None:
            return self.claim, self.measured, f"{self.value:.2f} {self.unit}", "no goal"
        verdict = "reached" if self.value <= self.reach else "MISSED"
        return self.claim, self.measured, f"{self.value:.2f} {self.unit}", f"≤ {self.reach:g} {self.unit}, {verdict}"


def main() -> int:
    """Measure everything; 1 if a goal is missed."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="dataproducts-bench-") as name:
        folder = Path(name)
        os.environ["AIRFLOW_HOME"] = str(folder / "home")
        from bench import live, parsing, preloading, validation

        with console.status("1,000 manifests, three ways, three rounds"):
            load = parsing.measure(folder / "parsing")
        with console.status("validating orders, six ways, three rounds"):
            checked = validation.measure(folder / "validation")
        with console.status("a running Airflow"):
            waits = live.measure(folder / "live")
        with console.status("a running Airflow, without and with Great Expectations loaded beforehand"):
            tasks = preloading.measure(folder / "preloading")
    rows = [
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
        Row("product.yaml saved until the API lists its DAG, median of 5", "", waits["save to list, median"], 10, "s"),
        Row("the same, the worst of 5", "", waits["save to list, worst"], 10, "s"),
        Row(
            "a whole run of 6 tasks over 1 row, against 6 tasks that do nothing",
            f"{waits['run of a product']:.1f} s / {waits['run by hand']:.1f} s",
            waits["run of a product"] / waits["run by hand"], None,
        ),
        *validation_rows(checked),
        Row(
            "the task validate over 1 row in Airflow, with [dataproducts] preload against without",
            f"{tasks['preloaded']:.1f} s / {tasks['cold']:.1f} s", tasks["preloaded"] / tasks["cold"], None,
        ),
    ]  # fmt: skip
    table = Table(title="airflow-dataproducts")
    for heading in ("what", "measured", "result", "goal"):
        table.add_column(heading)
    for row in rows:
        table.add_row(*row.shown)
    console.print(table)
    PAGE.write_text(page(rows), encoding="utf-8")
    return int(any(row.reach is not None and row.value > row.reach for row in rows))


def validation_rows(found: Medians) -> list[Row]:
    """What was measured of validating orders with 17 checks."""
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


def page(rows: list[Row]) -> str:
    """docs/benchmarks.md."""
    from bench.validation import peer_versions

    machine = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    versions = {**{name: version(name) for name in PACKAGES}, **peer_versions()}
    packages = ", ".join(f"{name} {number}" for name, number in versions.items())
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`. Ratios within one run, on a small shared machine: the seconds are of that machine, the ratios travel.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {machine}; {packages}.",
        "",
        "| what | measured | result | goal |",
        "| --- | --- | --- | --- |",
        *(f"| {' | '.join(row.shown)} |" for row in rows),
        "",
        "The manifest is loaded with its validation, its contract compiled and its page written; the DAG by hand is the same in Python",
        "(groups, assets, page, owner link), loaded as Airflow loads it, from its cached bytecode.",
        "",
        "Orders have 11 columns and 17 checks (bench/orders); dirty ones have 1% bad rows in each of 9 ways. The floor is the same checks as",
        "one aggregate and one GROUP BY per key, by hand. Peers run the same contract in their own language, telemetry off, each in an",
        "environment of its own; soda-core reads the file through a DuckDB view. A cold process is `dataproducts validate` as a user",
        "starts it. Medians of 3 rounds in turns.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
