"""What runs a transform."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataproducts.manifest.sql import is_function

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataproducts.manifest.outputs import Output
    from airflow_dataproducts.manifest.problems import Problem

ENGINES = ("duckdb", "spark")
"""What runs a transform outside a database; any other engine is the connection of one."""


def pushed_down(output: Output) -> bool:
    """Whether a database makes the output, so that its rows never leave it."""
    return output.engine not in ENGINES


def engine_problems(output: Output) -> Iterator[Problem]:
    """Engines that there are not, or that cannot do what the output asks for."""
    connection = getattr(output.publish, "connection", None) if output.publish.to == "postgres" else None
    if pushed_down(output) and output.engine != connection:
        also = (
            f"{connection}, where the output is published" if connection else "the connection of publish, to: postgres"
        )
        yield ("engine",), f"found {output.engine!r} (allowed: {', '.join(ENGINES)}, or {also})"
        return
    if output.engine != "duckdb" and output.transform is not None and is_function(output.transform):
        yield ("engine",), f"found {output.engine!r} for a function; it runs SQL, a function runs where the task does"
    if pushed_down(output):
        yield from _rules_of_rows(output)
    if output.engine == "spark":
        yield from _not_in_spark(output)


def _not_in_spark(output: Output) -> Iterator[Problem]:
    """Types that Spark has not, or casts otherwise: structs by place, not by name, and what is text within an array unseen."""
    for index, column in enumerate(output.contract.columns):
        kind, inner = column.type, column.type
        while inner.item is not None:
            inner = inner.item
        if inner.name in {"time", "struct"} or (inner is not kind and inner.name in {"uuid", "json"}):
            yield (
                ("contract", "columns", index, "type"),
                f"found '{kind}', which is not made in Spark; use another type, such as json or string, or engine: duckdb",
            )


def _rules_of_rows(output: Output) -> Iterator[Problem]:
    """Rules that need the rows themselves, or what a run read."""
    contract = output.contract
    if contract.max_quarantine is not None:
        yield ("contract", "max_quarantine"), _stays(output)
    for field, parts in (("columns", contract.columns), ("rules", contract.rules)):
        for index, part in enumerate(parts):
            if part.on_violation == "quarantine":
                yield ("contract", field, index, "on_violation"), f"found 'quarantine'; {_stays(output)}"
            if getattr(part, "schema_drift", ()):
                yield (
                    ("contract", field, index, "schema_drift"),
                    f"looks at the schema that an extract saw; {output.engine} reads its tables where they are",
                )


def _stays(output: Output) -> str:
    return f"rows are not set aside in {output.engine}; they do not leave the database (allowed: fail, warn)"
