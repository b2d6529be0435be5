"""``airflow standalone`` in a folder of its own, and a client of its API."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_fixed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

HAS_IMPORTERS = tuple(int(part) for part in version("apache-airflow-core").split(".")[:2]) >= (3, 4)
"""Whether this Airflow reads a manifest as a DAG file itself, or needs the bundle."""


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def discovery(dags: Path) -> dict[str, str]:
    """The settings that let Airflow find the products of a folder."""
    if HAS_IMPORTERS:
        return {
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__DAG_PROCESSOR__DAG_IMPORTER_CONFIGS": '["airflow_dataproducts.discovery.importer.DataProductImporter"]',
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        }
    bundle = {
        "name": "data-products",
        "classpath": "airflow_dataproducts.discovery.bundle.ManifestDagBundle",
        "kwargs": {"path": str(dags)},
    }
    return {"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle])}


@dataclass
class Airflow:
    """A running Airflow.

    Attributes:
        home: its AIRFLOW_HOME.
        url: of its UI and API, on the loopback interface.
        password: of the user admin.
    """

    home: Path
    url: str
    password: str
    process: subprocess.Popen[bytes] = field(repr=False)
    _token: str = field(default="", repr=False)

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Call the API; the answer's JSON.

        Raises:
            httpx.HTTPError: it cannot be reached or answers with an error.
        """
        response = self._answer(method, path, body)
        return response.json() if response.content else None

    def page(self, path: str) -> str:
        """A page's HTML; raises as ``request`` does."""
        return self._answer("GET", path).text

    def _answer(self, method: str, path: str, body: Any = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}

        def once() -> httpx.Response:
            response = httpx.request(method, self.url + path, json=body, headers=headers, timeout=30)
            response.raise_for_status()
            return response

        return once() if method == "GET" else _patiently(once)

    def wait_until_healthy(self) -> None:
        """Wait for the API and all that it watches over, and log in."""
        self.until("Airflow's API", lambda: self.request("GET", "/api/v2/version"))
        self.until("Airflow healthy", lambda: _healthy(self.request("GET", "/api/v2/monitor/health")))
        self.log_in()

    def log_in(self) -> None:
        """Get a token for the user admin."""
        body = {"username": "admin", "password": self.password}
        self._token = self.request("POST", "/auth/token", body)["access_token"]

    def until(self, what: str, ask: Callable[[], Any], seconds: float = 300) -> Any:
        """Ask again and again until there is a true answer.

        Raises:
            TimeoutError: there is none in time, or Airflow has ended.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise TimeoutError(f"Airflow ended with {self.process.returncode}; see {self.home}/standalone.log")
            try:
                answer = ask()
            except httpx.HTTPError:
                answer = None
            if answer:
                return answer
            time.sleep(0.5)
        raise TimeoutError(f"{what}: not within {seconds:.0f} s; see {self.home}/standalone.log")

    def wait_for_dag(self, dag_id: str) -> None:
        """Wait until the API lists a DAG, and let it run."""
        self.until(f"DAG {dag_id}", lambda: self.request("GET", f"/api/v2/dags/{dag_id}"))
        self.request("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})

    def trigger(self, dag_id: str, **params: Any) -> str:
        """Start a run with params; its id."""
        body = {"logical_date": None, "conf": params}
        return str(self.request("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """A DAG's runs, oldest first."""
        return list(self.request("GET", f"/api/v2/dags/{dag_id}/dagRuns?order_by=run_after&limit=100")["dag_runs"])

    def tasks(self, dag_id: str, run_id: str) -> dict[str, str]:
        """The state of each task of a run."""
        found = self.request("GET", f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances")
        return {each["task_id"]: each["state"] or "waiting" for each in found["task_instances"]}

    def result(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task returned."""
        path = (
            f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/xcomEntries/return_value"
        )
        return self.request("GET", f"{path}?deserialize=false")["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, attempt: int = 1) -> str:
        """A task's log."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/logs/{attempt}"
        content = self.request("GET", path)["content"]
        return "\n".join(str(line.get("event", "")) if isinstance(line, dict) else str(line) for line in content)

    def finish(
        self, dag_id: str, run_id: str, seconds: float = 600, watch: Callable[[dict[str, str]], None] | None = None
    ) -> str:
        """Wait for the end of a run; its state. ``watch`` is shown the tasks' states meanwhile."""

        def ended() -> str | None:
            if watch is not None:
                watch(self.tasks(dag_id, run_id))
            state = str(self.request("GET", f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}")["state"])
            return state if state in ("success", "failed") else None

        return str(self.until(f"run {run_id} of {dag_id}", ended, seconds))


@contextmanager
def standalone(home: Path, settings: Mapping[str, str]) -> Iterator[Airflow]:
    """Start Airflow, wait until it is healthy, and stop all its processes at the end.

    Args:
        home: a folder for it.
        settings: ``AIRFLOW__*`` variables beside those that keep it to the loopback interface.
    """
    environment, password = local_environment(home, settings)
    with (home / "standalone.log").open("wb") as log:
        process = subprocess.Popen(
            ["airflow", "standalone"],
            env=environment, cwd=home, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    airflow = Airflow(home, environment["AIRFLOW__API__BASE_URL"], password, process)
    try:
        airflow.wait_until_healthy()
        yield airflow
    finally:
        stop(process)


def local_environment(home: Path, settings: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The variables of an Airflow that keeps to the loopback interface, and the password of its user admin.

    Args:
        home: a folder for it.
        settings: further ``AIRFLOW__*`` variables.
    """
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    password = secrets.token_urlsafe(12)
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps({"admin": password}))
    passwords.chmod(0o600)
    url = f"http://127.0.0.1:{port}"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")},
        "AIRFLOW_HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # standalone starts `airflow` by name
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        **settings,
    }
    return environment, password


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code == httpx.codes.INTERNAL_SERVER_ERROR


@retry(
    retry=retry_if_exception(_is_locked),
    stop=stop_after_attempt(10),
    wait=wait_fixed(1),
    reraise=True,
)
def _patiently(write: Callable[[], httpx.Response]) -> httpx.Response:
    """A write, again where Airflow could not do it: its SQLite is locked now and then on a busy machine, and nothing was done."""
    return write()


def _healthy(answer: dict[str, dict[str, Any]]) -> bool:
    return all(part["status"] == "healthy" for part in answer.values() if part and part["status"] is not None)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the whole process group: gently, then not."""
    for sign, patience in ((signal.SIGTERM, 20), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            return
        end = time.monotonic() + patience
        while time.monotonic() < end and _group_lives(process):
            time.sleep(0.2)


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True
