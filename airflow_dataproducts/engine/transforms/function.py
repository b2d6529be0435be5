"""A transform written as a Python function: ``package.module:function``.

Its parameters are inputs by name; each arrives as what its annotation says: ``pyarrow.Table`` (also where nothing is
said), ``pyarrow.RecordBatchReader``, ``pandas.DataFrame``, ``polars.DataFrame`` or ``polars.LazyFrame``. It returns any of these.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract.ddl import quote
from airflow_dataproducts.exceptions import TransformError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import duckdb
    import pyarrow.dataset as pads

    from airflow_dataproducts.plan import TransformStep

RESULT = "__result"


def call(connection: duckdb.DuckDBPyConnection, step: TransformStep, tables: Mapping[str, pads.Dataset]) -> str:
    """Call the function and register what it returns.

    Returns:
        The quoted name of the table that is its result.

    Raises:
        TransformError: it cannot be imported, asks for what is no input, fails, or returns no table.
    """
    assert step.function is not None  # noqa: S101 - the caller chose this branch by it
    function = load(step.function, Path(step.folder))
    arguments = {}
    for name, parameter in _signature(function).parameters.items():
        if name not in tables:
            raise TransformError(
                f"output {step.name}: {step.function} asks for {name!r}, which is no input (there are {', '.join(tables)})"
            )
        arguments[name] = _argument(step, tables[name], parameter.annotation)
    try:
        result = function(**arguments)
    except Exception as error:
        # The message may quote data, so only its kind and place are told; the full traceback is in the cause.
        line = _line(error, function)
        raise TransformError(f"output {step.name}: {step.function} failed with {type(error).__name__}{line}") from error
    connection.register(RESULT, _result(step, result))
    return quote(RESULT)


def load(reference: str, folder: Path) -> Callable[..., Any]:
    """The function of ``package.module:function``; a module beside the manifest goes before an installed one.

    Raises:
        TransformError: there is no such module or function.
    """
    module_name, _, name = reference.partition(":")
    file = folder.joinpath(*module_name.split(".")).with_suffix(".py")
    try:
        if file.is_file():
            spec = importlib.util.spec_from_file_location(f"_dataproducts_{abs(hash(str(file)))}", file)
            assert spec is not None  # noqa: S101 - a .py file always has a spec
            assert spec.loader is not None  # noqa: S101
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(module_name)
    except ImportError as error:
        raise TransformError(
            f"transform {reference}: {error}; put {module_name}.py beside the manifest or install it"
        ) from None
    function = getattr(module, name, None)
    if not callable(function):
        raise TransformError(f"transform {reference}: the module has no function {name}")
    return function  # type: ignore[no-any-return]


_SHORT = {"pa": "pyarrow", "pd": "pandas", "pl": "polars"}


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """The signature, with annotations as objects, or as text where they are imported for type checkers only."""
    try:
        return inspect.signature(function, eval_str=True)
    except NameError:
        return inspect.signature(function)


def _kind(annotation: Any) -> str:
    """An annotation as ``library.Type``."""
    if isinstance(annotation, str):
        library, _, name = annotation.strip("'\"").rpartition(".")
        return f"{_SHORT.get(library, library)}.{name}"
    return f"{getattr(annotation, '__module__', '').split('.')[0]}.{getattr(annotation, '__name__', annotation)}"


def _argument(step: TransformStep, table: pads.Dataset, annotation: Any) -> Any:
    kind = _kind(annotation)
    if annotation is inspect.Parameter.empty or kind == "pyarrow.Table":
        return table.to_table()
    if kind == "pyarrow.RecordBatchReader":
        return table.scanner().to_reader()
    if kind == "pandas.DataFrame":
        import pandas as pd

        return table.to_table().to_pandas(types_mapper=pd.ArrowDtype)
    if kind in {"polars.DataFrame", "polars.LazyFrame"}:
        import polars as pl

        return pl.scan_pyarrow_dataset(table) if kind.endswith("LazyFrame") else pl.from_arrow(table.to_table())
    raise TransformError(
        f"output {step.name}: {step.function} asks for a {kind}; a parameter is a pyarrow.Table, "
        "pyarrow.RecordBatchReader, pandas.DataFrame, polars.DataFrame or polars.LazyFrame"
    )


def _result(step: TransformStep, result: Any) -> Any:
    module = type(result).__module__.split(".")[0]
    if module == "polars":
        return (result.collect() if hasattr(result, "collect") else result).to_arrow()
    if module == "pandas":
        import pyarrow as pa

        return pa.Table.from_pandas(result, preserve_index=False)
    if module == "pyarrow":
        # A reader can be read once only, and its columns are looked at before its rows.
        return result.read_all() if hasattr(result, "read_all") else result
    raise TransformError(
        f"output {step.name}: {step.function} returned a {type(result).__name__}; return a pyarrow, pandas or polars table"
    )


def _line(error: BaseException, function: Callable[..., Any]) -> str:
    """Where in the function's own file it went wrong."""
    own = inspect.getsourcefile(function)
    trace, number = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == own:
            number = trace.tb_lineno
        trace = trace.tb_next
    return f" at line {number} of {Path(own).name}" if own and number else ""
