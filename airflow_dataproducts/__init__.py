"""Governed data products on Apache Airflow 3 from one product.yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_dataproducts.reading import open_output

__version__ = "0.1.0"
__all__ = ["__version__", "open_output"]


def __getattr__(name: str) -> Any:
    """``open_output`` is loaded when it is first asked for, so that importing the package stays cheap."""
    if name == "open_output":
        from airflow_dataproducts.reading import open_output

        return open_output
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
