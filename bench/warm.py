"""A validation in a process that has Great Expectations loaded, and in processes forked from it. Prints seconds."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from airflow_dataproducts.engine.validation.gx import preload_for_forks
from airflow_dataproducts.plan import load_plan
from airflow_dataproducts.settings import Settings

MANIFEST = Path(__file__).parent / "orders" / "product.yaml"


def main(file: str) -> None:
    """Once to warm up, once in this process, once in a fork."""
    preload_for_forks()
    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.validation import Tables, validate

    (step,) = load_plan(MANIFEST).validations
    settings = Settings("", "", "")

    begun = time.perf_counter()
    child = os.fork()
    if child == 0:
        validate(step, Tables({"orders": pads.dataset(file)}), settings)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0  # noqa: S101 - a failed child has no time worth telling
    forked = time.perf_counter() - begun

    begun = time.perf_counter()
    found = validate(step, Tables({"orders": pads.dataset(file)}), settings)
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "forked": forked, "broken": len(found.failures)}))


if __name__ == "__main__":
    main(sys.argv[1])
