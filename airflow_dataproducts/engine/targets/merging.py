"""A merge for targets that are files and know no merge of their own: everything is written anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataproducts.contract.ddl import names
from airflow_dataproducts.contract.modes import NEW, OLD, comes, stays
from airflow_dataproducts.engine import duck, staging

if TYPE_CHECKING:
    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.staging import Staged
    from airflow_dataproducts.engine.storage import Place
    from airflow_dataproducts.engine.targets import Request
    from airflow_dataproducts.settings import Settings


def merged(
    request: Request, old: pads.Dataset | None, settings: Settings, folder: Place, *, in_files: bool = False
) -> Staged:
    """Write the rows that come, beside those before that stay.

    Args:
        request: what is published.
        old: the rows before; None where there are none.
        settings: the site's.
        folder: an empty one.
        in_files: whether columns that are folders are in the files, too.
    """
    output = request.output
    with duck.session(settings) as connection:
        duck.add_table(connection, "new_rows", request.dataset)
        query = f"SELECT * FROM new_rows {NEW} WHERE {comes(output, None if old is None else 'old_rows')}"
        if old is not None:
            duck.add_table(connection, "old_rows", old)
            known = names(name for name in old.schema.names if name in request.dataset.schema.names)
            query += f" UNION ALL BY NAME SELECT {known} FROM old_rows {OLD} WHERE {stays(output, 'new_rows')}"
        columns = names(column.name for column in output.contract.columns)
        relation = connection.sql(f"SELECT {columns} FROM ({query})")
        return staging.save(folder, relation, output.publish.partition_by, in_files=in_files)
