"""Parting the rows that may be published from those that are set aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataproducts.contract.ddl import quote, text

if TYPE_CHECKING:
    import duckdb

RUN, RULES, REASON = "_run_id", "_broken_rules", "_reason"
"""The columns that a quarantined row has beside the output's own."""


class Split:
    """The rows of an output, parted by the checks that set rows aside.

    Args:
        connection: the session of the validation.
        name: the output.
        broken: names of the broken checks that set rows aside, and the conditions under which a row breaks them.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str, broken: list[tuple[str, str]]) -> None:
        self._connection = connection
        self._name = name
        self._broken = broken

    @property
    def needed(self) -> bool:
        """Whether any row is set aside."""
        return bool(self._broken)

    def good(self) -> duckdb.DuckDBPyRelation:
        """The rows to publish."""
        return self._connection.sql(f"SELECT * FROM {quote(self._name)} WHERE NOT ({self._any()})")

    def bad(self, reasons: dict[str, str], run_id: str) -> duckdb.DuckDBPyRelation:
        """The rows set aside, with the run, the names of the checks each breaks, and a sentence for each.

        Args:
            reasons: the sentence of each check, without any value of the row.
            run_id: the run that set them aside.
        """
        names = ", ".join(f"CASE WHEN {condition} THEN {text(name)} END" for name, condition in self._broken)
        why = ", ".join(f"CASE WHEN {condition} THEN {text(reasons[name])} END" for name, condition in self._broken)
        return self._connection.sql(
            f"SELECT *, {text(run_id)} AS {RUN}, list_filter([{names}], lambda x: x IS NOT NULL) AS {RULES}, concat_ws('; ', {why}) AS {REASON} "
            f"FROM {quote(self._name)} WHERE {self._any()}"
        )

    def _any(self) -> str:
        return " OR ".join(condition for _, condition in self._broken)
