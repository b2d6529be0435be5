"""The tasks of a product's DAG. Each stores what it is given and delegates to ``runtime``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataproducts.operators.base import DataProductOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_dataproducts.plan import ExtractStep, PublishStep, TransformStep, ValidateStep

__all__ = [
    "DataProductOperator",
    "ExtractOperator",
    "PublishOperator",
    "RecordOperator",
    "TransformOperator",
    "ValidateOperator",
]


class ExtractOperator(DataProductOperator):
    """Copies one input to staging.

    Args:
        step: the input.
        kwargs: ``plan`` and any argument of Airflow's BaseOperator.
    """

    ui_color = "#dff3e4"

    def __init__(self, *, step: ExtractStep, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = step

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the reference of the staged rows."""
        from airflow_dataproducts import runtime

        return self.within_run(context, lambda run: runtime.extract(run, self.step))


class TransformOperator(DataProductOperator):
    """Makes one output from the staged inputs.

    Args:
        step: the output.
        kwargs: ``plan`` and any argument of Airflow's BaseOperator.
    """

    ui_color = "#fff4d6"

    def __init__(self, *, step: TransformStep, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = step

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the reference of the staged rows."""
        from airflow_dataproducts import runtime

        inputs = self.references(context, "extract", self.plan.extracts)
        return self.within_run(context, lambda run: runtime.transform(run, self.step, inputs))


class ValidateOperator(DataProductOperator):
    """Checks one output against its contract with Great Expectations.

    Args:
        step: the output and its checks.
        kwargs: ``plan`` and any argument of Airflow's BaseOperator.
    """

    ui_color = "#fde3e3"

    def __init__(self, *, step: ValidateStep, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = step

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the references of the rows to publish and of the quarantined ones, and the counts."""
        from airflow_dataproducts import runtime

        inputs = self.references(context, "extract", self.plan.extracts)
        outputs = self.references(context, "transform", self.plan.transforms)
        return self.within_run(context, lambda run: runtime.validate(run, self.step, inputs, outputs))


class PublishOperator(DataProductOperator):
    """Makes one output visible to readers, at once and once per run.

    Args:
        step: the output.
        kwargs: ``plan`` and any argument of Airflow's BaseOperator.
    """

    ui_color = "#e6e0ff"

    def __init__(self, *, step: PublishStep, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = step

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns what readers see now."""
        from airflow_dataproducts import runtime

        validated = self.references(context, "validate", self.plan.validations)[self.step.name]
        published = self.within_run(context, lambda run: runtime.publish(run, self.step, validated))
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = {
                "rows": published["rows"], "location": published["location"], "version": self.plan.product.version,
            }  # fmt: skip
        return published


class RecordOperator(DataProductOperator):
    """Closes the run: watermarks advance, the catalog notes the success, staging is cleared."""

    ui_color = "#eeeeee"

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the rows visible, by output."""
        from airflow_dataproducts import runtime

        inputs = self.references(context, "extract", self.plan.extracts)
        published = self.references(context, "publish", self.plan.publications)
        return self.within_run(context, lambda run: runtime.record(run, inputs, published))
