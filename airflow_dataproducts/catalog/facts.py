"""What was observed of products, read from the catalog for all of them at once."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_dataproducts.catalog import tables
from airflow_dataproducts.catalog import tables_sla as t
from airflow_dataproducts.sla.facts import LastRun, Probes, Shown
from airflow_dataproducts.sla.histogram import quantile
from airflow_dataproducts.sla.verdicts import utc

if TYPE_CHECKING:
    from collections.abc import Sequence

_RUNS = 5
"""Runs of a product from which its usual time is known."""


def only(query: sa.Select[Any], table: sa.Table, product: str | None) -> sa.Select[Any]:
    """A query of one product's rows, or as it is where none is named."""
    return query if product is None else query.where(table.c.product_id == product)


def shown(
    connection: sa.Connection, product: str | None
) -> tuple[dict[str, dict[str, Shown]], dict[str, dict[str, datetime]]]:
    """What consumers see of each output, with its validation and the measures of its columns; and how far inputs were read."""
    p, v = tables.publications, tables.validations
    place = sa.func.row_number().over(partition_by=(p.c.product_id, p.c.output), order_by=p.c.published_at.desc())
    columns = (p.c.product_id, p.c.output, p.c.run_id, p.c.rows, p.c.published_at, place.label("place"))
    ranked = only(sa.select(*columns), p, product).subquery()
    same = sa.and_(*(ranked.c[name] == v.c[name] for name in ("product_id", "output", "run_id")))
    query = (
        sa.select(ranked, v.c.rows.label("checked"), v.c.quarantined, v.c.dimensions)
        .join(v, same, isouter=True)
        .where(ranked.c.place <= 2)  # noqa: PLR2004 - the version before is enough to know a change
        .order_by(ranked.c.place.desc())
    )
    rows = connection.execute(query).all()
    m = tables.column_metrics
    newest = sa.select(ranked).where(ranked.c.place == 1).subquery()
    same = sa.and_(*(newest.c[name] == m.c[name] for name in ("product_id", "output", "run_id")))
    measured: dict[tuple[str, str], list[Any]] = defaultdict(list)
    measures = sa.select(m.c.product_id, m.c.output, m.c.column_name, m.c.nulls, m.c.maximum).join(newest, same)
    w = tables.watermarks
    read = only(sa.select(w.c.product_id, sa.literal(""), w.c.input, sa.literal(0), w.c.value), w, product)
    marks: dict[str, dict[str, datetime]] = defaultdict(dict)
    for owner, output, name, nulls, maximum in connection.execute(measures.union_all(read)):
        if output:
            measured[owner, output].append((name, nulls, maximum))
        elif (moment := _moment(maximum)) is not None:
            marks[owner][name] = moment
    before: dict[tuple[str, str], int] = {}
    found: dict[str, dict[str, Shown]] = defaultdict(dict)
    for row in rows:
        key = row.product_id, row.output
        if row.place > 1:
            before[key] = row.rows
            continue
        nulls = {name: count for name, count, _ in measured[key]}
        latest = {name: moment for name, _, text in measured[key] if (moment := _moment(text)) is not None}
        checked = None if row.checked is None else row.checked - (row.quarantined or 0)
        found[row.product_id][row.output] = Shown(
            utc(row.published_at), row.run_id, row.rows, before.get(key), checked, row.dimensions or {}, nulls, latest
        )  # fmt: skip
    return found, marks


def _moment(text: str | None) -> datetime | None:
    """A greatest value as a moment; None where it is none."""
    if not text or not text[:4].isdigit() or "-" not in text[:8]:
        return None
    try:
        return utc(datetime.fromisoformat(text))
    except ValueError:
        return None


def runs(connection: sa.Connection, product: str | None) -> dict[str, tuple[LastRun, float | None]]:
    """The newest run of each product, and what its successful ones usually take."""
    r = tables.runs
    place = sa.func.row_number().over(partition_by=r.c.product_id, order_by=r.c.started_at.desc())
    names = ("product_id", "run_id", "state", "started_at", "finished_at", "failed_task", "error")
    ranked = only(sa.select(*(r.c[name] for name in names), place.label("place")), r, product).subquery()
    query = sa.select(ranked).where(ranked.c.place <= _RUNS).order_by(ranked.c.place)
    last: dict[str, LastRun] = {}
    taken: dict[str, list[float]] = defaultdict(list)
    for row in connection.execute(query):
        begun, ended = utc(row.started_at), utc(row.finished_at) if row.finished_at else None
        last.setdefault(row.product_id, LastRun(row.run_id, row.state, begun, ended, row.failed_task, row.error))
        if row.state == "success" and ended is not None:
            taken[row.product_id].append((ended - begun).total_seconds())
    return {name: (run, median(taken[name]) if taken[name] else None) for name, run in last.items()}


def probes(connection: sa.Connection, now: datetime, products: Sequence[Any]) -> dict[str, dict[str, Probes]]:
    """What probes found within the window of each promise that is probed."""
    windows = {
        (row["product_id"], each["name"]): each["more"]["window"]
        for row in products
        for each in row["spec"]["promises"]
        if "window" in each["more"]
    }
    oldest = now - timedelta(seconds=max(windows.values(), default=0.0))
    days: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in connection.execute(sa.select(t.probes).where(t.probes.c.day >= oldest.date().isoformat())).mappings():
        key = row["product_id"], row["promise"]
        first = (now - timedelta(seconds=windows.get(key, 0.0))).date().isoformat()
        if key in windows and row["day"] >= first:
            days[key].append(row)
    found: dict[str, dict[str, Probes]] = defaultdict(dict)
    for (product, promise), rows in days.items():
        merged: dict[str, int] = defaultdict(int)
        for row in rows:
            for bucket, count in row["histogram"].items():
                merged[bucket] += count
        found[product][promise] = Probes(
            sum(row["ok"] for row in rows), sum(row["total"] for row in rows), quantile(merged, 0.95), quantile(merged, 0.99)
        )  # fmt: skip
    return found
