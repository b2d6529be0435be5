"""Making outputs from staged inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataproducts.engine import duck
from airflow_dataproducts.engine.transforms import cast, function, sql

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import duckdb
    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.moment import Moment
    from airflow_dataproducts.engine.staging import Staged
    from airflow_dataproducts.plan import TransformStep
    from airflow_dataproducts.settings import Settings


def transform(
    step: TransformStep,
    tables: Mapping[str, pads.Dataset],
    save: Callable[[duckdb.DuckDBPyRelation], Staged],
    settings: Settings,
    moment: Moment,
) -> Staged:
    """Make one output with exactly the contract's columns and types, and write it.

    Args:
        step: what to make.
        tables: the staged inputs and the outputs it uses, by name.
        save: writes the rows.
        settings: the site's.
        moment: when the run runs.

    Raises:
        TransformError: the SQL or function fails, misses a column, or gives a value its type cannot hold.
        StagingError: the result cannot be written.
    """
    with duck.session(settings) as connection:
        for name, table in tables.items():
            duck.add_table(connection, name, table)
        if step.sql is not None:
            source = sql.checked(connection, step.name, moment.fill(step.sql))
        else:
            source = function.call(connection, step, tables)
        relation = cast.to_contract(connection, step.name, source, step.output.contract)
        with cast.errors(connection, step.name, source, step.output.contract):
            return save(relation)
