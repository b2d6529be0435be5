"""A site's folder, and runs in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.integration import product_run
from tests.integration.product_run import ORDINARY

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataproducts.engine.connections import ConnectionInfo
    from airflow_dataproducts.runtime import Options, Reference, Run


class Home:
    """A site's folder, and runs in it."""

    def __init__(self, folder: Path, manifest: Path, *infos: ConnectionInfo) -> None:
        self.folder = folder
        self.manifest = manifest
        self.infos = list(infos)
        self._open: list[Run] = []

    def open(self, run_id: str, asked: Options = ORDINARY) -> Run:
        self._open.append(product_run.open_run(str(self.manifest), run_id, str(self.folder), self.infos, asked))
        return self._open[-1]

    def close(self) -> None:
        for run in self._open:
            run.catalog.close()

    def run(self, run_id: str, asked: Options = ORDINARY) -> Reference:
        return product_run.steps(self.open(run_id, asked))

    @property
    def data(self) -> Path:
        return self.folder / "dataproducts" / "data" / "test"

    def rows(self, table: Any) -> list[dict[str, Any]]:
        return self.open("reader").catalog.rows(table)
