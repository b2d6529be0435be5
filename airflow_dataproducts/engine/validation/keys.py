"""Finding keys that more than one row has, in bounded memory and at the price of one look at the key.

Rows are told apart by a 64-bit hash first: sorting hashes is several times cheaper than grouping the keys themselves,
and when no hash comes twice, no key does. Only keys whose hash came twice are compared as they are, so the answer is exact.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract.ddl import all_given, names, quote
from airflow_dataproducts.engine import duck

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from concurrent.futures import Future, ThreadPoolExecutor

    import duckdb

KEPT_IN_MEMORY = 8_000_000
"""Hashes kept in memory (8 bytes each); more wait in files, which keeps memory flat up to billions of rows."""
SHARING = "__rows_that_share_it"
"""In a table of keys, the column that says how many rows have one."""
_BITS = 8
_PARTS = 2**_BITS
_SHARES = (range(_PARTS // 2), range(_PARTS // 2, _PARTS))
"""The parts that each of two threads sorts."""
_BATCH = 250_000


class KeySearch:
    """The search for the keys that several rows of a table have.

    Reading the hashes keeps DuckDB's threads busy, sorting them two of ours; so a search is begun, and ended later.

    Args:
        connection: a session.
        source: the table's quoted name; rows with a NULL in the key are left out.
        columns: the key.
        into: the name of the table to make: the key's columns, one row per such key, and ``n``, the rows that have it.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, source: str, columns: Sequence[str], into: str) -> None:
        self._connection = connection
        self._source = source
        self._key = names(columns)
        self._given = all_given(columns)
        self._into = into
        self._hashes = _Hashes()
        self._suspects: list[Future[list[Any]]] = []

    def begin(self, pool: ThreadPoolExecutor) -> KeySearch:
        """Read the hashes, and leave them to threads to sort."""
        query = f"SELECT hash({self._key}) AS h FROM {self._source} WHERE {self._given}"
        for batch in self._connection.sql(query).to_arrow_reader(_BATCH):
            self._hashes.add(batch.column(0).to_numpy(zero_copy_only=False))
        self._hashes.complete()
        self._suspects = [pool.submit(self._hashes.repeated, parts) for parts in _SHARES]
        return self

    def end(self) -> int:
        """Make the table; returns the rows that share their key with another."""
        import pyarrow as pa

        with closing(self._hashes):
            found = [array for each in self._suspects for array in each.result()]
        into = quote(self._into)
        if not found:
            self._connection.execute(
                f"CREATE TABLE {into} AS SELECT {self._key}, 0::BIGINT AS {SHARING} FROM {self._source} LIMIT 0"
            )
            return 0
        suspects = f"__suspects_{self._into}"
        self._connection.register(suspects, pa.table({"h": pa.concat_arrays([pa.array(each) for each in found])}))
        same = f"hash({self._key}) IN (SELECT h FROM {quote(suspects)})"
        self._connection.execute(
            f"CREATE TABLE {into} AS SELECT {self._key}, count(*) AS {SHARING} FROM {self._source} "
            f"WHERE {self._given} AND {same} GROUP BY ALL HAVING count(*) > 1"
        )
        self._connection.unregister(suspects)
        return count_rows(self._connection, self._into)


def count_rows(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """The rows that have a key of such a table."""
    (rows,) = duck.one_row(connection, f"SELECT coalesce(sum({SHARING}), 0)::BIGINT FROM {quote(table)}")
    return int(rows)


class _Hashes:
    """Hashes, parted by their highest bits: small arrays sort in the processor's cache, and many can wait in files."""

    def __init__(self) -> None:
        self._parts: list[list[Any]] = [[] for _ in range(_PARTS)]
        self._rows = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def add(self, hashes: Any) -> None:
        import numpy as np

        part = (hashes >> np.uint64(64 - _BITS)).astype(np.uint8)
        ordered = hashes[np.argsort(part, kind="stable")]
        ends = np.cumsum(np.bincount(part, minlength=_PARTS))
        for number, piece in enumerate(np.split(ordered, ends[:-1])):
            self._parts[number].append(piece)
        self._rows += len(hashes)
        if self._rows >= KEPT_IN_MEMORY:
            self._spill()

    def complete(self) -> None:
        """No more hashes will come."""
        if self._folder is not None:
            self._spill()

    def repeated(self, parts: Iterable[int]) -> list[Any]:
        """The hashes of some parts that came more than once."""
        return [array for number in parts for array in _repeated(self._part(number))]

    def close(self) -> None:
        """Let all of them go."""
        self._parts = []
        if self._folder is not None:
            self._folder.cleanup()

    def _part(self, number: int) -> Any:
        import numpy as np

        if self._folder is None:
            pieces = self._parts[number]
            return np.concatenate(pieces) if pieces else np.empty(0, np.uint64)
        file = Path(self._folder.name, f"{number:03}")
        return np.fromfile(file, np.uint64) if file.exists() else np.empty(0, np.uint64)

    def _spill(self) -> None:
        import numpy as np

        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="dataproducts-keys-")
        for number, pieces in enumerate(self._parts):
            if pieces:
                with Path(self._folder.name, f"{number:03}").open("ab") as file:
                    np.concatenate(pieces).tofile(file)
                pieces.clear()
        self._rows = 0


def _repeated(hashes: Any) -> list[Any]:
    """The values that an array has more than once, as a list of at most one array."""
    import numpy as np

    hashes.sort()
    again = hashes[1:][hashes[1:] == hashes[:-1]]
    return [np.unique(again)] if len(again) else []
