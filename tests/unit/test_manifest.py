"""Manifests that load, and what each mistake in one says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_dataproducts.exceptions import Finding, ManifestError
from airflow_dataproducts.manifest.inputs import FileInput, ProductInput, TableInput
from airflow_dataproducts.manifest.load import load_manifest
from tests.conftest import MINIMAL, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., Path]

FULL = ROOT / "tests" / "unit" / "manifests" / "full" / "product.yaml"


def findings(path: Path, root: Path | None = None) -> tuple[Finding, ...]:
    with pytest.raises(ManifestError) as caught:
        load_manifest(path, root or path.parent)
    return caught.value.findings


def test_every_section_loads() -> None:
    product = load_manifest(FULL).product
    assert product.id == "sales.sales-orders"
    assert product.upstream == ("marketing.customer-segments",)
    kinds = {name: type(each).__name__ for name, each in product.inputs.items()}
    assert kinds == {
        "orders": "TableInput",
        "customers": "QueryInput",
        "rates": "FileInput",
        "segments": "ProductInput",
    }
    assert isinstance(product.inputs["orders"], TableInput)
    assert isinstance(product.inputs["rates"], FileInput)
    assert product.inputs["rates"].options.null_values == ("", "NA")
    assert isinstance(product.inputs["segments"], ProductInput)
    assert product.inputs["segments"].version is not None
    assert "2.7.1" in product.inputs["segments"].version
    assert str(product.outputs["orders"].contract.column("total_amount").type) == "decimal(12,2)"
    assert product.outputs["orders"].contract.rules[1].severity == "low"
    (freshness,) = product.sla.freshness
    assert freshness.breach is not None
    assert freshness.breach.total_seconds() == 6 * 3600


def test_a_product_is_frozen() -> None:
    product = load_manifest(FULL).product
    with pytest.raises(ValueError, match="frozen"):
        product.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "message"),
    [
        ("schedule: manual", "shedule: manual", 8, "shedule", "unknown field; did you mean schedule? (allowed: apiVersion, "),
        ("domain: test\n", "", 1, "domain", "is missing (The domain that owns it.)"),
        ("team: testers", "team: testers, emial: a@b.c", 7, "owner.emial", "unknown field; did you mean email? (allowed: team, email, slack, on_call)"),
        ("version: 1.0.0", "version: 1.0", 5, "version", "found 1.0; a semantic version has three numbers, such as 2.1.0"),
        ("name: things", "name: Big Things", 3, "name", "found 'Big Things'; a name starts with a lower-case letter"),
        ("kind: DataProduct", "kind: DataProdukt", 2, "kind", "found 'DataProdukt'; did you mean DataProduct? (allowed: DataProduct)"),
        ("schedule: manual", "schedule: '61 * * * *'", 8, "schedule", "found '61 * * * *'; a schedule is five cron fields or one of @once"),
        ("path: things.csv", "paht: things.csv", 10, "inputs.things", "paht: unknown field; did you mean path?"),
        ("path: things.csv", "path: a.csv, table: b", 10, "inputs.things", "found table and path together; an input has one of"),
        ("path: things.csv", "path: a.csv, formt: csv", 10, "inputs.things.formt", "unknown field; did you mean format?"),
        ("to: parquet", "to: parket", 13, "outputs.things.publish", "to: found 'parket'; allowed: delta, parquet, postgres"),
        ("to: parquet", "to: parquet, mode: upsert", 13, "outputs.things.publish.mode", "found 'upsert' (allowed: replace, append, merge, replace-partition)"),
        ("type: integer", "type: intger", 17, "outputs.things.contract.columns[0].type", "found the unknown type 'intger'; did you mean integer?"),
        ("type: string", "type: decimal", 18, "outputs.things.contract.columns[1].type", "write the digits in all and after the point"),
        ("type: string", "type: string, min: 3", 18, "outputs.things.contract.columns[1].min", "is a bound, but label is a string"),
        ("type: integer", "type: integer, min: 9, max: 3", 17, "outputs.things.contract.columns[0].min", "found 9, which leaves no value below max 3"),
        ("type: string", "type: string, pattern: '('", 18, "outputs.things.contract.columns[1].pattern", "which is no regular expression"),
        ("type: integer", "type: integer, enum: [1, two]", 17, "outputs.things.contract.columns[0].enum[1]", "found 'two', which is no integer"),
        ("type: string", "type: string, enum: [yes, maybe]", 18, "outputs.things.contract.columns[1].enum[0]", "found True, which is no string; put it in quotes"),
        ("[id]", "[ident]", 15, "outputs.things.contract.primary_key[0]", "found 'ident', which is no column (allowed: id, label)"),
        ("name: label", "name: id", 18, "outputs.things.contract.columns[1].name", "found 'id' a second time; a column is listed once"),
        ("to: parquet", "to: parquet, partition_by: [year]", 13, "outputs.things.publish.partition_by[0]", "found 'year', which is no column"),
        ("primary_key: [id]", "primary_key: []", None, "", ""),
        ("path: things.csv", "path: 's3://${BUCKET}/x.csv'", 10, "inputs.things.path", "variables and templates are not expanded"),
        ("path: things.csv", "path: 's3://key:hunter2@bucket/x.csv'", 10, "inputs.things.path", "holds a login; put it in an Airflow connection"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_its_cure(
    write: Write, old: str, new: str, line: int | None, field: str, message: str
) -> None:
    path = write(MINIMAL, **{old: new})
    if line is None:  # the neighbour of a mistake: an empty key is allowed unless something needs it
        load_manifest(path)
        return
    found = findings(path)
    assert [(each.line, each.field) for each in found] == [(line, field)]
    assert message in found[0].message
    assert "hunter2" not in str(found[0])
    assert str(found[0]).startswith(f"{path}:{line}:")


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [
        ("array<string>", True), ("json", True), ("uuid", True),
        ("time", False), ("array<array<time>>", False), ("array<uuid>", False), ("'struct<a: integer, b: integer>'", False),
    ],
)  # fmt: skip
def test_types_that_spark_does_not_make(write: Write, kind: str, allowed: bool) -> None:
    path = write(MINIMAL, **{"type: string": f"type: {kind}", "{to: parquet}": "{to: parquet}\n    engine: spark"})
    found = [] if allowed else findings(path)
    assert [(each.line, each.field) for each in found] == (
        [] if allowed else [(19, "outputs.things.contract.columns[1].type")]
    )
    if allowed:
        load_manifest(path)
    else:
        assert "which is not made in Spark; use another type" in found[0].message


def test_all_mistakes_of_a_file_come_at_once(write: Write) -> None:
    path = write(
        MINIMAL,
        **{
            "version: 1.0.0": "version: 1",
            "team: testers": "",
            "type: integer": "type: whole",
            "to: parquet": "to: disk",
        },
    )
    assert [each.field for each in findings(path)] == [
        "version", "owner.team", "outputs.things.publish", "outputs.things.contract.columns[0].type",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: [1, 2\nb: 3", 2, "this is not valid YAML"),
        ("a: 1\n\tb: 2", 2, "this is not valid YAML"),
        ("", 1, "found nothing; a manifest is a mapping"),
        ("- a\n- b", 1, "found a sequence; a manifest is a mapping"),
        ("name: a\ndomain: b\nname: c", 3, "duplicate key, first written on line 1"),
        ("a: !env HOME", 1, "the tag '!env' is not allowed"),
        ("a: 2026-13-45", 1, "which YAML reads as a date or number but is none"),
        ("a: 1\n---\nb: 2", 2, "this is not valid YAML: expected a single document"),
    ],
)
def test_broken_yaml(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = tmp_path / "product.yaml"
    path.write_text(text)
    (found,) = findings(path)
    assert found.line == line
    assert message in found.message
    assert "\n" not in str(found)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "product.yaml"
    path.write_bytes(b"name: \xff\xfe")
    assert "is not UTF-8 text (byte 6)" in str(findings(path)[0])
    assert "cannot be read" in str(findings(tmp_path / "none" / "product.yaml", tmp_path)[0])


def test_merge_keys_and_anchors_are_plain_yaml(write: Write) -> None:
    text = MINIMAL.replace(
        "things: {path: things.csv}",
        "things: &base {path: things.csv, format: csv}\n  other: {<<: *base, path: other.csv}",
    )
    path = write(text.replace("  things:\n    publish", "  things:\n    transform: SELECT 1\n    publish"))
    other = load_manifest(path).product.inputs["other"]
    assert isinstance(other, FileInput)
    assert (other.path, other.format) == ("other.csv", "csv")


def test_missing_sql_file(write: Write) -> None:
    path = write(MINIMAL, **{"    publish:": "    transform: gone.sql\n    publish:"})
    (found,) = findings(path)
    assert found.field == "outputs.things.transform"
    assert f"the SQL file {path.parent / 'gone.sql'} does not exist" in found.message


def test_defaults_nearest_wins(tmp_path: Path, write: Write) -> None:
    (tmp_path / "_defaults.yaml").write_text(
        "tier: bronze\nowner: {team: company, email: all@example.com}\ntags: [a]\n"
    )
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "_defaults.yaml").write_text("tier: gold\ntags: [b]\n")
    manifest = load_manifest(write(MINIMAL, folder="d/e"), tmp_path)
    assert manifest.product.tier == "gold"
    assert manifest.product.tags == ("b",)
    assert manifest.product.owner.team == "testers"
    assert manifest.product.owner.email == "all@example.com"
    assert manifest.origin(("owner", "email")) == tmp_path / "_defaults.yaml"
    assert manifest.origin(("tier",)) == tmp_path / "d" / "_defaults.yaml"
    assert manifest.origin(("owner", "team")) == manifest.path


def test_a_mistake_in_defaults_names_the_defaults_file(tmp_path: Path, write: Write) -> None:
    (tmp_path / "_defaults.yaml").write_text("# shared\nstatus: activ\n")
    (found,) = findings(write(MINIMAL, folder="d"), tmp_path)
    assert (found.file, found.line) == (str(tmp_path / "_defaults.yaml"), 2)
    (tmp_path / "_defaults.yaml").write_text("name: mine\n")
    (found,) = findings(write(MINIMAL, folder="d"), tmp_path)
    assert "is each product's own and cannot have a default" in found.message


def test_no_defaults_from_outside_the_root(tmp_path: Path, write: Write) -> None:
    (tmp_path / "_defaults.yaml").write_text("tier: gold\n")
    path = write(MINIMAL, folder="project")
    assert load_manifest(path, tmp_path / "project").product.tier is None
    assert load_manifest(path, tmp_path).product.tier == "gold"


def test_a_schedule_that_is_left_out_and_one_that_is_null(write: Write) -> None:
    assert load_manifest(write(MINIMAL, **{"schedule: manual\n": ""})).product.schedule is None
    assert load_manifest(write(MINIMAL, **{"schedule: manual": "schedule: null"})).product.schedule == "manual"


def test_a_secret_is_never_shown(write: Write) -> None:
    path = write(MINIMAL, **{"path: things.csv": "connection: shop, table: t, password: hunter2"})
    text = "\n".join(map(str, findings(path)))
    assert "inputs.things.password: unknown field" in text
    assert "hunter2" not in text


RULE_MISTAKES = [
    # the rule, the field that is wrong, what is said of it
    ("{name: r}", "", "says nothing; a rule has sql, row_count, schema_drift, or a column and what must hold of it"),
    ("{name: r, sql: SELECT 0, row_count: {min: 1}}", "row_count", "stands beside sql; write a rule of its own for each"),
    ("{name: r, sql: SELECT 0, column: id, min: 1}", "min", "stands beside sql"),
    ("{name: r, column: id, columns: [id], unique: true}", "columns", "stands beside column"),
    ("{name: r, columns: [id, label], min: 1, unique: true}", "min", "is a rule for one column"),
    ("{name: r, columns: [id, label]}", "", "says nothing of its columns; add unique: true or references"),
    ("{name: r, columns: [id, label], references: things.id}", "references", "names 1 column(s) for the rule's 2"),
    ("{name: r, min: 1}", "min", "needs the column it speaks of; add column: <name>"),
    ("{name: r, column: ident, min: 1}", "column", "found 'ident', which is no column (allowed: id, label)"),
    ("{name: r, column: label, min: 1}", "min", "is a bound, but label is a string"),
    ("{name: r, column: label, mean: {max: 1}}", "mean", "is measured over numbers, but label is a string"),
    ("{name: r, column: id, freshness: 4h}", "freshness", "is a rule for dates and timestamps, but id is a integer"),
    ("{name: r, column: id, mean: {}}", "mean", "bounds nothing; give min, max or max_change"),
    ("{name: r, column: id, mean: {min: 5, max: 1}}", "mean", "found min 5, which is greater than max 1"),
    ("{name: r, row_count: {min: 5, max: 1}}", "row_count", "found min 5, which is greater than max 1"),
    ("{name: r, column: id, quantiles: {median: {max: 1}}}", "quantiles.median", "a quantile is written p50"),
    ("{name: r, sql: SELECT 0, on_violation: quarantine}", "on_violation", "this rule names no rows to set aside"),
    ("{name: r, sql: SELECT 0, mostly: 90%}", "mostly", "looks at the table as a whole"),
    ("{name: r, sql: SELECT 0, threshold: few}", "threshold", "found 'few'; a share is written with its percent sign"),
    ("{name: r, row_count: {min: 1}, scope: table}", "scope", "is for unique and sql rules"),
    ("{name: r, column: id, min: 1, threshold: 3}", "threshold", "is for sql rules"),
    ("{name: primary_key, sql: SELECT 0}", "name", "which is the name of a check that contracts have anyway"),
    ("{name: r, column: id, references: customers}", "references", "write <input>.<column>, such as customers.id"),
    ("{name: r, column: id, references: gone.id}", "references", "found the table 'gone', which is no input or other output (allowed: things)"),
    ("{name: r, schema_drift: [gone]}", "schema_drift[0]", "found 'gone', which is no input (allowed: things)"),
    ("{name: r, column: label, enum: [ab, c], pattern: '^.$'}", "enum[0]", "found 'ab', which pattern ^.$ forbids"),
    ("{name: r, column: id, enum: [1, 7], max: 5}", "enum[1]", "found 7, which max 5 forbids"),
    ("{name: r, column: label, min_length: 5, max_length: 2}", "min_length", "found 5, which is greater than max_length 2"),
    ("{name: r, column: id, sevrity: low, min: 1}", "sevrity", "unknown field; did you mean severity?"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "field", "message"), RULE_MISTAKES, ids=[case[0] for case in RULE_MISTAKES])
def test_a_mistake_in_a_rule(write: Write, rule: str, field: str, message: str) -> None:
    path = write(MINIMAL + f"      rules:\n        - {rule}\n")
    (finding,) = findings(path)
    place = "outputs.things.contract.rules[0]" + (f".{field}" if field else "")
    assert (finding.line, finding.field) == (20, place)
    assert message in finding.message


@pytest.mark.parametrize(
    ("expectation", "field", "message"),
    [
        ("{type: expect_column_to_exit}", "type", "did you mean expect_column_to_exist?"),
        ("{type: ExpectColumnToExist, kwargs: {column: ident}}", "kwargs.column", "found 'ident', which is no column"),
        ("{type: expect_column_to_exist, on_violation: quarantine}", "on_violation", "which expectations do not offer"),
    ],
)
def test_a_mistake_in_an_expectation(write: Write, expectation: str, field: str, message: str) -> None:
    path = write(MINIMAL + f"      expectations:\n        - {expectation}\n")
    (finding,) = findings(path)
    assert (finding.line, finding.field) == (20, f"outputs.things.contract.expectations[0].{field}")
    assert message in finding.message


def test_all_kinds_of_rules_load(write: Write) -> None:
    text = (
        MINIMAL
        + """\
      max_quarantine: 5%
      rules:
        - {name: a, column: id, references: things.id, mostly: 99.5%, owner: team-x, dimension: accuracy}
        - {name: b, columns: [id, label], unique: true, scope: run, on_violation: quarantine}
        - {name: c, column: label, null_rate: {max: 5%}, distinct_count: {min: 1, max_change: 20%, window: 7}}
        - {name: d, schema_drift: [things]}
        - {name: e, sql: SELECT 0, threshold: 1%, scope: table}
      expectations:
        - {type: "our.checks:ExpectSense", kwargs: {any: thing}, severity: low}
        - {type: expect_column_median_to_be_between, kwargs: {column: id, max_value: 3}}
"""
    )
    contract = load_manifest(write(text)).product.outputs["things"].contract
    assert [rule.name for rule in contract.rules] == ["a", "b", "c", "d", "e"]
    assert contract.rules[0].references is not None
    assert contract.rules[0].references.columns == ("id",)
