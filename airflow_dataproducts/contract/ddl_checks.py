"""PostgreSQL's CHECK constraints for the checks of a contract that it can say, so that the table tells what it promises."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract import rules as r
from airflow_dataproducts.contract.checks import compile_contract
from airflow_dataproducts.contract.ddl import quote, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataproducts.contract.checks import Check
    from airflow_dataproducts.manifest.contract import Contract

_LONGEST_NAME = 63  # PostgreSQL manual, 4.1.1: NAMEDATALEN - 1 bytes


def check_constraints(contract: Contract, table: str) -> Iterator[str]:
    """The statements that add a constraint for each enum, range and length whose violation stops a run.

    ``NOT VALID``: nothing is looked at again, and rows of versions before that a newer contract would refuse may stay. No floats:
    PostgreSQL takes NaN for the greatest number, the contract for none.

    Args:
        contract: a valid contract.
        table: the table's quoted name.
    """
    kinds = {column.name: column.type.name for column in contract.columns}
    for check in compile_contract(contract):
        if check.on_violation != "fail" or check.mostly != 1 or len(check.columns) != 1:
            continue
        if kinds[check.columns[0]] in {"float", "double", "json", "array", "struct"}:
            continue
        condition = _condition(check)
        if condition:
            name = quote(check.name.encode()[:_LONGEST_NAME].decode(errors="ignore"))
            yield f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID"


def _condition(check: Check) -> str | None:
    column = quote(check.columns[0])
    match check.rule:
        case r.OneOf(values):
            return f"{column} IN ({', '.join(_literal(value) for value in values)})"
        case r.Between(low, high, strict_low, strict_high):
            bounds = ((low, ">" if strict_low else ">="), (high, "<" if strict_high else "<="))
            return " AND ".join(f"{column} {sign} {_literal(bound)}" for bound, sign in bounds if bound is not None)
        case r.LengthBetween(low, high):
            bounds = ((low, ">="), (high, "<="))
            return " AND ".join(f"char_length({column}) {sign} {bound}" for bound, sign in bounds if bound is not None)
    return None


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return (
        str(value)
        if isinstance(value, int | Decimal)
        else text(value.isoformat() if hasattr(value, "isoformat") else str(value))
    )
