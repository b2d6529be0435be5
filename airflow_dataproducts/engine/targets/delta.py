"""Delta tables, by delta-rs. A commit is atomic, and carries the run's id as an application transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataproducts.engine.targets import Publication
from airflow_dataproducts.exceptions import PublishError, SourceChangedError

if TYPE_CHECKING:
    import pyarrow.dataset as pads
    from deltalake import DeltaTable

    from airflow_dataproducts.engine.storage import Place
    from airflow_dataproducts.engine.targets import Request
    from airflow_dataproducts.manifest.contract import Contract

_NEW, _OLD = "new", "old"


class DeltaTarget:
    """A Delta table at a place."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def published(self, run_id: str) -> Publication | None:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        table = _open(self._place)
        if table is None or table.transaction_version(_transaction(run_id)) is None:
            return None
        return self._publication(table)

    def publish(self, request: Request) -> Publication:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        from deltalake.exceptions import DeltaError

        done = self.published(request.run_id)
        if done is not None:
            return done
        try:
            self._commit(request)
        except (DeltaError, OSError) as error:
            line = str(error).strip().splitlines()[0]
            raise PublishError(
                f"output {request.name}: the Delta table {self._place.uri} was not changed: {line}"
            ) from None
        table = _open(self._place)
        assert table is not None  # noqa: S101 - it has just been written
        return self._publication(table)

    def current(self, _columns: tuple[str, ...]) -> pads.Dataset | None:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        table = _open(self._place)
        return table.to_pyarrow_dataset() if table is not None else None

    def _commit(self, request: Request) -> None:
        """One commit with all of the run's rows."""
        from deltalake import write_deltalake

        publish = request.output.publish
        table = _open(self._place)
        reader = request.data.scanner().to_reader()
        properties = _properties(request)
        if publish.mode == "merge" and table is not None:
            _merge(table, reader, request.output.contract, properties)
            return
        append = publish.mode == "append" and table is not None
        self._place.make()
        write_deltalake(
            self._place.uri,
            reader,
            mode="append" if append else "overwrite",
            schema_mode="merge" if append else "overwrite",
            partition_by=list(getattr(publish, "partition_by", ())) or None,
            storage_options=dict(self._place.options),
            commit_properties=properties,
            description=request.output.description or None,
        )

    def _publication(self, table: DeltaTable) -> Publication:
        return Publication("delta", self._place.uri, str(table.version()), table.to_pyarrow_dataset().count_rows())


def open_dataset(place: Place, version: int | None = None) -> pads.Dataset:
    """A version of a table, fixed for as long as the dataset is used.

    Args:
        place: the table's folder.
        version: Delta's number of it; None for the current one.

    Raises:
        SourceChangedError: there is no table, or no such version.
    """
    import pyarrow.dataset as pads
    from deltalake.exceptions import DeltaError

    table = _open(place)
    if table is None:
        raise SourceChangedError(f"there is no Delta table at {place.uri}")
    if version is not None:
        try:
            table.load_as_version(version)
        except DeltaError:
            raise SourceChangedError(f"the Delta table at {place.uri} has no version {version}") from None
    found = table.to_pyarrow_dataset()
    files = table.file_uris()
    if place.is_local and files and not table.metadata().partition_columns:
        # As plain files, DuckDB reads them itself, and knows their statistics.
        return pads.dataset(files, schema=found.schema, format="parquet")
    return found


def _open(place: Place) -> DeltaTable | None:
    from deltalake import DeltaTable

    options = dict(place.options)
    return DeltaTable(place.uri, storage_options=options) if DeltaTable.is_deltatable(place.uri, options) else None


def _transaction(run_id: str) -> str:
    return f"dataproducts:{run_id}"


def _properties(request: Request) -> Any:
    from deltalake import CommitProperties, Transaction

    return CommitProperties(
        custom_metadata={"product": request.product, "version": request.version, "run_id": request.run_id},
        app_transactions=[Transaction(_transaction(request.run_id), 1)],
    )


def _merge(table: DeltaTable, reader: Any, contract: Contract, properties: Any) -> None:
    """Update the rows whose key is there, insert the others."""
    match = " AND ".join(f'{_OLD}."{key}" = {_NEW}."{key}"' for key in contract.primary_key)
    merger = table.merge(
        source=reader,
        predicate=match,
        source_alias=_NEW,
        target_alias=_OLD,
        merge_schema=True,
        commit_properties=properties,
    )
    merger.when_matched_update_all().when_not_matched_insert_all().execute()
