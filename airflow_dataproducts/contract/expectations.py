"""Expectations of Great Expectations that say what a rule of ours says.

Those are measured in the one scan as that rule; any other runs on Great Expectations itself.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract import rules as r
from airflow_dataproducts.manifest.contract_problems import snake_case
from airflow_dataproducts.manifest.literals import read_literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_dataproducts.manifest.contract import Contract
    from airflow_dataproducts.manifest.types import DataType

Kwargs = dict[str, Any]


def as_rule(kind: str, kwargs: Mapping[str, Any], contract: Contract) -> tuple[r.Rule, Decimal] | None:
    """The rule that an expectation is, and the share of rows that must hold it; None if it is none of ours.

    Args:
        kind: GX's name of it in either spelling.
        kwargs: its arguments.
        contract: says the types of the columns.
    """
    reader = _READERS.get(snake_case(kind))
    if reader is None:
        return None
    rest = dict(kwargs)
    try:
        mostly = Decimal(str(rest.pop("mostly", 1)))
        column = rest.pop("column", None)
        rule = reader(rest, contract.column(column).type if column else None)
    except (KeyError, ValueError, ArithmeticError):
        return None
    # An argument nobody took changes what the expectation means: row_condition, for one.
    return None if rest else (rule, mostly)


def _between(rest: Kwargs, kind: DataType | None) -> r.Rule:
    if kind is None:
        raise KeyError("column")
    low, high = rest.pop("min_value", None), rest.pop("max_value", None)
    return r.Between(
        None if low is None else read_literal(kind, low),
        None if high is None else read_literal(kind, high),
        bool(rest.pop("strict_min", False)),
        bool(rest.pop("strict_max", False)),
    )


def _in_set(rest: Kwargs, kind: DataType | None) -> r.Rule:
    if kind is None:
        raise KeyError("column")
    return r.OneOf(tuple(read_literal(kind, value) for value in rest.pop("value_set")))


def _lengths(rest: Kwargs, _kind: DataType | None) -> r.Rule:
    return r.LengthBetween(rest.pop("min_value", None), rest.pop("max_value", None))


def _compound(rest: Kwargs, _kind: DataType | None) -> r.Rule:
    rest.pop("column_list")
    # GX's default compares rows with NULLs too; ours never does.
    if rest.pop("ignore_row_if", None) != "any_value_is_missing":
        raise KeyError("ignore_row_if")
    return r.Unique()


def _row_count(rest: Kwargs, _kind: DataType | None) -> r.Rule:
    return r.RowCount(rest.pop("min_value", None), rest.pop("max_value", None))


_READERS: dict[str, Callable[[Kwargs, DataType | None], r.Rule]] = {
    "expect_column_values_to_not_be_null": lambda _rest, _kind: r.NotNull(),
    "expect_column_values_to_be_unique": lambda _rest, _kind: r.Unique(),
    "expect_column_values_to_match_regex": lambda rest, _kind: r.Matches(rest.pop("regex")),
    "expect_column_values_to_be_in_set": _in_set,
    "expect_column_values_to_be_between": _between,
    "expect_column_value_lengths_to_be_between": _lengths,
    "expect_compound_columns_to_be_unique": _compound,
    "expect_table_row_count_to_be_between": _row_count,
}
