"""A transform written as SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataproducts.engine.masking import without_values
from airflow_dataproducts.exceptions import TransformError

if TYPE_CHECKING:
    import duckdb


def checked(connection: duckdb.DuckDBPyConnection, output: str, query: str) -> str:
    """The query, ready to stand in brackets.

    Raises:
        TransformError: it is not exactly one SELECT, or DuckDB cannot understand it.
    """
    import duckdb

    try:
        statements = connection.extract_statements(query)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise TransformError(f"output {output}: a transform is one SELECT; found {len(statements)} statement(s)")
        text = statements[0].query.strip().rstrip(";")
        connection.execute(f"DESCRIBE SELECT * FROM ({text}\n)").fetchall()
    except duckdb.Error as error:
        raise TransformError(f"output {output}: {explain(error)}") from None
    return f"({text}\n)"


def explain(error: Exception) -> str:
    """DuckDB's message in one line: what is wrong, which names come near, and on which line of the SQL."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    place = next((line for line in lines if line.startswith("LINE ")), "")
    extra = [line for line in lines[1:] if line.startswith(("Candidate", "Did you mean"))]
    kind, _, message = lines[0].partition(": ") if lines else ("", "", "")
    text = " ".join([without_values(message or kind), *extra])
    number = place.split(":", 1)[0].lower() if place else ""
    hint = ""
    if "VARCHAR" in text and ("Cannot compare" in text or "No function matches" in text):
        hint = "; columns of CSV files arrive as text: cast them, or name their types in the input"
    return f"{text}{f' ({number} of the SQL)' if number else ''}{hint}"
