"""Every error this package raises on purpose.

The tree::

    DataProductsError
    ├── ManifestError (ValueError)        a product.yaml, or a folder of them, cannot be used
    ├── ConfigurationError (ValueError)   a setting or an Airflow connection is missing or wrong
    ├── StagingError                      the staging area cannot be written or read
    ├── SourceError                       an input could not be read
    │   └── SourceChangedError (ValueError)   ... because it is not what the manifest says
    ├── TransformError (ValueError)       the SQL or function failed, or does not give the contract's columns
    ├── ContractViolation (ValueError)    the data breaks its contract: nothing was published
    ├── PublishError                      a target could not be written; readers still see the old version
    └── CatalogError                      the catalog's store cannot be reached or is of another version

An error that also is a ``ValueError`` is a user's to mend: trying again changes nothing, so Airflow tasks fail at
once on it. The others may pass (a database restarting, a full disk being cleared) and are retried.
Messages are one line, name what to do, and hold no secret and no value of a PII column.
"""

from __future__ import annotations

from dataclasses import dataclass


class DataProductsError(Exception):
    """Root of the tree. ``str(error)`` is the whole message for the user."""


class ConfigurationError(DataProductsError, ValueError):
    """A setting or an Airflow connection is missing or cannot be used."""


class StagingError(DataProductsError):
    """The staging area cannot be written or read (disk full, bucket gone)."""


class SourceError(DataProductsError):
    """An input could not be read, or broke off while being read."""


class SourceChangedError(SourceError, ValueError):
    """An input is not what the manifest says: no such table, column or file."""


class TransformError(DataProductsError, ValueError):
    """The transform failed, or its result does not have the contract's columns and types."""


class ContractViolation(DataProductsError, ValueError):  # noqa: N818 - the field's word for it
    """The data breaks its contract in a way that forbids publishing."""


class PublishError(DataProductsError):
    """A target could not be written. Readers still see the version before."""


class CatalogError(DataProductsError):
    """The catalog's store cannot be reached, or its tables are newer than this package."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing wrong with one manifest, where it stands and what to do.

    Attributes:
        file: path as the user gave it.
        line: 1-based; 0 when the finding concerns the file as a whole.
        column: 1-based; 0 as for ``line``.
        field: dotted path, such as ``outputs.orders.contract.columns[2].type``; empty for the whole file.
        message: what was found, what is allowed, what to do.
        severity: ``error`` stops the product; ``warning`` does not.
    """

    file: str
    line: int
    column: int
    field: str
    message: str
    severity: str = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        what = f"{self.field}: {self.message}" if self.field else self.message
        return f"{place}: {'' if self.severity == 'error' else self.severity + ': '}{what}"


class ManifestError(DataProductsError, ValueError):
    """A manifest cannot be used. Carries every finding of the file, not only the first.

    Attributes:
        findings: at least one, in the order of the file.
    """

    def __init__(self, findings: list[Finding] | tuple[Finding, ...]) -> None:
        self.findings = tuple(sorted(findings))
        super().__init__("\n".join(str(finding) for finding in self.findings))

    def __reduce__(self) -> tuple[type[ManifestError], tuple[tuple[Finding, ...]]]:
        """Findings, not the message, are what the error is made from."""
        return type(self), (self.findings,)
