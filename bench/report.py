"""What was measured, against what was aimed at, and the page that tells it."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.validation import peer_versions

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
RESULTS = Path(__file__).parent / "results.json"
PACKAGES = (
    "apache-airflow",
    "dag-factory",
    "pydantic",
    "pyyaml",
    "great-expectations",
    "duckdb",
    "deltalake",
    "adbc-driver-postgresql",
)


@dataclass(frozen=True)
class Row:
    """One claim and what was measured."""

    claim: str
    measured: str
    value: float
    reach: float | None
    unit: str = "x"

    @property
    def missed(self) -> bool:
        """Whether there is a goal that is not reached."""
        return self.reach is not None and self.value > self.reach

    @property
    def shown(self) -> tuple[str, str, str, str]:
        """As cells: claim, measurement, value, goal and whether it is reached."""
        value = f"{self.value:.2f} {self.unit}"
        if self.reach is None:
            return self.claim, self.measured, value, "no goal"
        return (
            self.claim,
            self.measured,
            value,
            f"≤ {self.reach:g} {self.unit}, {'MISSED' if self.missed else 'reached'}",
        )


def keep(section: str, rows: list[Row]) -> None:
    """Remember a section's rows with their day, and write the page anew."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    kept[section] = {"day": f"{datetime.now(UTC):%Y-%m-%d}", "rows": [asdict(row) for row in rows]}
    RESULTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(_page(kept), encoding="utf-8")


def _page(kept: dict[str, dict[str, object]]) -> str:
    """docs/benchmarks.md."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    versions = {**{name: version(name) for name in PACKAGES}, **peer_versions()}
    packages = ", ".join(f"{name} {number}" for name, number in versions.items())
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`. Ratios within one run, on a small shared machine: the seconds are of that machine, the ratios travel.",
        "",
        f"{machine}; {packages}.",
        "",
    ]
    for section, notes in NOTES.items():
        if section not in kept:
            continue
        rows = [Row(**row) for row in kept[section]["rows"]]  # type: ignore[attr-defined]
        lines += [
            f"## {section.capitalize()}",
            "",
            f"Measured on {kept[section]['day']}.",
            "",
            "| what | measured | result | goal |",
            "| --- | --- | --- | --- |",
            *(f"| {' | '.join(row.shown)} |" for row in rows),
            "",
            notes,
            "",
        ]
    return "\n".join(lines)


NOTES = {
    "parsing": """\
The manifest is loaded with its validation, its contract compiled and its page written; the DAG by hand is the same in Python
(groups, assets, page, owner link), loaded as Airflow loads it, from its cached bytecode.""",
    "validation": """\
Orders have 11 columns and 17 checks (bench/orders); dirty ones have 1% bad rows in each of 9 ways. The floor is the same checks as
one aggregate and one GROUP BY per key, by hand. Both are timed from opening DuckDB to closing it. Peers run the same contract in
their own language, telemetry off, each in an environment of its own; soda-core reads the file through a DuckDB view. A cold process
is `dataproducts validate` as a user starts it. Peak memory is that of a process and its children together, each at its own peak.
Medians of 3 rounds in turns.""",
    "dataplane": """\
Rows have 9 columns: integers, texts, a numeric(12,2), a date and a timestamptz. Every way is a process of its own, timed without its
imports, three times in turns; once where rows are fewer or more. COPY to nowhere is PostgreSQL's own client. By hand is ADBC to one
Parquet file, a cast in DuckDB and write_deltalake, without validation on either side. Publishing once validated is the time of the
commit alone: the files are there.""",
    "promises": """\
Every product has published twice; one in a hundred is too old, and its incident is open. CPU is that of the monitor's own process, the
median of three ticks; what a database's server does beside it is not in it. Messages are timed from the moment that a promise breaks, at six
moments of the monitor's minute, until a server that speaks Slack's API has them.""",
    "airflow": "A running Airflow with its scheduler, DAG processor and API server.",
}
"""What a reader must know of each section, in the page's order."""
