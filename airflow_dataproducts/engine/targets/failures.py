"""What stores, their clients and the tables in them say when they fail, in one line."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.engine.storage import is_full
from airflow_dataproducts.exceptions import DataProductsError, PublishError

if TYPE_CHECKING:
    from collections.abc import Iterator

_THEIRS = ("pyiceberg", "sqlalchemy", "requests", "botocore", "_internal")
"""The modules of their errors; the last is where delta-rs has its own."""
_DECORATION = re.compile(r"\x1b\[[0-9;]*m|↳")


@contextmanager
def one_line(subject: str, raises: type[DataProductsError] = PublishError) -> Iterator[None]:
    """Turns whatever a store, a catalog or its database says into one line.

    Args:
        subject: what was tried; the reason is put behind it.
        raises: the error that says so.
    """
    try:
        yield
    except DataProductsError:
        raise
    except Exception as error:
        if not isinstance(error, OSError | ValueError) and not type(error).__module__.startswith(_THEIRS):
            raise
        raise raises(f"{subject}: {_reason(error)}") from None


def _reason(error: Any) -> str:
    if isinstance(error, OSError) and is_full(error):
        return "the disk is full"
    if isinstance(error, OSError) and error.strerror:
        return str(error.strerror)
    if isinstance(error, ValueError) and type(error).__module__.startswith("pyarrow"):
        return f"the rows do not fit it ({type(error).__name__})"  # Arrow quotes the value
    text = str(getattr(error, "orig", None) or error)  # SQLAlchemy puts the statement and its values behind
    lines = [line.strip() for line in _DECORATION.sub("", text).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    # delta-rs draws a tree, from what it wanted to do down to what went wrong.
    return lines[0] if "↳" not in text else f"{lines[0]}: {lines[-1]}"
