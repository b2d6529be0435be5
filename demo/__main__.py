"""``make demo``: from nothing to published products.

Starts a PostgreSQL with a shop and an Airflow with the products of ``dags/``, then: a first run of two products, a second
one after new orders came in, and a third product whose data breaks its contract, and then its promise. Exits with 0 only if all went as told.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from demo.published import published_tables
from demo.shop import CUSTOMERS, DIRTY_EVERY, ORDERS, Shop, airflow_connection, postgres
from demo.slack import Slack, slack, slack_connection
from demo.standalone import Airflow, discovery, standalone

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
NEW_ORDERS, REFUNDS = 5_000, 100
SALES, FINANCE, RETURNS = "sales.orders", "finance.revenue", "sales.returns"


class Story:
    """Tells what happens as it happens, and remembers what did not go as told."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.surprises: list[str] = []
        self._begun = time.monotonic()

    def tell(self, text: str) -> None:
        """A line with the time since the start."""
        self.console.print(f"[dim]{time.monotonic() - self._begun:6.1f} s[/]  {text}", soft_wrap=True)

    def expect(self, text: str, *, holds: bool) -> None:
        """A line that says whether something is as it should be."""
        self.tell(f"{'[green]ok[/]' if holds else '[red]NOT SO[/]'}  {text}")
        if not holds:
            self.surprises.append(text)

    def wait(self, text: str, work: Callable[[], Any]) -> Any:
        """Show that something is at work until it is done."""
        with self.console.status(text):
            return work()

    def watch(self, name: str) -> Callable[[dict[str, str]], None]:
        """A watcher of a run's tasks that tells each end of a task once."""
        seen: set[str] = set()

        def look(tasks: dict[str, str]) -> None:
            for task, state in sorted(tasks.items()):
                if task not in seen and state in ("success", "failed", "upstream_failed"):
                    seen.add(task)
                    color = {"success": "green", "failed": "red"}.get(state, "yellow")
                    self.tell(f"    {name}  {task:<24} [{color}]{state}[/]")

        return look


def play(story: Story, airflow: Airflow, shop: Shop) -> None:
    """The acts of the demo."""
    for dag_id in (SALES, FINANCE, RETURNS):
        story.wait(f"waiting for {dag_id}", partial(airflow.wait_for_dag, dag_id))
    story.tell(f"Airflow lists {SALES}, {FINANCE} and {RETURNS}, each from its product.yaml")

    # Here already: it is to have failed before its promise is broken, however slow the machine.
    third = airflow.trigger(RETURNS)

    story.tell(f"[bold]1. First run[/]: {SALES} reads the shop, {FINANCE} follows when it has published")
    first = _first_run(story, airflow)
    rows = airflow.result(SALES, first, "extract.orders")["rows"]
    story.expect(f"{rows:,} of {ORDERS:,} orders read", holds=rows == ORDERS)
    summary = airflow.result(SALES, first, "validate.orders")["summary"]
    text = f"{summary['checks']} checks by Great Expectations, {summary['quarantined']} rows quarantined"
    story.expect(text, holds=summary["quarantined"] == ORDERS // DIRTY_EVERY)
    _follow(story, airflow, 1)

    story.tell(f"[bold]2. {NEW_ORDERS:,} new orders[/] come in and {REFUNDS} are refunded: only those are read")
    shop.sell(NEW_ORDERS, changed="2026-02-01 00:00+00")
    shop.refund(REFUNDS, changed="2026-02-01 00:00+00")
    second = _run(story, airflow, SALES)
    rows = airflow.result(SALES, second, "extract.orders")["rows"]
    story.expect(f"{rows:,} rows read, past the watermark of the first run", holds=rows == NEW_ORDERS + REFUNDS)
    _follow(story, airflow, 2)

    story.tell(f"[bold]3. {RETURNS}[/], started first of all: its data breaks its contract")
    state = airflow.finish(RETURNS, third, watch=story.watch(RETURNS))
    tasks = airflow.tasks(RETURNS, third)
    stopped = tasks["validate.returns"] == "failed" and tasks["publish.returns"] == "upstream_failed"
    story.expect("validate failed, publish never ran, nothing was published", holds=state == "failed" and stopped)
    for line in airflow.log(RETURNS, third, "validate.returns").splitlines():
        if line.startswith(("FAILED", "output returns breaks")):
            story.tell(f"    [red]{line}[/]")


def _told(story: Story, slack: Slack) -> None:
    """The promise that the third product breaks, as people hear of it."""
    story.tell(f"[bold]4. A promise is broken[/]: {RETURNS} promised data of at most 2 minutes, and has none")

    def message() -> dict[str, Any] | None:
        return next((each for each in slack.posted if RETURNS in each["text"]), None)

    end = time.monotonic() + 300
    found = story.wait("waiting for the monitor, which nobody wrote", lambda: _wait(message, end))
    story.expect("Slack was told, once, by the DAG dataproducts_monitor", holds=found is not None)
    if found is None:
        return
    story.tell(f"    {found['channel']}  [bold]{found['text']}[/]")
    for block in found["blocks"][1:]:
        texts = [block["text"]] if "text" in block else block.get("fields") or block["elements"]
        for each in texts:
            story.tell(f"    {': '.join(each['text'].replace('*', '').splitlines())}")


def _wait(ask: Callable[[], Any], end: float) -> Any:
    while (found := ask()) is None and time.monotonic() < end:
        time.sleep(0.5)
    return found


def _first_run(story: Story, airflow: Airflow) -> str:
    """The run that Airflow itself starts for the schedule's last time when a DAG is switched on, or one by hand."""
    try:
        runs = airflow.until("a scheduled run", lambda: airflow.runs(SALES), seconds=20)
    except TimeoutError:
        return _run(story, airflow, SALES)
    return _finish(story, airflow, SALES, str(runs[0]["dag_run_id"]))


def _run(story: Story, airflow: Airflow, dag_id: str) -> str:
    return _finish(story, airflow, dag_id, airflow.trigger(dag_id))


def _finish(story: Story, airflow: Airflow, dag_id: str, run: str) -> str:
    state = story.wait(f"{dag_id} runs", lambda: airflow.finish(dag_id, run, watch=story.watch(dag_id)))
    story.expect(f"{dag_id}: {state}", holds=state == "success")
    return run


def _follow(story: Story, airflow: Airflow, count: int) -> None:
    """Wait for the run that the asset event of the first product starts."""

    def started() -> list[dict[str, Any]]:
        return airflow.runs(FINANCE)[count - 1 : count]

    (run,) = story.wait(f"waiting for {FINANCE}", lambda: airflow.until(f"run {count} of {FINANCE}", started))
    by_asset = run["run_type"] == "asset_triggered"
    story.expect(f"{FINANCE} was started by the asset event of {SALES}", holds=by_asset)
    _finish(story, airflow, FINANCE, str(run["dag_run_id"]))


def show(story: Story, folder: Path, warehouse: str) -> None:
    """What was published, read back by libraries that know nothing of this project."""
    table = Table(title="Published, read back with deltalake, pyarrow and psycopg", title_justify="left")
    for name in ("product", "output", "where", "rows", "note"):
        table.add_column(name, justify="right" if name == "rows" else "left")
    for found in published_tables(folder, warehouse):
        table.add_row(found.product, found.output, found.where, f"{found.rows:,}", found.note)
        story.expect(f"{found.product} {found.output}: {found.rows:,} rows", holds=found.rows > 0)
    story.console.print(table)
    # Files that were written and not published lie where no reader looks: there is no version, and no table.
    place = folder / "data" / "sales" / "returns"
    nothing = not any((place / "returns" / "_delta_log").glob("*")) and not any(
        file.is_symlink() for file in place.glob("*")
    )
    story.expect("of sales.returns there is nothing", holds=nothing)


def main() -> int:
    """Play the demo; its exit code."""
    ends_by_itself = "--exit" in sys.argv[1:]
    story = Story()
    folder = Path(os.environ.get("DEMO_FOLDER", ROOT / ".demo"))
    shutil.rmtree(folder, ignore_errors=True)
    with ExitStack() as stack:
        database = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dataproducts-demo-")))
        uri = stack.enter_context(postgres(database / "postgres"))
        shop = Shop(uri)
        story.wait("filling the shop", shop.open)
        story.tell(f"PostgreSQL is up; its shop has {ORDERS:,} orders of {CUSTOMERS:,} customers")
        told = stack.enter_context(slack())
        settings = {
            **discovery(ROOT / "dags"),
            "AIRFLOW_CONN_DATAPRODUCTS_SLACK": slack_connection(told.url, os.environ.get("SLACK_BOT_TOKEN")),
            "AIRFLOW__DATAPRODUCTS__STORAGE": str(folder / "data"),
            "AIRFLOW__DATAPRODUCTS__STAGING": str(folder / "staging"),
            "AIRFLOW_CONN_SHOP": airflow_connection(uri),
            "AIRFLOW_CONN_WAREHOUSE": airflow_connection(uri),
        }
        with story.console.status("Airflow starts (20 to 90 s)"):
            airflow = stack.enter_context(standalone(folder / "airflow", settings))
        story.tell(f"Airflow is healthy at {airflow.url}")
        try:
            play(story, airflow, shop)
            if "SLACK_BOT_TOKEN" not in os.environ:
                _told(story, told)
            show(story, folder, uri)
        except TimeoutError as error:
            story.expect(str(error), holds=False)
        if story.surprises:
            story.console.print(
                f"[red]{len(story.surprises)} thing(s) did not go as told[/]: {'; '.join(story.surprises)}"
            )
            return 1
        story.console.print(f"\nThe UI is at [bold]{airflow.url}[/], user admin, password {airflow.password}")
        if not ends_by_itself:
            story.console.print("Ctrl-C ends it.")
            try:
                airflow.process.wait()
            except KeyboardInterrupt:
                story.console.print("stopping ...")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
