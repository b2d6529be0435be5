"""Real parts that tests start: an object store, programs from Debian."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from demo.standalone import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def object_store() -> Iterator[str]:
    """moto's S3, over HTTP on the loopback interface. A process of its own: delta-rs asks while it holds the GIL."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            httpx.get(f"{url}/moto-api/data.json", timeout=1)
            break
        except httpx.HTTPError:
            time.sleep(0.1)
    try:
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def from_debian(program: str, *packages: str) -> None:
    """Install Debian's packages where we may; elsewhere the test that needs them is skipped, but never in CI."""
    if shutil.which(program):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", *packages]):
            subprocess.run(command, check=False, capture_output=True, timeout=500)
    if not shutil.which(program):
        message = f"{program} is not installed (apt-get install {' '.join(packages)})"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
