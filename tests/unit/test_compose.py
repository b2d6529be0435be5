"""docker-compose.yaml against the Compose Specification's schema, and against what this package needs."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import yaml

from airflow_dataproducts.discovery.bundle import ManifestDagBundle
from tests.conftest import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
SCHEMA = json.loads((ROOT / "tests" / "schemas" / "compose_spec.json").read_text())


def test_it_is_a_compose_file() -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(COMPOSE)
    broken = {**COMPOSE, "services": {**COMPOSE["services"], "redis": {"imagee": "redis"}}}
    assert list(jsonschema.Draft7Validator(SCHEMA).iter_errors(broken))


def test_every_part_of_a_production_stack_is_there() -> None:
    wanted = {"api-server", "scheduler", "dag-processor", "triggerer", "worker", "redis", "postgres", "object-store"}
    assert wanted <= set(COMPOSE["services"])
    assert COMPOSE["services"]["worker"]["deploy"]["replicas"] > 1


def test_no_secret_stands_in_it() -> None:
    for service in COMPOSE["services"].values():
        for name, value in (service.get("environment") or {}).items():
            if any(word in name for word in ("PASSWORD", "SECRET", "FERNET")) and not name.endswith("_FILE"):
                assert value.startswith("${"), name


def test_it_finds_products_with_our_bundle() -> None:
    environment = COMPOSE["services"]["scheduler"]["environment"]
    (bundle,) = json.loads(environment["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert bundle["classpath"] == f"{ManifestDagBundle.__module__}.{ManifestDagBundle.__name__}"
    assert environment["AIRFLOW__DATAPRODUCTS__STAGING"].startswith("s3://")
