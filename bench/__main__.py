"""``make bench``: measures, prints a table, and keeps it in docs/benchmarks.md with the machine."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.report import NOTES, Row, keep


def main(wanted: list[str]) -> int:
    """Measure the sections that are wanted, or all; 1 if a goal is missed."""
    console = Console()
    missed = False
    with tempfile.TemporaryDirectory(prefix="dataproducts-bench-") as name:
        folder = Path(name)
        os.environ["AIRFLOW_HOME"] = str(folder / "home")
        from bench import sections

        for section in wanted or list(NOTES):
            with console.status(section):
                rows: list[Row] = getattr(sections, section)(folder / section)
            keep(section, rows)
            missed |= any(row.missed for row in rows)
            console.print(_table(section, rows))
    return int(missed)


def _table(section: str, rows: list[Row]) -> Table:
    table = Table(title=section)
    for heading in ("what", "measured", "result", "goal"):
        table.add_column(heading)
    for row in rows:
        table.add_row(*row.shown)
    return table


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
