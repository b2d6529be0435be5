"""What rules on the table as a whole ask for: its columns and types, its rows, a number measured over a column."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract import rules as r
from airflow_dataproducts.contract.ddl import quote
from airflow_dataproducts.engine import duck
from airflow_dataproducts.engine.transforms.sql import explain
from airflow_dataproducts.engine.validation.found import CURRENT, INPUTS, Found, kept_rows
from airflow_dataproducts.exceptions import ContractViolation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from airflow_dataproducts.contract.checks import Check
    from airflow_dataproducts.engine.validation.found import Before
    from airflow_dataproducts.engine.validation.table import TypedTable
    from airflow_dataproducts.plan import ValidateStep


@dataclass(frozen=True, slots=True)
class Measuring:
    """What a rule on the whole table is measured in.

    Attributes:
        connection: the session.
        step: the output and its checks.
        table: the output's rows.
        rows: how many.
        nulls: NULLs by column.
        rows_after: rows that consumers will see once this run is published.
        quarantined: rows that break a check which sets them aside.
        before: what was there before.
    """

    connection: duckdb.DuckDBPyConnection
    step: ValidateStep
    table: TypedTable
    rows: int
    nulls: Mapping[str, int]
    rows_after: int
    quarantined: int
    before: Before

    def number(self, expression: str) -> Any:
        """One aggregate over the output."""
        (value,) = duck.one_row(self.connection, f"SELECT {expression} FROM {quote(self.table.name)}")
        return value


def measure(within: Measuring, check: Check) -> Found:  # noqa: PLR0911 - one per rule
    """Measure a rule on the table as a whole.

    Raises:
        ContractViolation: a rule's query is no SQL that DuckDB can answer.
    """
    match check.rule:
        case r.OfType():
            return _of_type(within, check.columns[0])
        case r.ColumnSet(names):
            return _column_set(within, names)
        case r.RowCount() as rule:
            return _row_count(within, check, rule)
        case r.Statistic() as rule:
            return _statistic(within, check, rule)
        case r.Fresh(max_age):
            return _fresh(within, check.columns[0], max_age)
        case r.Violations() as rule:
            return _violations(within, check, rule)
        case r.SetAside(share):
            return Found(holds=within.quarantined <= share * within.rows, unexpected=within.quarantined)
        case r.SchemaOf(name):
            return _schema(within, check, name)
    raise TypeError(f"{type(check.rule).__name__} is no rule on the table")


def _of_type(within: Measuring, name: str) -> Found:
    kind = within.table.found[name]
    unfit = within.table.unfit.get(name)
    rows = 0
    if unfit is not None:
        query = f"SELECT count(*) FROM {quote(within.table.raw)} WHERE {unfit}"
        (rows,) = duck.one_row(within.connection, query)
    return Found(holds=not rows and name not in within.table.foreign, unexpected=rows, observed=kind)


def _column_set(within: Measuring, names: tuple[str, ...]) -> Found:
    wrong = [f"+{name}" for name in within.table.found if name not in names]
    wrong += [f"-{name}" for name in names if name not in within.table.found]
    return Found(holds=not wrong, unexpected=len(wrong), observed=list(within.table.found), samples=tuple(wrong))


def _row_count(within: Measuring, check: Check, rule: r.RowCount) -> Found:
    before: list[Any] = []
    if within.before.table is not None and rule.window == 1:
        before = [within.before.table.count_rows()]
    elif rule.max_change is not None:
        before = [int(rows) for rows in within.before.measured.get(check.name, ())]
    low, high = row_bounds(rule, before)
    rows = within.rows_after
    holds = low <= rows and (high is None or rows <= high)
    return Found(holds=holds, unexpected=0 if holds else rows, observed=rows, bounds=(low, high))


def row_bounds(rule: r.RowCount, before: Sequence[int]) -> tuple[int, int | None]:
    """The fewest and most rows a rule allows.

    Args:
        rule: the rule.
        before: rows of the versions published before, newest first; empty where there is nothing to change against.
    """
    low, high = bounds(rule, before)
    return math.ceil(low or 0), None if high is None else math.floor(high)


def _statistic(within: Measuring, check: Check, rule: r.Statistic) -> Found:
    value = _measured(within, check.columns[0], rule)
    low, high = bounds(rule, within.before.measured.get(check.name, ()))
    inside = value is not None and (low is None or value >= low) and (high is None or value <= high)
    return Found(holds=inside, observed=value, bounds=(low, high))


def bounds(rule: r.Statistic | r.RowCount, before: Sequence[Any]) -> tuple[Decimal | None, Decimal | None]:
    """The lowest and highest value a rule on a number allows, given what was measured before, newest first."""
    lows, highs = ([None if bound is None else Decimal(bound)] for bound in (rule.low, rule.high))
    past = [Decimal(str(value)) for value in before[: rule.window] if value is not None]
    if rule.max_change is not None and past:
        mean = sum(past, Decimal(0)) / len(past)
        room = abs(mean) * rule.max_change
        lows.append(mean - room)
        highs.append(mean + room)
    return (
        max((low for low in lows if low is not None), default=None),
        min((high for high in highs if high is not None), default=None),
    )


def _measured(within: Measuring, name: str, rule: r.Statistic) -> Decimal | None:
    """The number, exactly for exact types; None where there are no values."""
    column = quote(name)
    values = within.rows - within.nulls[name]
    if rule.measure == "null_rate":
        return Decimal(within.nulls[name]) / within.rows if within.rows else None
    if rule.measure == "distinct_count":
        (count,) = duck.one_row(
            within.connection,
            f"SELECT count(*) FROM (SELECT DISTINCT {column} FROM {quote(within.table.name)} WHERE {column} IS NOT NULL)",
        )
        return Decimal(count)
    if not values:
        return None
    if rule.measure == "quantile":
        return _quantile(within, column, values, rule.quantile or Decimal(0))
    if rule.measure == "stddev":
        return _number(within.number(f"stddev_samp({column})"))
    total = _number(within.number(f"sum({column})"))
    return total if total is None or rule.measure == "sum" else total / values


def _quantile(within: Measuring, column: str, values: int, share: Decimal) -> Decimal | None:
    """The smallest value that at least this share of the values do not exceed (SQL's PERCENTILE_DISC).

    Sorted by DuckDB, which spills, and not by its aggregate, which keeps all values in memory.
    """
    place = max(math.ceil(share * values) - 1, 0)
    table = quote(within.table.name)
    query = f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL ORDER BY 1 LIMIT 1 OFFSET {place}"
    return _number(duck.one_row(within.connection, query)[0])


def _number(value: Any) -> Decimal | None:
    """A measured number as a decimal; NaN and infinities are no number that bounds could judge."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _fresh(within: Measuring, name: str, max_age: timedelta) -> Found:
    latest = f"CAST(max({quote(name)}) AS TIMESTAMP)"
    is_date = within.step.output.contract.column(name).type.name == "date"
    newest = _moment(within.number(latest), is_date=is_date)
    if within.before.table is not None and within.step.output.publish.mode != "replace":
        (there,) = duck.one_row(within.connection, f"SELECT {latest} FROM {CURRENT}")
        newest = max((each for each in (newest, _moment(there, is_date=is_date)) if each is not None), default=None)
    oldest = datetime.now(UTC).replace(tzinfo=None) - max_age
    return Found(holds=newest is not None and newest >= oldest, observed=newest, bounds=(oldest, None))


def _moment(value: datetime | None, *, is_date: bool) -> datetime | None:
    """A moment in UTC without a zone; a date is its end, since data of a day may come until then."""
    if value is None or not is_date:
        return value
    return datetime.max if value.date() == date.max else value + timedelta(days=1)  # noqa: DTZ901 - UTC by convention


def _violations(within: Measuring, check: Check, rule: r.Violations) -> Found:
    most = rule.most if rule.share is None else math.floor(rule.share * within.rows)
    if check.scope == "table" and within.before.table is not None and within.step.output.publish.mode != "replace":
        count = _count_in_whole(within, check, rule)
    else:
        count = _counted(within.connection, within.step, check.name, rule.sql)
    return Found(holds=count <= most, unexpected=count, observed=count, bounds=(0, most))


def _count_in_whole(within: Measuring, check: Check, rule: r.Violations) -> int:
    """What a rule counts when the output's name means the whole table as consumers will see it."""
    name = quote(within.step.name)
    connection = within.connection
    connection.execute("CREATE SCHEMA IF NOT EXISTS whole")
    connection.execute(
        f"CREATE OR REPLACE VIEW whole.{name} AS FROM main.{name} UNION ALL BY NAME ({kept_rows(within.step)})"
    )
    connection.execute("SET search_path = 'whole,main'")
    try:
        return _counted(connection, within.step, check.name, rule.sql)
    finally:
        connection.execute("RESET search_path")


def _counted(connection: duckdb.DuckDBPyConnection, step: ValidateStep, rule: str, query: str) -> int:
    import duckdb

    try:
        row = duck.one_row(connection, query)
    except duckdb.Error as error:
        raise ContractViolation(f"output {step.name}: rule {rule}: {explain(error)}") from None
    if len(row) != 1 or not isinstance(row[0], int):
        raise ContractViolation(
            f"output {step.name}: rule {rule}: its query must give one number, the count of violations"
        )
    return row[0]


def _schema(within: Measuring, check: Check, name: str) -> Found:
    query = f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {INPUTS}.{quote(name)})"
    now = dict(within.connection.execute(query).fetchall())
    past = within.before.measured.get(check.name, ())
    before = json.loads(past[0]) if past else now
    changed = [f"+{column} {kind}" for column, kind in now.items() if before.get(column) != kind]
    changed += [f"-{column} {kind}" for column, kind in before.items() if now.get(column) != kind]
    return Found(not changed, len(changed), json.dumps(now), tuple(changed), (json.dumps(before), None))
