"""The tasks of a product's DAG. Each stores what it is given and delegates to ``runtime``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataproducts.operators.base import DataProductOperator
from airflow_dataproducts.operators.links import DataDocsLink

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_dataproducts.plan import ExtractStep, PublishStep, TransformStep, ValidateStep

__all__ = [
    "DataProductOperator",
    "DocumentOperator",
    "ExtractOperator",
    "PublishOperator",
    "RecordOperator",
    "TransformOperator",
    "ValidateOperator",
]


class ExtractOperator(DataProductOperator):
    """Copies one input to staging.

    Attributes:
        step: the input.
    """

    ui_color = "#dff3e4"
    step: ExtractStep

    def work(self, context: Context) -> dict[str, Any]:
        """Returns the reference of the staged rows."""
        from airflow_dataproducts import runtime

        return self.within_run(context, lambda run: runtime.extract(run, run.step(self.step)))

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> Any:
        """The datasets that were read, for Airflow's OpenLineage provider."""
        from airflow_dataproducts.environment import AirflowConnections
        from airflow_dataproducts.operators import open_lineage

        return open_lineage.extracted(open_lineage.source_names(self.step, AirflowConnections()))


class TransformOperator(DataProductOperator):
    """Makes one output from the staged inputs.

    Attributes:
        step: the output.
    """

    ui_color = "#fff4d6"
    step: TransformStep

    def work(self, context: Context) -> dict[str, Any]:
        """Returns the reference of the staged rows."""
        from airflow_dataproducts import runtime

        inputs = self.references(context, "extract", self.plan.extracts)
        used = [step for step in self.plan.transforms if step.name in self.step.uses]
        outputs = self.references(context, "transform", used)
        return self.within_run(context, lambda run: runtime.transform(run, run.step(self.step), inputs, outputs))


class ValidateOperator(DataProductOperator):
    """Checks one output against its contract with Great Expectations.

    Attributes:
        step: the output and its checks.
    """

    ui_color = "#fde3e3"
    operator_extra_links = (DataDocsLink(),)
    step: ValidateStep

    def work(self, context: Context) -> dict[str, Any]:
        """Returns the references of the rows to publish and of the quarantined ones, and the counts."""
        from airflow_dataproducts import runtime

        inputs = self.references(context, "extract", self.plan.extracts)
        outputs = self.references(context, "transform", self.plan.transforms)
        return self.within_run(context, lambda run: runtime.validate(run, run.step(self.step), inputs, outputs))

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Every check and whether it holds, for Airflow's OpenLineage provider."""
        from airflow_dataproducts.operators import open_lineage

        with self.run_of(task_instance.get_template_context()) as run:
            kept = run.catalog.validation(run.key, self.step.name)
            name = open_lineage.output_name(self.plan, self.step, (run.settings, run.connections))
        return open_lineage.validated(self.step, name, kept["results"] if kept else [])


class DocumentOperator(DataProductOperator):
    """Ends a run, whatever became of it: builds its Data Docs, measures every column, and clears its staging if it succeeded.

    What people read about data must not stop the data: whatever goes wrong here is a warning in the log.
    """

    ui_color = "#eeeeee"

    def work(self, context: Context) -> dict[str, Any]:
        """Returns the pages written, by output."""
        from airflow_dataproducts import runtime

        inputs = self.references(context, "extract", self.plan.extracts)
        validated = self.references(context, "validate", self.plan.validations)
        return self.beside_run(context, lambda run: runtime.document(run, inputs, validated)) or {}


class PublishOperator(DataProductOperator):
    """Makes one output visible to readers, at once and once per run.

    Attributes:
        step: the output.
    """

    ui_color = "#e6e0ff"
    step: PublishStep

    def work(self, context: Context) -> dict[str, Any]:
        """Returns what readers see now."""
        from airflow_dataproducts import runtime

        validated = self.references(context, "validate", self.plan.validations)[self.step.name]
        published = self.within_run(context, lambda run: runtime.publish(run, run.step(self.step), validated))
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = {
                "rows": published["rows"], "location": published["location"], "version": self.plan.product.version,
            }  # fmt: skip
        return published

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """The dataset that was published, its schema, where its columns come from, and its rows, for Airflow's OpenLineage provider."""
        from airflow_dataproducts import runtime
        from airflow_dataproducts.operators import open_lineage

        context = task_instance.get_template_context()
        with self.run_of(context) as run:
            links = runtime.lineage(run, self.references(context, "extract", self.plan.extracts))[self.step.name]
            rows = run.catalog.publications(run.key.product_id, self.step.name).get(run.run_id, {}).get("rows", 0)
            name = open_lineage.output_name(self.plan, self.step, (run.settings, run.connections))
            sources = {step.name: open_lineage.source_names(step, run.connections) for step in self.plan.extracts}
        return open_lineage.published(self.step, (name, sources), links, rows)


class RecordOperator(DataProductOperator):
    """Closes the run: watermarks advance, the catalog notes the success; or all outputs go back to an old version."""

    ui_color = "#eeeeee"

    def work(self, context: Context) -> dict[str, Any]:
        """Returns the rows visible, by output."""
        from airflow_dataproducts import runtime

        inputs = self.references(context, "extract", self.plan.extracts)
        published = self.references(context, "publish", self.plan.publications)
        return self.within_run(context, lambda run: runtime.record(run, inputs, published))

    def go_back(self, context: Context) -> dict[str, Any]:
        """Returns the revisions that readers see now, by output."""
        from airflow_dataproducts import runtime

        return self.within_run(context, lambda run: runtime.rollback(run, run.rollback_to))
