"""Validating orders: this package, the floor, Great Expectations' own import, soda-core and datacontract-cli, in turns."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import psutil

from bench.generate import orders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parent.parent
CONTRACTS = Path(__file__).parent / "orders"
PEERS = ROOT / ".venv-peers"
COMMAND = Path(sys.executable).parent / "dataproducts"
ROUNDS = 3
ENVIRONMENT = {**os.environ, "SODA_CORE_TELEMETRY_ENABLED": "false", "DATACONTRACT_ANONYMIZED_TELEMETRY": "false"}
# PySpark, where it is installed, would make GX's import longer still.
IMPORT_GX = "import sys; sys.modules['pyspark'] = None; import great_expectations"

Medians = dict[str, dict[str, float]]
"""Seconds (and MB of peak memory under ``... rss``) by case and what was measured."""


@dataclass(frozen=True)
class Case:
    """A file of orders."""

    name: str
    rows: int
    dirty: bool = False


CASES = (
    Case("10 rows", 10), Case("1M clean", 1_000_000), Case("1M dirty", 1_000_000, dirty=True),
    Case("10M clean", 10_000_000), Case("10M dirty", 10_000_000, dirty=True), Case("30M clean", 30_000_000),
)  # fmt: skip


def peer_versions() -> dict[str, str]:
    """The peers' versions, as their own environments tell them."""
    code = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
    peers = {"soda-core": "soda", "soda-duckdb": "soda", "datacontract-cli": "datacontract"}
    return {
        package: _output([str(PEERS / folder / "bin" / "python"), "-c", code, package])
        for package, folder in peers.items()
    }


def measure(folder: Path) -> Medians:
    """Everything, ``ROUNDS`` times in turns."""
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for case in CASES:
        file = orders(folder / f"{case.name.replace(' ', '-')}.parquet", case.rows, dirty=case.dirty)
        commands = _commands(folder, file)
        _run(commands["cold"])  # the file and every program into the machine's cache
        for _ in range(ROUNDS):
            for name, command in commands.items():
                if case.rows > 10_000_000 and name not in {"cold", "floor"}:
                    continue
                told = _run(command)
                for key, value in told.items():
                    found[case.name][f"{name} {key}"].append(value)
        file.unlink()
    return {case: {name: statistics.median(values) for name, values in each.items()} for case, each in found.items()}


def _commands(folder: Path, file: Path) -> dict[str, list[str]]:
    python = sys.executable
    database = folder / f"{file.stem.replace('-', '_')}.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"CREATE OR REPLACE VIEW orders AS FROM read_parquet('{file}')")
    source = folder / "soda-source.yaml"
    source.write_text(f"type: duckdb\nname: duck\nconnection: {{database: {database}, read_only: true}}\n")
    soda = folder / "orders.soda.yaml"
    soda.write_text((CONTRACTS / "orders.soda.yaml").read_text().replace("duck/shop/", f"duck/{database.stem}/"))
    odcs = folder / "orders.odcs.yaml"
    odcs.write_text((CONTRACTS / "orders.odcs.yaml").read_text().replace("{data}", str(file)))
    return {
        "cold": [str(COMMAND), "validate", str(CONTRACTS / "product.yaml"), "--data", str(file), "--format", "junit"],
        "warm": [python, "-m", "bench.warm", str(file)],
        "floor": [python, "-m", "bench.floor", str(file)],
        "gx import": [python, "-c", IMPORT_GX],
        "soda": [str(PEERS / "soda" / "bin" / "soda"), "contract", "verify", "-ds", str(source), "-c", str(soda)],
        "datacontract": [str(PEERS / "datacontract" / "bin" / "datacontract"), "test", str(odcs)],
    }


def _run(command: Sequence[str]) -> Mapping[str, float]:
    """Wall seconds and peak memory of a process and its children, and the numbers it prints as JSON in its last line."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    with _Memory(process.pid) as memory:
        output, _ = process.communicate()
    found: dict[str, Any] = {"wall": time.perf_counter() - begun, "rss": memory.peak}
    if process.returncode not in {0, 1}:  # 1 is what every one of them says of dirty data
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {output[-2000:]}")
    last = output.strip().splitlines()[-1:] or [""]
    return {**found, **json.loads(last[0])} if last[0].startswith("{") else found


class _Memory:
    """The peak memory of a process and its children: the sum of each one's own peak, in MB, as the kernel counts it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peaks: dict[int, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    @property
    def peak(self) -> float:
        return sum(self._peaks.values()) / 1024

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(self._pid)
                for each in (process, *process.children(recursive=True)):
                    with suppress(OSError):  # it has ended
                        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{each.pid}/status").read_text())
                        if found:
                            self._peaks[each.pid] = int(found[1])


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
