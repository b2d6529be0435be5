"""How a contract's columns become an Iceberg table's, and a table's files a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataproducts.exceptions import PublishError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pads
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.metadata import TableMetadata

    from airflow_dataproducts.engine.storage import Place
    from airflow_dataproducts.engine.targets import Request
    from airflow_dataproducts.manifest.outputs import Output


def optional(schema: pa.Schema, output: Output) -> pa.Schema:
    """The contract's columns in its order, none of them required: whether NULL may be is the contract's to say.

    Args:
        schema: of the rows.
        output: the output's manifest.
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field(
                column.name,
                schema.field(column.name).type,
                metadata={"doc": column.description} if column.description else None,
            )
            for column in output.contract.columns
            if column.name in schema.names
        ]
    )


def adapt(changes: Transaction, request: Request) -> None:
    """Give a table the columns and partitions that rows bring; with mode replace, also take away what they do not.

    Raises:
        PublishError: a column would change its type in a way that Iceberg does not know, or the partitions would change
            under rows that stay.
    """
    output = request.output
    there = changes.table_metadata.schema()
    new = optional(request.dataset.schema, output)
    replaces = output.publish.mode == "replace"
    gone = [field.name for field in there.fields if field.name not in new.names] if replaces else []
    try:
        with changes.update_schema() as update:
            for name in gone:
                update.delete_column(name)
            if replaces or any(name not in there.column_names for name in new.names):
                update.union_by_name(new if replaces else _only_new(new, there.column_names))
    except Exception as error:
        if not isinstance(error, ValueError) and not type(error).__module__.startswith("pyiceberg"):
            raise
        line = str(error).strip().splitlines()[0]
        raise PublishError(
            f"output {request.name}: Iceberg does not change the table's columns to the contract's: {line}; publish to another table"
        ) from None
    _partition(changes, request, replaces=replaces)


def _only_new(schema: pa.Schema, known: list[str]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([field for field in schema if field.name not in known])


def _partition(changes: Transaction, request: Request, *, replaces: bool) -> None:
    metadata = changes.table_metadata
    now = [metadata.schema().find_column_name(field.source_id) for field in metadata.spec().fields]
    wanted = list(request.output.publish.partition_by)
    if now == wanted:
        return
    if not replaces:
        raise PublishError(
            f"output {request.name}: partition_by has changed from {now} to {wanted}; run it with --full, which replaces all rows"
        )
    with changes.update_spec() as spec:
        for field in metadata.spec().fields:
            spec.remove_field(field.name)
        for name in wanted:
            spec.add_identity(name)


def rows_as(metadata: TableMetadata, schema: pa.Schema) -> pa.Schema | None:
    """The schema with which rows can stand in a table; None where they can as they are.

    Args:
        metadata: the table's.
        schema: of the rows.
    """
    import pyarrow as pa
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    there = schema_to_pyarrow(metadata.schema(), include_field_ids=False)
    wanted = pa.schema([pa.field(field.name, there.field(field.name).type) for field in schema])
    same = all(_plain(field.type) == _plain(schema.field(field.name).type) for field in wanted)
    return None if same else wanted


def _plain(kind: pa.DataType) -> str:
    """A type's name without what makes no difference in files: the width of offsets, views, and what list items are called."""
    return str(kind).replace("large_", "").replace("_view", "").replace("element:", "item:").replace(" not null", "")


def readable(table: Table, place: Place) -> pads.Dataset:
    """The rows that readers of a table see now.

    Args:
        table: the table.
        place: its folder.
    """
    import pyarrow as pa
    import pyarrow.dataset as pads
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    tasks = list(table.scan().plan_files())
    files = [task.file.file_path.partition("://")[2] for task in tasks]
    own = all(file.startswith(f"{place.path}/data/") for file in files) and not any(task.delete_files for task in tasks)
    schema = schema_to_pyarrow(table.schema(), include_field_ids=False)
    if not own:  # somebody else has written here, whose renames and deletes PyIceberg knows
        return pads.dataset(table.scan().to_arrow())
    plain = pa.schema([pa.field(field.name, _as_written(field.type)) for field in schema])
    return pads.dataset(files, schema=plain, format="parquet", filesystem=place.filesystem)


def _as_written(kind: pa.DataType) -> pa.DataType:
    """Texts and bytes with the offsets that Parquet readers give."""
    import pyarrow as pa

    return {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}.get(kind, kind)
