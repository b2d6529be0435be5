"""Great Expectations' Data Docs of a validation, from its JSON as the catalog keeps it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.engine.validation.gx import import_gx

if TYPE_CHECKING:
    from collections.abc import Sequence

_FETCHED = (
    r"<script\b.*?</script>",
    r"<link\b[^>]*>",
    r"<footer\b.*?</footer>",
    r"<img\b[^>]*>",
    r"<style\b.*?</style>",
)
"""What GX's page brings from elsewhere, or that only works with it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a page is about.

    Attributes:
        product_id: the product.
        output: the output.
        run_id: the run.
        when: when it was validated, in ISO format.
    """

    product_id: str
    output: str
    run_id: str
    when: str


def render(subject: Subject, documents: Sequence[dict[str, Any]]) -> str:
    """One page with all results of an output's validation.

    Args:
        subject: what it is about.
        documents: GX's results as JSON, one for each suite that was run.
    """
    import_gx()
    import great_expectations
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.core.expectation_validation_result import expectationSuiteValidationResultSchema
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    loaded = [expectationSuiteValidationResultSchema.load(each) for each in documents]
    results = [result for each in loaded for result in each.results]
    good = sum(bool(result.success) for result in results)
    whole = ExpectationSuiteValidationResult(
        success=good == len(results),
        results=results,
        suite_name=subject.output,
        statistics={
            "evaluated_expectations": len(results),
            "successful_expectations": good,
            "unsuccessful_expectations": len(results) - good,
            "success_percent": 100 * good / len(results) if results else None,
        },
        meta={
            "great_expectations_version": great_expectations.__version__,
            "run_id": {"run_name": subject.run_id, "run_time": subject.when},
            "batch_kwargs": {"data_asset_name": subject.product_id},
        },
    )
    return _alone(subject, DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(whole)))


def _alone(subject: Subject, page: str) -> str:
    """A page that fetches nothing: other servers' scripts have no business among Airflow's own pages."""
    for pattern in _FETCHED:
        page = re.sub(pattern, "", page, flags=re.DOTALL)
    css = (Path(__file__).parent / "data_docs.css").read_text(encoding="utf-8")
    title = escape(f"{subject.product_id}: {subject.output}")
    page = page.replace("</head>", f"<style>{css}</style></head>", 1)
    return re.sub(r"<body[^>]*>", lambda body: f"{body.group(0)}<h1>{title}</h1>", page, count=1)
