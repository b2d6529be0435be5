"""How manifests are found, and what is wrong between them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from airflow_dataproducts.manifest import index
from demo.standalone import HAS_IMPORTERS
from tests.conftest import MINIMAL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., Path]


def reading(name: str, upstream: str) -> str:
    return MINIMAL.replace("name: things\n", f"name: {name}\n").replace(
        "{path: things.csv}", f"{{product: {upstream}}}"
    )


def test_manifests_are_found_by_name(tmp_path: Path) -> None:
    for name in (
        "a/product.yaml",
        "b/product.yml",
        "c/x.product.yaml",
        "d/other.yaml",
        ".git/product.yaml",
        "__pycache__/product.yaml",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(MINIMAL)
    found = [str(path.relative_to(tmp_path)) for path in index.find_manifests(tmp_path)]
    assert found == ["a/product.yaml", "b/product.yml", "c/x.product.yaml"]


def test_one_id_twice_names_both(tmp_path: Path, write: Write) -> None:
    write(MINIMAL, folder="a")
    write(MINIMAL, folder="b")
    write(reading("fine", "test.things"), folder="c")
    found = index.problems(index.index(tmp_path))
    assert found == {
        "a/product.yaml": "the product test.things is also in b/product.yaml; neither is loaded until one is renamed",
        "b/product.yaml": "the product test.things is also in a/product.yaml; neither is loaded until one is renamed",
    }


def test_products_that_wait_for_each_other(tmp_path: Path, write: Write) -> None:
    write(reading("one", "test.three"), folder="1")
    write(reading("two", "test.one"), folder="2")
    write(reading("three", "test.two"), folder="3")
    write(reading("four", "test.three"), folder="4")
    found = index.problems(index.index(tmp_path))
    assert set(found) == {"1/product.yaml", "2/product.yaml", "3/product.yaml"}
    assert "test.one -> test.three -> test.two -> test.one" in found["1/product.yaml"]


def test_a_broken_manifest_is_no_problem_of_the_others(tmp_path: Path, write: Write) -> None:
    write("a: [", folder="a")
    write(MINIMAL, folder="b")
    entries = index.index(tmp_path)
    assert [entry.product_id for entry in entries] == [None, "test.things"]
    assert index.problems(entries) == {}


def test_the_id_may_come_from_defaults(tmp_path: Path, write: Write) -> None:
    (tmp_path / "_defaults.yaml").write_text("domain: shared\n")
    write(MINIMAL.replace("domain: test\n", ""), folder="a")
    assert [entry.product_id for entry in index.index(tmp_path)] == ["shared.things"]


def test_what_is_remembered_is_what_is_there(tmp_path: Path, write: Write) -> None:
    root, memory = tmp_path, tmp_path / ".memory" / "index.json"
    path = write(MINIMAL, folder="a")
    first = index.index(root, memory)
    assert index.index(root, memory) == first
    path.write_text(MINIMAL.replace("name: things\n", "name: changed\n"))
    os.utime(path, ns=(1, 1))
    second = index.index(root, memory)
    assert second[0].product_id == "test.changed"
    assert second[0].digest != first[0].digest
    (path.parent / "new.sql").write_text("SELECT 1")
    third = index.index(root, memory)
    assert third[0].digest != second[0].digest
    (root / "_defaults.yaml").write_text("tier: gold\n")
    assert index.index(root, memory)[0].digest != third[0].digest
    path.unlink()
    assert index.index(root, memory) == []


@pytest.mark.parametrize("damage", ["", "{", '{"format": 99, "entries": []}', '{"format": 1, "entries": [{}]}', "[]"])
def test_a_damaged_memory_is_forgotten(tmp_path: Path, write: Write, damage: str) -> None:
    write(MINIMAL, folder="a")
    memory = tmp_path / "index.json"
    memory.write_text(damage)
    assert [entry.product_id for entry in index.index(tmp_path, memory)] == ["test.things"]
    assert json.loads(memory.read_text())["entries"][0]["product_id"] == "test.things"


@pytest.mark.skipif(HAS_IMPORTERS, reason="Airflow >= 3.4 reads manifests itself")
class TestBundle:
    """The bundle of Airflow 3.3."""

    @staticmethod
    def refresh(root: Path) -> dict[str, str]:
        from airflow_dataproducts.discovery.bundle import ManifestDagBundle

        bundle = ManifestDagBundle(name=f"b{abs(hash(root))}", path=str(root))
        bundle.initialize()
        return {str(file.relative_to(bundle.path)): file.read_text() for file in sorted(bundle.path.rglob("*.py"))}

    def test_one_file_per_manifest_that_changes_with_it(self, tmp_path: Path, write: Write) -> None:
        path = write(MINIMAL, folder="a")
        write("a: [", folder="b")
        first = self.refresh(tmp_path)
        assert list(first) == ["_dataproducts_monitor.py", "a/product.yaml.py", "b/product.yaml.py"]
        assert self.refresh(tmp_path) == first
        path.write_text(MINIMAL + "tags: [new]\n")
        second = self.refresh(tmp_path)
        assert second["a/product.yaml.py"] != first["a/product.yaml.py"]
        assert second["b/product.yaml.py"] == first["b/product.yaml.py"]
        path.rename(path.with_name("product.yml"))
        assert list(self.refresh(tmp_path)) == ["_dataproducts_monitor.py", "a/product.yml.py", "b/product.yaml.py"]
        path.with_name("product.yml").unlink()
        assert list(self.refresh(tmp_path)) == ["_dataproducts_monitor.py", "b/product.yaml.py"]

    def test_an_unchanged_file_keeps_its_time(self, tmp_path: Path, write: Write) -> None:
        from airflow_dataproducts.discovery.bundle import ManifestDagBundle

        write(MINIMAL, folder="a")
        bundle = ManifestDagBundle(name="times", path=str(tmp_path))
        bundle.initialize()
        stub = bundle.path / "a" / "product.yaml.py"
        before = stub.stat().st_mtime_ns
        bundle.refresh()
        assert stub.stat().st_mtime_ns == before

    def test_airflow_loads_the_file_and_shows_the_manifest(self, tmp_path: Path, write: Write) -> None:
        from airflow.dag_processing.dagbag import DagBag

        from airflow_dataproducts.discovery.bundle import ManifestDagBundle

        good = write(MINIMAL, folder="a")
        bad = write(MINIMAL.replace("team: testers", "tem: testers").replace("name: things\n", "name: b\n"), folder="b")
        bundle = ManifestDagBundle(name="live", path=str(tmp_path))
        bundle.initialize()
        bag = DagBag(dag_folder=str(bundle.path), bundle_path=bundle.path, bundle_name="live")
        assert [name for name in bag.dags if not name.startswith("dataproducts_monitor")] == ["test.things"]
        assert bag.dags["test.things"].fileloc == str(good)
        assert bag.dags["test.things"].relative_fileloc == "a/product.yaml.py"
        ((place, error),) = bag.import_errors.items()
        assert place.endswith("b/product.yaml.py")
        assert f"{bad}:7:" in error

    def test_two_of_one_id_are_both_errors(self, tmp_path: Path, write: Write) -> None:
        from airflow_dataproducts.discovery.stub import load
        from airflow_dataproducts.exceptions import ManifestError

        write(MINIMAL, folder="a")
        write(MINIMAL, folder="b")
        text = self.refresh(tmp_path)["a/product.yaml.py"]
        assert "is also in b/product.yaml" in text
        with pytest.raises(ManifestError, match="is also in"):
            load(str(tmp_path), "a/product.yaml", "the product test.things is also in b/product.yaml")


@pytest.mark.skipif(not HAS_IMPORTERS, reason="Airflow 3.3 has no importers to be configured")
class TestImporter:
    """The importer of Airflow 3.4 and newer."""

    @staticmethod
    def load(root: Path, name: str) -> object:
        from types import SimpleNamespace

        from airflow.sdk.importers import FilesystemDagDefinition

        from airflow_dataproducts.discovery.importer import DataProductImporter

        importer = DataProductImporter()
        bundle = SimpleNamespace(path=root, name="products")
        definitions = {str(each.path.relative_to(root)): each for each in importer.list_dag_definitions(bundle)}
        assert isinstance(definitions[name], FilesystemDagDefinition)
        return importer.import_definition(definitions[name], bundle)

    def test_a_manifest_becomes_a_dag(self, tmp_path: Path, write: Write) -> None:
        """The monitor comes with the first."""
        write(MINIMAL, folder="a")
        write(MINIMAL.replace("name: things", "name: others", 1), folder="b")
        (tmp_path / "other.yaml").write_text("a: 1")
        found = {name: self.load(tmp_path, f"{name}/product.yaml").dags for name in ("a", "b")}  # type: ignore[attr-defined]
        assert [dag.dag_id for dag in found["a"]] == [f"dataproducts_monitor_{tmp_path.name}", "test.things"]
        assert [dag.dag_id for dag in found["b"]] == ["test.others"]

    def test_a_mistake_is_an_error_without_a_stack(self, tmp_path: Path, write: Write) -> None:
        path = write(MINIMAL.replace("team: testers", "tem: testers"), folder="a")
        (error,) = self.load(tmp_path, "a/product.yaml").errors  # type: ignore[attr-defined]
        assert error.message.startswith(f"{path}:7:")
        assert error.stacktrace is None

    def test_two_of_one_id_are_both_errors(self, tmp_path: Path, write: Write) -> None:
        write(MINIMAL, folder="a")
        write(MINIMAL, folder="b")
        for name in ("a", "b"):
            (error,) = self.load(tmp_path, f"{name}/product.yaml").errors  # type: ignore[attr-defined]
            assert "neither is loaded until one is renamed" in error.message
