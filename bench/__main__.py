"""``make bench``: measures, prints a table, and keeps it in docs/benchmarks.md with the machine."""

from __future__ import annotations

import os
import platform
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
PACKAGES = ("apache-airflow", "dag-factory", "pydantic", "pyyaml")


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
        from bench import live, parsing

        with console.status("1,000 manifests, three ways, three rounds"):
            load = parsing.measure(folder / "parsing")
        with console.status("a running Airflow"):
            waits = live.measure(folder / "live")
    rows = [
        Row(
            "load and build, against the SDK by hand",
            f"{load['ours']:.2f} ms / {load['by hand']:.2f} ms per DAG of 8 tasks",
            load["ours"] / load["by hand"], 2.0,
        ),
        Row(
            "load and build, against dag-factory",
            f"{load['ours']:.2f} ms / {load['dag-factory']:.2f} ms per DAG of 8 tasks",
            load["ours"] / load["dag-factory"], 0.4,
        ),
        Row("product.yaml saved until the API lists its DAG, median of 5", "", waits["save to list, median"], 10, "s"),
        Row("the same, the worst of 5", "", waits["save to list, worst"], 10, "s"),
        Row(
            "a whole run of 5 tasks over 1 row, against 5 tasks that do nothing",
            f"{waits['run of a product']:.1f} s / {waits['run by hand']:.1f} s",
            waits["run of a product"] / waits["run by hand"], None,
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


def page(rows: list[Row]) -> str:
    """docs/benchmarks.md."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
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
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
