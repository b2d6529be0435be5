"""The steps of a run at work: engine and catalog together, without Airflow.

The operators and ``dataproducts run`` call the same functions. What passes between steps is small plain data (counts and
references), fit for XCom.
"""

from airflow_dataproducts.runtime.checking import docs_place, document, lineage, validate
from airflow_dataproducts.runtime.closing import failed, publish, record
from airflow_dataproducts.runtime.reading import extract, transform
from airflow_dataproducts.runtime.run import Options, Reference, Run
from airflow_dataproducts.runtime.versions import rollback, tidy, versions

__all__ = [
    "Options",
    "Reference",
    "Run",
    "docs_place",
    "document",
    "extract",
    "failed",
    "lineage",
    "publish",
    "record",
    "rollback",
    "tidy",
    "transform",
    "validate",
    "versions",
]
