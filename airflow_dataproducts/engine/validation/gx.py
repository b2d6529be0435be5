"""Great Expectations at work: its import, its context, and the validation of a suite."""

from __future__ import annotations

import gc
import importlib.util
import logging
import os
import sys
import threading
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from great_expectations import ExpectationSuite
    from great_expectations.core import ExpectationSuiteValidationResult

    from airflow_dataproducts.engine.validation.found import Scan

_LAZY = {"altair", "boto3", "botocore", "jsonschema", "scipy", "scipy.stats"}
"""What GX imports at once and uses in few expectations, or none: a third of its import. Loaded when first used."""
_importing = threading.Lock()
_configurations: ContextVar[dict[int, tuple[Any, Any]] | None] = ContextVar("configurations", default=None)
"""While GX judges: its expectations by identity, kept alive, with the configuration that each has."""
RESULT_FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": 20}
"""What every validation asks GX for: counts and some values, never lists as long as the table."""


def import_gx(*, spark: bool = False) -> None:
    """Import Great Expectations in half the time it takes by itself; nothing where it is imported already.

    No telemetry, no log lines about its own internals in a task's log, no collection of garbage while a hundred
    thousand objects come to stay, and modules that few expectations need are loaded when they are used. PySpark, where it
    is installed, costs GX as much as all the rest, so GX is told that it is not there.

    Args:
        spark: GX is to work in Spark.

    Raises:
        ConfigurationError: GX is wanted for Spark and has been imported without it.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    with _importing:
        if "great_expectations.expectations" in sys.modules:
            if spark and "pyspark" not in sys.modules:
                raise ConfigurationError(
                    "Great Expectations is loaded without Spark in this process; turn off [dataproducts] preload"
                )
            return
        hidden = set() if spark else {"pyspark"}
        with _no_collection(), found_later(_LAZY, hidden), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import great_expectations
            import great_expectations.expectations
        _remember_configurations(great_expectations.expectations.Expectation)


def _remember_configurations(expectation: type[Any]) -> None:
    """Let GX make an expectation's configuration once per judgement, not a hundred times: half of what judging costs."""
    make = expectation.configuration.fget

    def configuration(self: Any) -> Any:
        known = _configurations.get()
        if known is None:
            return make(self)
        if id(self) not in known:
            known[id(self)] = (self, make(self))
        return known[id(self)][1]

    expectation.configuration = property(configuration, doc=make.__doc__)


@contextmanager
def _in_one_go() -> Iterator[None]:
    """Within, GX works on expectations that do not change and on objects that all stay until the end."""
    token = _configurations.set({})
    try:
        with _no_collection():
            yield
    finally:
        _configurations.reset(token)


def preload() -> None:
    """Load everything that a validation uses; where PySpark is installed, GX learns of it."""
    import_gx(spark=importlib.util.find_spec("pyspark") is not None)
    import duckdb  # noqa: F401
    import pyarrow.dataset  # noqa: F401

    import airflow_dataproducts.engine.validation.served  # noqa: F401


def preload_for_forks() -> None:
    """Load it in a process that others are forked from: what is there now is no garbage in any of them."""
    with _no_collection():
        preload()
    gc.collect()
    gc.freeze()


@contextmanager
def _no_collection() -> Iterator[None]:
    """Python's collector would look at all objects again and again while they only grow in number."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def found_later(lazy: set[str], hidden: set[str]) -> Iterator[None]:
    """Within, ``lazy`` modules are loaded only when something of theirs is used, and ``hidden`` ones are not found.

    Args:
        lazy: names of modules.
        hidden: names of packages.
    """
    loaded = set(sys.modules)
    finder = _Finder(lazy - loaded, hidden - loaded)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder:
    """Finds modules as the other finders do, but for those that are to wait or not to be found."""

    def __init__(self, lazy: set[str], hidden: set[str]) -> None:
        self._lazy = lazy
        self._hidden = hidden

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's spec with a loader that waits; None for a module that is found as usual.

        Raises:
            ModuleNotFoundError: for a hidden module.
        """
        if name.partition(".")[0] in self._hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if name not in self._lazy:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = importlib.util.LazyLoader(spec.loader)
                return spec
        return None


def new_context() -> Any:
    """A GX context in memory: no project folder, no temporary docs site, no progress bars in the log."""
    import great_expectations
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars=ProgressBarsConfig(globally=False),
    )
    return great_expectations.get_context(mode="ephemeral", project_config=config)


class Judge:
    """Great Expectations, ready to judge what a scan measures.

    Made in the time that the scan takes: the import, a context, and GX's own classes for data take most of a second.
    """

    def __init__(self) -> None:
        import_gx()
        from airflow_dataproducts.engine.validation.served import ServedDatasource

        self.context = new_context()
        self._source = self.context.add_datasource(datasource=ServedDatasource(name="scan"))

    def judge(self, suite: ExpectationSuite, scan: Scan, rows: int) -> ExpectationSuiteValidationResult:
        """GX's judgement of what a scan measured.

        Args:
            suite: the expectations, each with its check's name in ``meta``.
            scan: the measurements.
            rows: the rows GX is told there are.
        """
        from airflow_dataproducts.engine.validation.served import Answers

        batch = self._batch(suite.name)
        batch.data.execution_engine.serve(
            Answers(scan, rows, {each.meta["check"]: each for each in suite.expectations})
        )
        with _in_one_go():
            return batch.validate(suite, result_format=RESULT_FORMAT)

    def _batch(self, name: str) -> Any:
        import pandas as pd

        asset = self._source.add_dataframe_asset(name=name).add_batch_definition_whole_dataframe("rows")
        return asset.get_batch(batch_parameters={"dataframe": pd.DataFrame()})


def run_on_rows(context: Any, suite: ExpectationSuite, frame: Any) -> ExpectationSuiteValidationResult:
    """Stock GX over the rows themselves, for expectations that no scan knows how to measure.

    Args:
        context: a GX context.
        suite: the expectations.
        frame: a pandas frame.
    """
    source = context.data_sources.add_pandas(f"{suite.name} on rows")
    asset = source.add_dataframe_asset(name="rows").add_batch_definition_whole_dataframe("whole")
    batch = asset.get_batch(batch_parameters={"dataframe": frame})
    return batch.validate(suite, result_format=RESULT_FORMAT)
