"""Real scheduler, DAG processor and API server: what happens when a product.yaml is dropped into the folder."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import httpx
import pyarrow.dataset as pads
import pytest
from deltalake import DeltaTable

from tests.conftest import MINIMAL
from tests.system import open_lineage

if TYPE_CHECKING:
    from tests.system.conftest import Site

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("airflow")]

CSV_PRODUCT = MINIMAL.replace("name: things\ndomain: test", "name: parts\ndomain: factory").replace(
    "{path: things.csv}", "{path: parts.csv, options: {null_values: [NA]}}"
)
SHOP_PRODUCT = """\
apiVersion: dataproducts/v1
kind: DataProduct
name: customers
domain: shop
version: 1.0.0
description: Customers of the shop.
owner: {team: shop-team, email: shop@example.com}
schedule: manual
inputs:
  customers: {connection: shop, table: public.customers}
outputs:
  customers:
    publish: {to: delta}
    contract:
      primary_key: [id]
      columns:
        - {name: id, type: bigint, description: Number}
        - {name: name, type: string, description: Name, pii: name, required: true}
        - {name: segment, type: string, description: Segment, enum: [consumer, business, public]}
"""


def put(site: Site, folder: str, text: str, **files: str) -> None:
    (site.dags / folder).mkdir(exist_ok=True)
    for name, content in files.items():
        (site.dags / folder / name.replace("_", ".")).write_text(content)
    (site.dags / folder / "product.yaml").write_text(text)


def import_errors(site: Site) -> dict[str, str]:
    found = site.airflow.request("GET", "/api/v2/importErrors?limit=100")["import_errors"]
    return {each["filename"]: each["stack_trace"] for each in found}


def error_naming(site: Site, text: str) -> str:
    return str(
        site.airflow.until(
            f"an import error with {text}", lambda: next((e for e in import_errors(site).values() if text in e), ""), 60
        )
    )


def run(site: Site, dag_id: str, **params: Any) -> tuple[str, str]:
    site.airflow.wait_for_dag(dag_id)
    run_id = site.airflow.trigger(dag_id, **params)
    return run_id, site.airflow.finish(dag_id, run_id, 300)


def test_a_csv_with_na_for_nulls_is_dropped_in_and_published(site: Site) -> None:
    put(site, "parts", CSV_PRODUCT, parts_csv="id,label\n1,bolt\n2,NA\n")
    run_id, state = run(site, "factory.parts")
    assert state == "success", site.airflow.log("factory.parts", run_id, "validate.things")
    published = pads.dataset(site.data / "factory" / "parts" / "things").to_table()
    assert published.to_pylist() == [{"id": 1, "label": "bolt"}, {"id": 2, "label": None}]


def test_a_postgres_table_is_published_and_its_page_tells_of_it(site: Site) -> None:
    put(site, "customers", SHOP_PRODUCT)
    run_id, state = run(site, "shop.customers")
    assert state == "success"
    assert DeltaTable(str(site.data / "shop" / "customers" / "customers")).to_pyarrow_dataset().count_rows() == 500
    details = site.airflow.request("GET", "/api/v2/dags/shop.customers/details")
    assert "personal data: name" in details["doc_md"]
    assert details["owner_links"] == {"shop-team": "mailto:shop@example.com"}
    assert sorted(tag["name"] for tag in details["tags"]) == ["data-product", "domain:shop"]
    assets = {each["uri"] for each in site.airflow.request("GET", "/api/v2/assets?limit=100")["assets"]}
    assert {"dataproducts://shop/customers", "dataproducts://shop/customers/customers"} <= assets
    log = site.airflow.log("shop.customers", run_id, "validate.customers")
    assert "output customers: 9 of 9 checks hold on 500 rows" in log
    assert "Customer 1" not in log


def test_the_code_tab_shows_the_manifest(site: Site) -> None:
    put(site, "customers", SHOP_PRODUCT)
    site.airflow.wait_for_dag("shop.customers")
    assert site.airflow.request("GET", "/api/v2/dagSources/shop.customers")["content"] == SHOP_PRODUCT


def test_a_mistake_is_its_own_import_error_and_its_cure_is_seen(site: Site) -> None:
    broken = MINIMAL.replace("name: things\n", "name: mistake\n").replace("type: string", "type: strng")
    put(site, "mistake", broken, things_csv="id,label\n1,a\n")
    error = error_naming(site, "mistake/product.yaml:18:")
    assert "outputs.things.contract.columns[1].type: found the unknown type 'strng'; did you mean string?" in error
    assert [e for e in import_errors(site).values() if "parts/product.yaml" in e] == []
    put(site, "mistake", broken.replace("strng", "string"))
    site.airflow.wait_for_dag("test.mistake")
    site.airflow.until("no import error", lambda: not [e for e in import_errors(site).values() if "mistake" in e], 60)


def test_two_manifests_of_one_id_are_both_named_and_neither_loads(site: Site) -> None:
    twin = MINIMAL.replace("name: things\n", "name: twin\n")
    put(site, "twin1", twin)
    put(site, "twin2", twin)
    assert "is also in twin2/product.yaml" in error_naming(site, "the product test.twin is also in twin2")
    assert "is also in twin1/product.yaml" in error_naming(site, "the product test.twin is also in twin1")
    (site.dags / "twin2" / "product.yaml").unlink()
    site.airflow.wait_for_dag("test.twin")


def test_an_unknown_connection_is_named_by_the_task_and_not_tried_again(site: Site) -> None:
    lost = SHOP_PRODUCT.replace("name: customers\n", "name: lost\n", 1).replace(
        "connection: shop", "connection: nowhere"
    )
    put(site, "lost", lost)
    run_id, state = run(site, "shop.lost")
    assert state == "failed"
    tasks = site.airflow.request("GET", f"/api/v2/dags/shop.lost/dagRuns/{run_id}/taskInstances")["task_instances"]
    assert {task["task_id"]: (task["state"], task["try_number"]) for task in tasks}["extract.customers"] == (
        "failed",
        1,
    )
    assert (
        "there is no Airflow connection 'nowhere'; add it under Admin > Connections or as AIRFLOW_CONN_NOWHERE"
        in site.airflow.log("shop.lost", run_id, "extract.customers")
    )


def test_the_api_shows_the_catalog_to_those_who_may_see_it(site: Site) -> None:
    put(site, "parts", CSV_PRODUCT, parts_csv="id,label\n1,bolt\n2,NA\n")
    run(site, "factory.parts")
    base = "/dataproducts/api/v1"
    assert site.airflow.request("GET", f"{base}/health")["status"] == "healthy"
    listed: dict[str, Any] = site.airflow.request("GET", f"{base}/products")
    assert "factory.parts" in [each["product_id"] for each in listed["products"]]
    found = site.airflow.request("GET", f"{base}/products/factory.parts")
    assert [(each["output"], each["rows"]) for each in found["outputs"]] == [("things", 2)]
    assert site.airflow.request("GET", f"{base}/products/factory.parts/runs")["runs"][0]["state"] == "success"
    quality = site.airflow.request("GET", f"{base}/products/factory.parts/quality")["validations"][0]
    assert quality["success"] is True
    assert quality["gx"][0]["success"] is True
    assert quality["score"] == 100
    page = site.airflow.page(quality["data_docs"])
    assert "id names one row" in page
    assert httpx.get(site.airflow.url + quality["data_docs"]).status_code == 401
    assert httpx.get(f"{site.airflow.url}{base}/products").status_code == 401
    for path in ("products/none.such", "products/none.such/runs"):
        with pytest.raises(httpx.HTTPStatusError) as caught:
            site.airflow.request("GET", f"{base}/{path}")
        assert caught.value.response.status_code == 404


def test_a_broken_contract_tells_what_and_where(site: Site) -> None:
    """The task's log ends with the checks that broke, and its link leads to the Data Docs of a run that failed, too."""
    broken = CSV_PRODUCT.replace("name: parts\n", "name: broken\n").replace(
        "description: Word", "description: Word, pattern: '^[a-z]+$', pii: name"
    )
    put(site, "broken", broken, parts_csv="id,label\n1,bolt\n1,NUT7\n")
    run_id, state = run(site, "factory.broken")
    assert state == "failed"
    log = site.airflow.log("factory.broken", run_id, "validate.things")
    assert "FAILED   label.pattern (high): label matches ^[a-z]+$; found 1 of 2, such as xxx9" in log
    assert "FAILED   primary_key (critical): id names one row; found 2, such as 1" in log
    assert "NUT7" not in log
    task = f"/api/v2/dags/factory.broken/dagRuns/{run_id}/taskInstances/validate.things"
    links = site.airflow.request("GET", f"{task}/links")["extra_links"]
    assert list(links) == ["Data Docs"]
    site.airflow.until(
        "the document task", lambda: _state(site, "factory.broken", run_id, "document") == "success", 120
    )
    page = site.airflow.page(links["Data Docs"].removeprefix(site.airflow.url))
    assert "label matches" in page
    assert "NUT7" not in page


def _state(site: Site, dag_id: str, run_id: str, task_id: str) -> str | None:
    found = site.airflow.request("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}")
    return found["state"]  # type: ignore[no-any-return]


def test_the_example_plugin_hears_of_publications(site: Site) -> None:
    put(site, "customers", SHOP_PRODUCT)
    run(site, "shop.customers")
    heard = site.airflow.home / "publications.log"
    lines = site.airflow.until("the plugin's line", lambda: heard.is_file() and heard.read_text(), 30)
    assert "shop.customers.customers has published" in lines


BOUGHT = """\
apiVersion: dataproducts/v1
kind: DataProduct
name: bought
domain: shop
version: 1.0.0
description: What each segment bought.
owner: {team: shop-team}
schedule: manual
inputs:
  orders: {connection: shop, table: public.orders}
  customers: {connection: shop, query: "SELECT id, segment FROM customers WHERE id > 0"}
outputs:
  paid:
    transform: SELECT o.order_no, o.amount * 2 AS twice, c.segment FROM orders o JOIN customers c ON c.id = o.customer_id
    publish: {to: delta}
    contract: {columns: [{name: order_no, type: string, required: true}, {name: twice, type: "decimal(14,2)"}, {name: segment, type: string}]}
  segments:
    transform: SELECT segment, count(*) AS n, $run_date AS made FROM paid GROUP BY ALL
    publish: {to: parquet}
    contract: {primary_key: [segment], columns: [{name: segment, type: string}, {name: n, type: bigint}, {name: made, type: date}]}
"""


def test_lineage_goes_to_the_catalog_and_to_openlineage(site: Site) -> None:
    put(site, "bought", BOUGHT)
    _, state = run(site, "shop.bought")
    assert state == "success"
    made = site.airflow.request("GET", "/dataproducts/api/v1/products/shop.bought/lineage")["lineage"]
    columns = {
        (each["output"], each["output_column"]): (each["source"], each["source_column"])
        for each in made
        if each["output_column"]
    }
    assert columns == {
        ("paid", "order_no"): ("orders", "order_no"), ("paid", "twice"): ("orders", "amount"),
        ("paid", "segment"): ("customers", "segment"), ("segments", "segment"): ("paid", "segment"),
    }  # fmt: skip
    events = [json.loads(line) for line in site.lineage.read_text().splitlines()]
    assert [problem for event in events for problem in open_lineage.problems(event)] == []
    assert {key for event in events for key, _ in open_lineage.facets(event)} == set(open_lineage.FACETS)
    assert_wrong_events_are_found(events)
    done = {event["job"]["name"]: event for event in events if event["eventType"] == "COMPLETE"}
    extracted = done["shop.bought.extract.customers"]["inputs"]
    assert [each["name"] for each in extracted] == ["postgres.public.customers"]
    published = done["shop.bought.publish.paid"]
    (output,) = published["outputs"]
    assert (output["namespace"], output["name"]) == ("file", str(site.data / "shop" / "bought" / "paid"))
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 5000
    assert [each["name"] for each in output["facets"]["schema"]["fields"]] == ["order_no", "twice", "segment"]
    fields = output["facets"]["columnLineage"]["fields"]
    assert [each["field"] for each in fields["twice"]["inputFields"]] == ["amount"]
    assert fields["segment"]["inputFields"][0]["name"] == "postgres.public.customers"
    assert {each["name"] for each in published["inputs"]} == {"postgres.public.orders", "postgres.public.customers"}
    (checked,) = done["shop.bought.validate.paid"]["inputs"]
    assertions = checked["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert {(each["assertion"], each.get("column"), each["success"]) for each in assertions} == {
        ("columns", None, True), ("not_empty", None, True), ("order_no.required", "order_no", True),
        ("order_no.type", "order_no", True), ("twice.type", "twice", True), ("segment.type", "segment", True),
    }  # fmt: skip


def assert_wrong_events_are_found(events: list[dict[str, Any]]) -> None:
    """The schemas are at work: without a field that each of them wants, an event is wrong."""
    needed = {
        "columnLineage": "fields",
        "dataQualityAssertions": "assertions",
        "outputStatistics": "rowCount",
        "schema": "_producer",
    }
    for key, field in needed.items():
        event = copy.deepcopy(next(each for each in events if key in dict(open_lineage.facets(each))))
        del dict(open_lineage.facets(event))[key][field]
        assert list(open_lineage.problems(event)), f"{key} without {field}"


def test_a_product_that_never_ran_is_told_of_in_slack(site: Site) -> None:
    """Nobody wrote the monitor, nobody switched it on, and the product's own DAG is paused."""
    promised = 'sla: {freshness: 90s}\nalerts: {slack: "#factory"}\n'
    put(site, "late", CSV_PRODUCT.replace("name: parts", "name: late") + promised, parts_csv="id,label\n1,bolt\n")

    def told() -> list[str]:
        return [
            json.dumps(each) for each in site.slack.posted if "factory.late@1.0.0 breaks its promise" in each["text"]
        ]

    (message,) = site.airflow.until("a message", told)
    assert "the product's DAG is paused in Airflow" in message
    base = "/dataproducts/api/v1"
    (incident,) = [
        each
        for each in site.airflow.request("GET", f"{base}/incidents")["incidents"]
        if each["product"] == "factory.late"
    ]
    assert (incident["state"], incident["cause"]) == ("open", "paused")
    status = site.airflow.request("GET", f"{base}/products/factory.late/sla")["promises"]
    assert [(each["promise"], each["state"]) for each in status] == [("freshness", "breached")]
    mine = site.airflow.request("POST", f"{base}/incidents/{incident['id']}/acknowledge")
    assert (mine["state"], mine["acknowledged_by"]) == ("acknowledged", "admin")
    run(site, "factory.late")
    site.airflow.until(
        "that it is over", lambda: [each for each in site.slack.posted if "RESOLVED factory.late" in each["text"]]
    )


CONSUMER = """
from airflow.sdk import DAG
from airflow_dataproducts.sensors import DataProductSensor, SlaSensor

with DAG("consumer", schedule=None):
    ready = DataProductSensor(task_id="ready", product="factory.waited_for", max_age="1h", deferrable=True, poke_interval=2)
    ready >> SlaSensor(task_id="kept", product="factory.waited_for", deferrable=True, poke_interval=2)
"""


def test_a_consumers_dag_waits_in_the_triggerer(site: Site) -> None:
    (site.dags.parent / "python" / "consumer.py").write_text(CONSUMER)
    promised = 'sla: {freshness: 1h, duration: 1s}\nalerts: {slack: "#factory"}\n'
    product = CSV_PRODUCT.replace("name: parts", "name: waited_for") + promised
    site.airflow.wait_for_dag("consumer")
    waiting = site.airflow.trigger("consumer")
    site.airflow.until("that it waits", lambda: site.airflow.tasks("consumer", waiting).get("ready") == "deferred")
    put(site, "waited", product, parts_csv="id,label\n1,bolt\n")
    run(site, "factory.waited_for")
    site.airflow.until("that it goes on", lambda: site.airflow.tasks("consumer", waiting).get("ready") == "success")
    late = site.airflow.until(
        "the deadline", lambda: [each for each in site.slack.posted if "waited_for" in each["text"]]
    )
    assert "a run takes at most 1s" in late[0]["text"]


def test_a_run_that_goes_back(site: Site) -> None:
    put(
        site,
        "back",
        CSV_PRODUCT.replace("parts\n", "back\n").replace("parts.csv", "back.csv"),
        back_csv="id,label\n1,bolt\n",
    )
    _, state = run(site, "factory.back")
    assert state == "success"
    put(
        site,
        "back",
        CSV_PRODUCT.replace("parts\n", "back\n").replace("parts.csv", "back.csv"),
        back_csv="id,label\n2,wrong\n",
    )
    second, state = run(site, "factory.back", full=True)
    location = site.data / "factory" / "back" / "things"
    assert pads.dataset(location).to_table()["label"].to_pylist() == ["wrong"]
    first = next(each["dag_run_id"] for each in site.airflow.runs("factory.back") if each["dag_run_id"] != second)
    undoing, state = run(site, "factory.back", rollback_to=first)
    assert state == "success", site.airflow.log("factory.back", undoing, "record")
    assert pads.dataset(location).to_table()["label"].to_pylist() == ["bolt"]
    assert "this run goes back to version" in site.airflow.log("factory.back", undoing, "publish.things")
    lost, state = run(site, "factory.back", rollback_to="nowhere")
    assert state == "failed"
    assert "no version 'nowhere' (there are" in site.airflow.log("factory.back", lost, "record")
