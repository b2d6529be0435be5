"""Airflow's own UI, looked at with a browser. With DATAPRODUCTS_SCREENSHOTS=<folder> the pages are kept as pictures."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from tests.conftest import MINIMAL
from tests.parts import from_debian
from tests.system.test_airflow import CSV_PRODUCT, SHOP_PRODUCT, error_naming, put, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.conftest import Site

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("airflow")]

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=1400,900", "--force-device-scale-factor=1", "--disable-dev-shm-usage",
)  # fmt: skip


class Browser:
    """A logged-in browser."""

    def __init__(self, site: Site, driver: webdriver.Chrome) -> None:
        self.site = site
        self.driver = driver

    def log_in(self) -> None:
        self.driver.get(f"{self.site.airflow.url}/auth/login/")
        self.wait_for("Sign")
        fields = self.driver.find_elements(By.CSS_SELECTOR, "input")
        fields[0].send_keys("admin")
        fields[1].send_keys(self.site.airflow.password)
        self.driver.find_element(By.CSS_SELECTOR, "button[type=submit], button").click()
        self.wait_for("Dags")

    def open(self, path: str, *texts: str, picture: str | None = None) -> str:
        """A page's text, once it shows all of ``texts``."""
        self.driver.get(f"{self.site.airflow.url}{path}")
        text = ""
        for each in texts:
            text = self.wait_for(each)
        if picture:
            self.picture(picture)
        return text

    def picture(self, name: str) -> None:
        """Keep a picture of the page, where pictures are wanted."""
        folder = os.environ.get("DATAPRODUCTS_SCREENSHOTS")
        if folder:
            time.sleep(3)  # until the page has come to rest
            self.driver.save_screenshot(str(Path(folder) / f"{name}.png"))

    def wait_for(self, wanted: str, seconds: float = 60) -> str:
        end = time.monotonic() + seconds
        text = ""
        while time.monotonic() < end:
            text = str(self.driver.execute_script("return document.body ? document.body.innerText : ''"))
            if wanted in text:
                return text
            time.sleep(0.3)
        raise AssertionError(f"{wanted!r} is not on {self.driver.current_url}: {text[:2000]}")


@pytest.fixture(scope="module")
def browser(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    from_debian("chromedriver", "chromium", "chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        found = Browser(site, driver)
        found.log_in()
        yield found
    finally:
        driver.quit()


def test_a_new_users_two_products_are_seen_published(site: Site, browser: Browser) -> None:
    put(site, "parts", CSV_PRODUCT, parts_csv="id,label\n1,bolt\n2,NA\n")
    put(site, "customers", SHOP_PRODUCT)
    runs = {dag_id: run(site, dag_id) for dag_id in ("factory.parts", "shop.customers")}
    assert {state for _, state in runs.values()} == {"success"}
    browser.open("/dags", "factory.parts", "shop.customers", "data-product", picture="dags")
    for dag_id, (run_id, _) in runs.items():
        name = dag_id.split(".")[1]
        text = browser.open(f"/dags/{dag_id}/runs/{run_id}", "extract", "record", picture=f"run-{name}")
        assert "Success" in text
    browser.open("/dags/factory.parts/code", "apiVersion", "null_values", picture="code")
    browser.open("/assets", "factory.parts.things", picture="assets")


def test_a_tasks_link_leads_to_its_data_docs(site: Site, browser: Browser) -> None:
    text = CSV_PRODUCT.replace("name: parts\n", "name: worn\n").replace(
        "description: Word", "description: Word, enum: [bolt]"
    )
    put(site, "worn", text, parts_csv="id,label\n1,bolt\n2,nut\n")
    run_id, state = run(site, "factory.worn")
    assert state == "failed"
    browser.open(f"/dags/factory.worn/runs/{run_id}/tasks/validate.things/details", "Data Docs", picture="task-link")
    link = browser.driver.find_element(By.PARTIAL_LINK_TEXT, "Data Docs").get_attribute("href")
    assert link is not None
    shown = browser.open(
        link.removeprefix(site.airflow.url),
        "factory.worn: things",
        "label is one of bolt",
        picture="data-docs",
    )
    assert "1 unexpected values found" in shown


def test_a_mistake_is_seen_in_the_ui(site: Site, browser: Browser) -> None:
    put(
        site,
        "wrong",
        MINIMAL.replace("name: things\n", "name: wrong\n")
        .replace("tier", "teir")
        .replace("type: string", "type: strng"),
    )
    error_naming(site, "wrong/product.yaml:18:")
    browser.open("/", "Import Error", picture="import-error")
    (site.dags / "wrong" / "product.yaml").unlink()


def test_a_message_that_nobody_took_is_an_alarm_on_the_home_page(site: Site, browser: Browser) -> None:
    alerts = "sla: {freshness: 5s}\nalerts: {also: [nowhere.Notifier]}\n"
    put(
        site,
        "unheard",
        CSV_PRODUCT.replace("name: parts\n", "name: unheard\n") + alerts,
        parts_csv="id,label\n1,bolt\n",
    )
    site.airflow.until("an alarm", lambda: site.airflow.request("GET", "/dataproducts/api/v1/alarms")["alarms"])
    shown = browser.open("/", "People were not told of broken promises", picture="alarm")
    assert "by notifier could not be delivered: the notifier nowhere.Notifier cannot be made" in shown
    (site.dags / "unheard" / "product.yaml").unlink()
