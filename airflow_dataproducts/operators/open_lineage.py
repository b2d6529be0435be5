"""What the tasks tell OpenLineage: datasets by its naming rules, schemas, column lineage, assertions, row counts.

Airflow's OpenLineage provider calls the operators' ``get_openlineage_facets_on_complete`` where it is installed; nothing
here is imported otherwise. Names follow the OpenLineage specification, section Naming Conventions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_dataproducts.engine.targets import location
from airflow_dataproducts.manifest.inputs import FileInput, HttpInput, KafkaInput, ProductInput, QueryInput, TableInput
from airflow_dataproducts.manifest.outputs import KafkaPublish, PostgresPublish

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataproducts.engine.connections import ConnectionInfo, Connections
    from airflow_dataproducts.engine.lineage import Link
    from airflow_dataproducts.plan import ExtractStep, Plan, PublishStep, ValidateStep
    from airflow_dataproducts.settings import Settings

Name = tuple[str, str]
"""A dataset's namespace and name."""


def source_names(step: ExtractStep, connections: Connections) -> list[Name]:
    """The datasets that an input reads: one, or the tables of its query."""
    source = step.source
    if isinstance(source, FileInput):
        return [_file(source.path)]
    if isinstance(source, ProductInput):
        return [("dataproducts", ".".join(filter(None, (source.product, source.output))))]
    info = connections.get(source.connection)
    if isinstance(source, HttpInput):
        return [(f"{info.schema or 'http'}://{info.host}{f':{info.port}' if info.port else ''}", source.endpoint)]
    if isinstance(source, KafkaInput):
        return [_topic(info, source.topic)]
    tables = [source.table] if isinstance(source, TableInput) else _tables_of(source)
    return [_table(info, table) for table in tables]


def output_name(plan: Plan, step: ValidateStep | PublishStep, site: tuple[Settings, Connections]) -> Name:
    """The dataset that an output is published as."""
    settings, connections = site
    if isinstance(step.output.publish, PostgresPublish):
        return _table(connections.get(step.output.publish.connection), step.output.publish.table)
    if isinstance(step.output.publish, KafkaPublish):
        return _topic(connections.get(step.output.publish.connection), step.output.publish.topic)
    return _file(location(plan.product.id, step.name, step.output, settings))


def published(
    step: PublishStep, names: tuple[Name, Mapping[str, Sequence[Name]]], links: Sequence[Link], rows: int
) -> Any:
    """What publishing an output tells.

    Args:
        step: the output.
        names: its dataset, and those of each input.
        links: where its columns come from.
        rows: those that readers see now.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import Dataset, OutputDataset
    from openlineage.client.facet_v2 import column_lineage_dataset as lineage
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics
    from openlineage.client.facet_v2 import schema_dataset as schema

    (namespace, name), sources = names
    fields: dict[str, lineage.Fields] = {}
    for column in step.output.contract.columns:
        found = [
            lineage.InputField(*sources[link.table][0], link.column)
            for link in links
            if link.output_column == column.name and len(sources.get(link.table, ())) == 1
        ]
        if found:
            fields[column.name] = lineage.Fields(found)
    described = [
        schema.SchemaDatasetFacetFields(column.name, str(column.type), column.description or None)
        for column in step.output.contract.columns
    ]
    output = OutputDataset(
        namespace,
        name,
        facets={
            "schema": schema.SchemaDatasetFacet(described),
            "columnLineage": lineage.ColumnLineageDatasetFacet(fields),
        },
        outputFacets={"outputStatistics": statistics.OutputStatisticsOutputDatasetFacet(rowCount=rows)},
    )
    return OperatorLineage(inputs=[Dataset(*each) for every in sources.values() for each in every], outputs=[output])


def validated(step: ValidateStep, name: Name, results: Sequence[Mapping[str, Any]]) -> Any:
    """What validating an output tells: each check, and whether it holds."""
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality

    columns = {check.name: check.columns for check in step.checks}
    assertions = [
        quality.Assertion(
            each["check"],
            bool(each["success"]),
            columns[each["check"]][0] if len(columns[each["check"]]) == 1 else None,
        )
        for each in results
        if each["check"] in columns
    ]
    facet = quality.DataQualityAssertionsDatasetFacet(assertions)
    return OperatorLineage(inputs=[InputDataset(*name, inputFacets={"dataQualityAssertions": facet})])


def extracted(names: Sequence[Name]) -> Any:
    """What reading an input tells."""
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import Dataset

    return OperatorLineage(inputs=[Dataset(*name) for name in names])


def _file(path: str) -> Name:
    parts = urlsplit(path)
    if parts.scheme in {"s3", "s3a"}:
        return f"s3://{parts.netloc}", parts.path.lstrip("/")
    return "file", parts.path


def _table(info: ConnectionInfo, table: str) -> Name:
    port = info.port or (5432 if info.is_postgres else None)
    scheme = "postgres" if info.is_postgres else info.type
    full = table if "." in table else f"public.{table}"
    return f"{scheme}://{info.host or 'localhost'}{f':{port}' if port else ''}", f"{info.schema or ''}.{full}".lstrip(
        "."
    )


def _topic(info: ConnectionInfo, topic: str) -> Name:
    brokers = str(info.extra.get("bootstrap.servers") or f"{info.host}:{info.port or 9092}")
    return f"kafka://{brokers.split(',', maxsplit=1)[0]}", topic


def _tables_of(source: QueryInput) -> list[str]:
    import sqlglot
    from sqlglot import exp

    try:
        tree = sqlglot.parse_one(source.query)
    except sqlglot.errors.SqlglotError:
        return []
    inner = {each.alias for each in tree.find_all(exp.CTE)}
    found = {".".join(part.name for part in table.parts) for table in tree.find_all(exp.Table)}
    return sorted(found - inner)
