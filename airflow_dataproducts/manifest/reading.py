"""What outputs are made from, and whether the engine that makes them can read it: a database reads only what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataproducts.manifest.engines import pushed_down
from airflow_dataproducts.manifest.inputs import ProductInput, QueryInput, TableInput
from airflow_dataproducts.manifest.sql import tables_among

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_dataproducts.manifest.problems import Problem
    from airflow_dataproducts.manifest.product import Product


def sources_of(product: Product, name: str, sql: str) -> list[str]:
    """The inputs that an output's SQL and rules read."""
    contract = product.outputs[name].contract
    named = {part.references.input for part in (*contract.columns, *contract.rules) if part.references}
    texts = [sql, *(rule.sql for rule in contract.rules if rule.sql)]
    among = {table for text in texts for table in tables_among(text, product.inputs)}
    return [source for source in product.inputs if source in named | among]


def reading_problems(
    product: Product, reads: Mapping[str, list[str]], uses: Mapping[str, tuple[str, ...]]
) -> Iterator[Problem]:
    """Outputs that a database makes from what is not in it, and inputs that two engines would read.

    Args:
        product: the product.
        reads: the inputs that each output reads.
        uses: the other outputs that it is made from.
    """
    for name, output in product.outputs.items():
        for used in uses[name]:
            other = product.outputs[used]
            if other.engine != output.engine and (pushed_down(output) or pushed_down(other)):
                yield (
                    ("outputs", name, "engine"),
                    f"found {output.engine!r}, but the output {used} that it uses is made by {other.engine!r}; one engine must make both",
                )
        for source in reads[name] if pushed_down(output) else ():
            yield from _source_problems(product, (name, source), reads)


def _source_problems(product: Product, place: tuple[str, str], reads: Mapping[str, list[str]]) -> Iterator[Problem]:
    name, source = place
    engine = product.outputs[name].engine
    found = product.inputs[source]
    loc = ("outputs", name, "engine")
    inside = isinstance(found, TableInput | QueryInput) and found.connection == engine
    if not inside and not isinstance(found, ProductInput):
        yield loc, f"found {engine!r}, but the input {source} is not in that database; use engine: duckdb"
    for other, sources in reads.items():
        if source in sources and product.outputs[other].engine != engine:
            yield (
                loc,
                f"found {engine!r}, but the output {other}, which it does not make, reads the input {source}, too; give that one its own",
            )
