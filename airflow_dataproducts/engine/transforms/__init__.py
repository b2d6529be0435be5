"""Making outputs from staged inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataproducts.engine import duck, staging
from airflow_dataproducts.engine.transforms import cast, function, sql

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.staging import Staged
    from airflow_dataproducts.engine.storage import Place
    from airflow_dataproducts.plan import TransformStep
    from airflow_dataproducts.settings import Settings


def transform(step: TransformStep, tables: Mapping[str, pads.Dataset], folder: Place, settings: Settings) -> Staged:
    """Make one output with exactly the contract's columns and types, and stage it.

    Args:
        step: what to make.
        tables: the staged inputs by name.
        folder: where to write.
        settings: the site's.

    Raises:
        TransformError: the SQL or function fails, misses a column, or gives a value its type cannot hold.
        StagingError: the result cannot be written.
    """
    with duck.session(settings) as connection:
        for name, table in tables.items():
            duck.add_table(connection, name, table)
        if step.sql is not None:
            source = sql.checked(connection, step.name, step.sql)
        else:
            source = function.call(connection, step, tables)
        relation = cast.to_contract(connection, step.name, source, step.output.contract)
        with cast.errors(connection, step.name, source, step.output.contract):
            return staging.write(folder, duck.stream(relation))
