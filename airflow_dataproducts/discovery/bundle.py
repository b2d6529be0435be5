"""Airflow 3.3: a DAG bundle in which every product.yaml has a small Python file that loads it.

Airflow 3.3 finds DAGs in Python files only. The bundle keeps one such file per manifest, under the manifest's name with
``.py`` after it; a file changes exactly when its manifest does, which is what makes Airflow parse it again.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from airflow import settings
from airflow.dag_processing.bundles.base import BaseDagBundle

from airflow_dataproducts.discovery import monitor
from airflow_dataproducts.discovery.stub import render
from airflow_dataproducts.manifest import index

REFRESH_SECONDS = 5


class ManifestDagBundle(BaseDagBundle):
    """The products of a folder.

    Args:
        path: the folder; Airflow's dags folder where None.
        kwargs: of Airflow's BaseDagBundle. ``refresh_interval`` is 5 s unless given: looking again costs a stat per file.
    """

    supports_versioning = False

    def __init__(self, *, path: str | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("refresh_interval", REFRESH_SECONDS)
        super().__init__(**kwargs)
        self._source = Path(path or settings.DAGS_FOLDER)

    @property
    def path(self) -> Path:
        """The folder of the generated files."""
        return self.base_dir / "products"

    def get_current_version(self) -> None:
        """Folders have no versions."""

    def initialize(self) -> None:
        """Bring the generated files up to date. Workers do this too, before they run a task."""
        self.refresh()
        super().initialize()

    def refresh(self) -> None:
        """Write what is new or changed, delete what is gone; leave the rest and its time stamps alone."""
        with self.lock():
            entries = index.index(self._source, self.base_dir / "index.json") if self._source.is_dir() else []
            wrong = index.problems(entries)
            wanted = {
                self.path / f"{entry.path}.py": render(self._source, entry.path, entry.digest, wrong.get(entry.path))
                for entry in entries
            }
            if entries:
                wanted[self.path / monitor.FILE] = monitor.render(self._source)
            self.path.mkdir(parents=True, exist_ok=True)
            for file, text in wanted.items():
                _write(file, text)
            for file in [each for each in self.path.rglob("*.py") if each not in wanted]:
                file.unlink()
            for cache in self.path.rglob("__pycache__"):
                shutil.rmtree(cache, ignore_errors=True)


def _write(file: Path, text: str) -> None:
    """Replace a file's text by one rename, unless it is the same already."""
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(file)
