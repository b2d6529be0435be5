"""Nothing a user can write or read is without words: fields, errors, settings, commands."""

from __future__ import annotations

import inspect
import typing
from dataclasses import fields

import pytest
import typer.main

from airflow_dataproducts import exceptions
from airflow_dataproducts.cli import app
from airflow_dataproducts.get_provider_info import get_provider_info
from airflow_dataproducts.manifest.messages import models_of, step_into
from airflow_dataproducts.manifest.product import Product
from airflow_dataproducts.settings import Settings
from docs.reference import markdown
from tests.conftest import ROOT

if typing.TYPE_CHECKING:
    from pydantic import BaseModel

REFERENCE = ROOT / "docs" / "manifest.md"


def models(start: type[BaseModel]) -> set[type[BaseModel]]:
    seen: set[type[BaseModel]] = set()
    stack: list[type[BaseModel]] = [start]
    while stack:
        model = stack.pop()
        if model not in seen:
            seen.add(model)
            for field in model.model_fields.values():
                annotation = field.annotation
                inner = step_into(annotation, 0) if typing.get_origin(annotation) in (tuple, dict) else annotation
                stack.extend(models_of(inner))
    return seen


ALL_FIELDS = [
    (model, name) for model in sorted(models(Product), key=lambda m: m.__name__) for name in model.model_fields
]


def test_the_walk_sees_the_whole_manifest() -> None:
    names = {model.__name__ for model in models(Product)}
    assert {
        "Column",
        "Rule",
        "TableInput",
        "FileOptions",
        "LakePublish",
        "PostgresPublish",
        "Maintenance",
        "Waiver",
    } <= names


@pytest.mark.parametrize(
    ("model", "name"), ALL_FIELDS, ids=lambda value: value if isinstance(value, str) else value.__name__
)
def test_every_field_is_described_and_in_the_reference(model: type[BaseModel], name: str) -> None:
    field = model.model_fields[name]
    assert field.description, f"{model.__name__}.{name}"
    assert f"`{field.alias or name}`" in REFERENCE.read_text(), (
        f"{model.__name__}.{name} is missing: run `python -m docs.reference`"
    )


def test_the_reference_is_up_to_date() -> None:
    assert REFERENCE.read_text() == markdown(), "run `python -m docs.reference`"


def test_every_error_is_in_the_tree() -> None:
    tree = exceptions.__doc__ or ""
    for name, value in inspect.getmembers(exceptions, inspect.isclass):
        if issubclass(value, Exception):
            assert name in tree
            assert value.__doc__


def test_every_setting_is_an_option_of_airflow() -> None:
    options = get_provider_info()["config"]["dataproducts"]["options"]
    assert set(options) == {field.name for field in fields(Settings)}
    assert all(option["description"] for option in options.values())
    text = (ROOT / "docs" / "configuration.md").read_text()
    assert all(f"`{name}`" in text for name in options)


def test_every_command_is_documented() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    text = (ROOT / "docs" / "commands.md").read_text()
    for name, command in commands.items():
        assert command.help
        assert f"## dataproducts {name}" in text
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name} {parameter.name}"
