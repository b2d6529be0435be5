"""A product in Markdown, as the DAG's page shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataproducts.manifest.units import format_duration
from airflow_dataproducts.sla.promises import promises_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataproducts.contract.checks import Check
    from airflow_dataproducts.manifest.outputs import Output
    from airflow_dataproducts.manifest.product import Product
    from airflow_dataproducts.plan import Plan


def product_markdown(plan: Plan) -> str:
    """The whole product: what it is, who owns it, what it promises, and each output's contract."""
    product = plan.product
    parts = [f"# {product.id} {product.version}", product.description.strip(), _facts(plan), _promises(product)]
    parts += [_output(step.name, step.output, step.checks) for step in plan.validations]
    parts.append(_consumers(product))
    return "\n\n".join(part for part in parts if part)


def _facts(plan: Plan) -> str:
    product = plan.product
    owner = product.owner
    contact = ", ".join(each for each in (owner.email, owner.slack, owner.on_call) if each)
    rows = [
        ("Owner", owner.team + (f" ({contact})" if contact else "")),
        ("Status", product.status),
        ("Tier", product.tier),
        ("Runs", f"`{plan.schedule}`"),
        ("Reads", ", ".join(f"`{name}`" for name in product.inputs)),
        ("Classification", product.governance.classification),
        ("Retention", format_duration(product.governance.retention) if product.governance.retention else None),
        ("Compliance", ", ".join(product.governance.compliance)),
    ]
    return _table(("", ""), [(f"**{name}**", str(value)) for name, value in rows if value])


def _promises(product: Product) -> str:
    rows = [(promise.name, promise.text) for promise in promises_of(product)]
    return f"## Promises\n\n{_table(('promise', 'target'), rows)}" if rows else ""


def _output(name: str, output: Output, checks: tuple[Check, ...]) -> str:
    publish = output.publish
    target = getattr(publish, "table", None) or getattr(publish, "location", None) or "the site's storage"
    columns = [
        (
            f"`{column.name}`",
            f"`{column.type}`",
            column.description + (f" (personal data: {column.pii})" if column.pii else ""),
        )
        for column in output.contract.columns
    ]
    rules = [(check.name, str(check.severity), check.on_violation, _cell(check.description)) for check in checks]
    return "\n\n".join(
        part
        for part in (
            f"## Output `{name}`",
            output.description.strip(),
            f"Published to {publish.to} at `{target}`, mode {publish.mode}.",
            _table(("column", "type", "meaning"), columns),
            "### Checks",
            _table(("check", "severity", "on violation", "meaning"), rules),
        )
        if part
    )


def _consumers(product: Product) -> str:
    rows = [(each.team, each.contact or "", ", ".join(each.uses)) for each in product.consumers]
    return f"## Consumers\n\n{_table(('team', 'contact', 'uses'), rows)}" if rows else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
