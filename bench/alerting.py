"""How long people wait for a message: from the moment a promise is broken until Slack has it, in a running Airflow."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from demo.slack import Slack, slack, slack_connection
from demo.standalone import Airflow, discovery, standalone

if TYPE_CHECKING:
    from pathlib import Path

PRODUCTS = 6
_APART = 17
"""Seconds between two products' breaches: at another moment of the monitor's minute each."""
_PATIENCE = 600

PRODUCT = """\
apiVersion: dataproducts/v1
kind: DataProduct
name: late{number}
domain: bench
version: 1.0.0
description: Never runs.
owner: {{team: bench}}
schedule: manual
inputs: {{rows: {{path: rows.csv}}}}
outputs:
  rows:
    contract: {{columns: [{{name: id, type: integer}}]}}
sla: {{freshness: {age}s}}
alerts: {{slack: "#bench"}}
"""


def measure(folder: Path) -> list[float]:
    """Seconds from breach to message, for each product."""
    products = folder / "products"
    for number in range(PRODUCTS):
        manifest = products / f"late{number}" / "product.yaml"
        manifest.parent.mkdir(parents=True)
        manifest.write_text(PRODUCT.format(number=number, age=60 + _APART * number))
    with ExitStack() as stack:
        told = stack.enter_context(slack())
        settings = {
            **discovery(products),
            "AIRFLOW_CONN_DATAPRODUCTS_SLACK": slack_connection(told.url, None),
        }
        airflow = stack.enter_context(standalone(folder / "airflow", settings))
        heard = _listen(told)
        return [(heard[name] - since).total_seconds() for name, since in _breaches(airflow).items()]


def _listen(told: Slack) -> dict[str, datetime]:
    """When each product was first told of."""
    heard: dict[str, datetime] = {}
    end = time.monotonic() + _PATIENCE
    while len(heard) < PRODUCTS:
        if time.monotonic() > end:
            raise TimeoutError(f"of {PRODUCTS} products {len(heard)} were told of in {_PATIENCE} s")
        for each in list(told.posted):
            heard.setdefault(each["text"].partition("@")[0], datetime.now(UTC))
        time.sleep(0.2)
    return heard


def _breaches(airflow: Airflow) -> dict[str, datetime]:
    """When each product's promise broke."""
    found = airflow.request("GET", "/dataproducts/api/v1/incidents")["incidents"]
    return {each["product"]: datetime.fromisoformat(each["details"]["since"]) for each in found}
