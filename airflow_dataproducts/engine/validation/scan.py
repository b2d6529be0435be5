"""Measuring everything that a contract's checks ask for: one look at the rows, one at each key, and samples of what broke.

Nothing here knows Great Expectations, so that it may run while that is being imported.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract import rules as r
from airflow_dataproducts.contract.ddl import all_given, names, quote
from airflow_dataproducts.contract.modes import NEW, comes
from airflow_dataproducts.engine import duck
from airflow_dataproducts.engine.validation import measures
from airflow_dataproducts.engine.validation.found import CURRENT, Found, Scan, kept_rows
from airflow_dataproducts.engine.validation.keys import SHARING, KeySearch, count_rows
from airflow_dataproducts.engine.validation.predicates import DUPLICATES, breaks, python_pattern, within
from airflow_dataproducts.engine.validation.table import typed

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb

    from airflow_dataproducts.contract.checks import Check
    from airflow_dataproducts.engine.validation.found import Before
    from airflow_dataproducts.engine.validation.table import TypedTable
    from airflow_dataproducts.manifest.types import DataType
    from airflow_dataproducts.plan import ValidateStep

SAMPLED = 20
"""Values shown to Great Expectations of what breaks a check; its own default."""
_KEYS_AT_ONCE = 2
_EXACT = {"integer", "bigint", "decimal", "date"}
"""Types whose least and greatest values Parquet files know exactly, and that have no NaN."""


class Scanner:
    """Measures one output's checks in a DuckDB session.

    Args:
        connection: a session with the tables that SQL rules read, the output among them.
        step: the output and its checks.
        before: what was there before.
        says_types: False where the data knows text only.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, step: ValidateStep, before: Before, *, says_types: bool = True
    ) -> None:
        self._connection = connection
        self._step = step
        self._before = before
        self._table: TypedTable = typed(connection, step.name, step.output.contract, says_types=says_types)
        self._types: dict[str, DataType] = {column.name: column.type for column in step.output.contract.columns}
        self._scan = Scan(columns=self._table.found)
        for check in step.checks:
            _add_pattern(connection, check)

    @property
    def source(self) -> str:
        """The quoted name of the table with the contract's types."""
        return quote(self._step.name)

    def run(self) -> Scan:
        """Measure everything.

        Raises:
            ConfigurationError: the memory limit is too low.
            SourceChangedError: a file has gone, or is broken.
            ContractViolation: a rule's query is no SQL that DuckDB can answer.
        """
        with duck.resource_errors(f"output {self._step.name}"):
            return self._measure()

    def _measure(self) -> Scan:
        # Counting needs no order, and keeping one costs half as much again.
        self._connection.execute("SET preserve_insertion_order = false")
        present = [check for check in self._step.checks if self._is_there(check)]
        try:
            self._count_all(present)
        finally:
            self._connection.execute("SET preserve_insertion_order = true")
        self._samples(present)
        return self._scan

    def _count_all(self, present: list[Check]) -> None:
        # DuckDB alone first: what follows needs Python, which is busy importing Great Expectations at the start.
        self._one_look(present)
        keys = [check for check in present if isinstance(check.rule, r.Unique)]
        with ThreadPoolExecutor(_KEYS_AT_ONCE) as pool:
            for together in (keys[at : at + _KEYS_AT_ONCE] for at in range(0, len(keys), _KEYS_AT_ONCE)):
                begun = [(check, self._search(check).begin(pool)) for check in together]
                for check, search in begun:
                    self._key(check, search)
        for check in present:
            if isinstance(check.rule, r.References):
                self._row_check(check, self._count(breaks(check, self._types)))
        self._set_aside()
        self._rows_after()
        for check in present:
            if not check.names_rows and not isinstance(check.rule, r.GxExpectation):
                self._scan.found[check.name] = measures.measure(self._measuring(), check)

    def broken_rows(self) -> list[tuple[str, str]]:
        """Names of the broken checks that set rows aside, and the conditions under which a row breaks them."""
        return [
            (check.name, breaks(check, self._types))
            for check in self._step.checks
            if check.on_violation == "quarantine" and check.names_rows and _broken(self._scan.found[check.name])
        ]

    def _is_there(self, check: Check) -> bool:
        """Whether all columns of a check are in the data; a check on one that is not cannot hold."""
        gone = [name for name in check.columns if name not in self._table.found]
        if gone:
            self._scan.found[check.name] = Found(holds=False, note=f"the data has no column {', '.join(gone)}")
        return not gone

    def _measuring(self) -> measures.Measuring:
        return measures.Measuring(
            self._connection, self._step, self._table, self._scan.rows, self._scan.nulls, self._scan.rows_after,
            self._scan.quarantined, self._before,
        )  # fmt: skip

    def _one_look(self, checks: list[Check]) -> None:
        """Row counts, NULLs, and every rule that a row alone can break, in one aggregate."""
        counted = [
            check for check in checks if check.names_rows and not isinstance(check.rule, r.Unique | r.References)
        ]
        columns = [name for name in self._types if name in self._table.found]
        # NULLs are counted anyway.
        asked = [check for check in counted if not isinstance(check.rule, r.NotNull)]
        proven = self._proven(asked)
        open_ = [check for check in asked if check.name not in proven]
        # DuckDB counts columns of which it knows that they have no NULL without reading them.
        parts = ["count(*)", *(f"count({quote(name)})" for name in columns)]
        parts += [f"count(*) FILTER (WHERE {breaks(check, self._types)})" for check in open_]
        rows, *counts = duck.one_row(self._connection, f"SELECT {', '.join(parts)} FROM {self.source}")
        self._scan.rows = rows
        self._scan.nulls = {name: rows - given for name, given in zip(columns, counts, strict=False)}
        broken = dict(zip((check.name for check in open_), counts[len(columns) :], strict=True))
        for check in counted:
            nulls = self._scan.nulls[check.columns[0]] if isinstance(check.rule, r.NotNull) else 0
            self._row_check(check, broken.get(check.name, nulls))

    def _proven(self, asked: list[Check]) -> set[str]:
        """The checks on ranges that the least and greatest values show to hold.

        DuckDB answers this from the statistics in Parquet files, without reading a row.
        """
        ranges = [
            (check.name, quote(check.columns[0]), check.rule)
            for check in asked
            if isinstance(check.rule, r.Between) and self._types[check.columns[0]].name in _EXACT
        ]
        if not ranges:
            return set()
        parts = [f"{side}({column})" for _, column, _ in ranges for side in ("min", "max")]
        extremes = duck.one_row(self._connection, f"SELECT {', '.join(parts)} FROM {self.source}")
        return {
            name
            for place, (name, _, rule) in enumerate(ranges)
            if within(rule, extremes[2 * place], extremes[2 * place + 1])
        }

    def _search(self, check: Check) -> KeySearch:
        return KeySearch(self._connection, self.source, check.columns, DUPLICATES + check.name)

    def _key(self, check: Check, search: KeySearch) -> None:
        rows = search.end()
        others = self._others(check)
        if others is not None:
            rows = _with_others(self._connection, self.source, others, check)
        self._row_check(check, rows)

    def _others(self, check: Check) -> str | None:
        """The rows of the whole table that this run does not bring, as a query; None where there are none to look at."""
        publish = self._step.output.publish
        if check.scope != "table" or self._before.table is None or publish.mode == "replace":
            return None
        return kept_rows(self._step)

    def _row_check(self, check: Check, rows: int) -> None:
        missing = 0 if isinstance(check.rule, r.NotNull) else self._missing(check)
        given = self._scan.rows - missing
        holds = rows == 0 or Decimal(given - rows) >= check.mostly * given
        self._scan.found[check.name] = Found(holds=holds, unexpected=rows, missing=missing)

    def _missing(self, check: Check) -> int:
        """Rows that a row rule does not look at, because a value is NULL."""
        if len(check.columns) == 1:
            return self._scan.nulls[check.columns[0]]
        return self._count(" OR ".join(f"{quote(name)} IS NULL" for name in check.columns))

    def _count(self, condition: str) -> int:
        (rows,) = duck.one_row(self._connection, f"SELECT count(*) FROM {self.source} WHERE {condition}")
        return int(rows)

    def _set_aside(self) -> None:
        broken = self.broken_rows()
        if broken:
            self._scan.quarantined = self._count(" OR ".join(condition for _, condition in broken))

    def _rows_after(self) -> None:
        """Rows that consumers will see: those of this run that are not set aside, and what stays of the version before."""
        new = self._coming()
        if self._before.table is None or self._step.output.publish.mode == "replace":
            self._scan.rows_after = new
            return
        (kept,) = duck.one_row(self._connection, f"SELECT count(*) FROM ({kept_rows(self._step)})")
        self._scan.rows_after = new + kept

    def _coming(self) -> int:
        """Rows of this run that consumers will see."""
        coming = comes(self._step.output, None if self._before.table is None else CURRENT)
        if coming == "true":
            return self._scan.rows - self._scan.quarantined
        good = [f"NOT ({condition})" for _, condition in self.broken_rows()]
        source = f"(SELECT * FROM {self.source} AS {NEW} WHERE {coming})"
        (rows,) = duck.one_row(self._connection, f"SELECT count(*) FROM {source} WHERE {' AND '.join(good) or 'true'}")
        return int(rows)

    def _samples(self, checks: Iterable[Check]) -> None:
        """Values of what broke, in the order of the data; of keys those that most rows share, then the lowest."""
        for check in checks:
            found = self._scan.found.get(check.name)
            if found is None or not found.unexpected or isinstance(check.rule, r.NotNull):
                continue
            order = ""
            if isinstance(check.rule, r.Unique):
                shown, source, condition = check.columns, quote(DUPLICATES + check.name), "true"
                order = f"ORDER BY {SHARING} DESC, {names(shown)}"  # else it is as the threads have left them
            elif check.names_rows:
                shown, source, condition = check.columns, self.source, breaks(check, self._types)
            elif isinstance(check.rule, r.OfType) and check.columns[0] in self._table.unfit:
                shown, source, condition = check.columns, quote(self._table.raw), self._table.unfit[check.columns[0]]
            else:
                continue
            query = f"SELECT {names(shown)} FROM {source} WHERE {condition} {order} LIMIT {SAMPLED}"
            rows = self._connection.sql(query).to_arrow_table().to_pylist()
            samples = tuple(row[shown[0]] if len(shown) == 1 else row for row in rows)
            self._scan.found[check.name] = replace(found, samples=samples)


def _broken(found: Found) -> bool:
    """Whether rows were found to break a check; one that could not be measured names none."""
    return not found.holds and not found.note


def _with_others(connection: duckdb.DuckDBPyConnection, source: str, others: str, check: Check) -> int:
    """Add the keys that this run shares with rows that stay; returns this run's rows whose key is not its own alone."""
    key = names(check.columns)
    table = quote(DUPLICATES + check.name)
    given = all_given(check.columns)
    shared = f"SELECT {key}, count(*) FROM {source} SEMI JOIN ({others}) USING ({key}) WHERE {given} GROUP BY ALL"
    connection.execute(f"INSERT INTO {table} SELECT * FROM ({shared}) ANTI JOIN {table} USING ({key})")
    return count_rows(connection, DUPLICATES + check.name)


def _add_pattern(connection: duckdb.DuckDBPyConnection, check: Check) -> None:
    """Let DuckDB ask Python about a pattern that its own engine reads differently."""
    pattern = python_pattern(check)
    if pattern is None:
        return
    search = re.compile(pattern.regex).search

    def found(values: Any) -> Any:  # DuckDB evaluates the annotations
        import pyarrow as pa

        return pa.array([value is not None and search(value) is not None for value in values.to_pylist()], pa.bool_())

    connection.create_function(pattern.name, found, ["VARCHAR"], "BOOLEAN", type="arrow")
