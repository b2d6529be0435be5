"""REST APIs that answer in JSON, page by page, through the Airflow connection's own session.

Records wait in a file of JSON lines until all pages are there: only then are the columns known. Numbers with a fraction
stay the text that the API wrote, so that a decimal is exact to the last digit.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from airflow_dataproducts.contract.ddl import quote, text
from airflow_dataproducts.contract.types import duckdb_type
from airflow_dataproducts.engine import duck
from airflow_dataproducts.engine.connections import PASSING, TRIES
from airflow_dataproducts.engine.sources import sql
from airflow_dataproducts.engine.storage import is_full
from airflow_dataproducts.exceptions import SourceChangedError, SourceError, StagingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_dataproducts.engine.connections import HttpSession
    from airflow_dataproducts.engine.sources import Reading
    from airflow_dataproducts.engine.staging import Stream
    from airflow_dataproducts.manifest.inputs import HttpInput

_TIMEOUT = (10, 120)
"""Seconds to connect, and between two packets."""
_MOST_PAGES = 1_000_000


@contextmanager
def open_endpoint(name: str, source: HttpInput, reading: Reading) -> Iterator[Stream]:
    """Open an endpoint. See :func:`airflow_dataproducts.engine.sources.open_source`."""
    with (
        tempfile.TemporaryDirectory(prefix="dataproducts-http-") as folder,
        duck.session(reading.settings) as connection,
    ):
        file = Path(folder) / "records.jsonl"
        with reading.connections.http(source.connection) as session:
            columns = _download(file, _Pages(name, source, session, reading).records(), name)
        for wanted in source.types:
            if columns and wanted not in columns:
                raise SourceChangedError(f"input {name}: no record has {wanted} (they have {', '.join(columns)})")
        kinds = {column: kind.duckdb for column, kind in columns.items()} or dict.fromkeys(source.types, "VARCHAR")
        if not kinds:
            raise SourceChangedError(
                f"input {name}: {source.endpoint} has no records, and the manifest names no types; there are no columns"
            )
        listed = ", ".join(f"{text(column)}: {text(kind)}" for column, kind in kinds.items())
        lines = f"read_json({text(str(file))}, format = 'newline_delimited', columns = {{{listed}}})"
        # An API may take "since" for "from that moment on"; what was published is not to come again.
        new = sql.where(source.cursor, reading.bounds)
        with duck.value_errors(f"input {name}: {source.endpoint}"):
            yield duck.stream(connection.sql(f"SELECT * FROM (SELECT {_typed(source, kinds)} FROM {lines}){new}"))


def _typed(source: HttpInput, kinds: Mapping[str, str]) -> str:
    return ", ".join(
        f"CAST({quote(name)} AS {duckdb_type(source.types[name])}) AS {quote(name)}"
        if name in source.types
        else f"CAST({quote(name)} AS VARCHAR) AS {quote(name)}"
        if kinds[name] == "JSON"
        else quote(name)
        for name in kinds
    )


class _Kind:
    """What the values of a column are: the narrowest type that holds them all."""

    def __init__(self) -> None:
        self._seen: set[type] = set()

    def see(self, value: Any) -> None:
        if value is not None:
            self._seen.add(list if isinstance(value, dict) else type(value))

    @property
    def duckdb(self) -> str:
        if self._seen == {bool}:
            return "BOOLEAN"
        if self._seen == {int}:
            return "BIGINT"
        return "JSON" if list in self._seen else "VARCHAR"


def _download(file: Path, records: Iterator[Mapping[str, Any]], name: str) -> dict[str, _Kind]:
    """Write the records as JSON lines; returns the columns in the order in which they came up."""
    columns: dict[str, _Kind] = {}
    try:
        with file.open("w", encoding="utf-8") as lines:
            for record in records:
                for column, value in record.items():
                    columns.setdefault(column, _Kind()).see(value)
                lines.write(json.dumps(record, ensure_ascii=False))
                lines.write("\n")
    except OSError as error:
        if not is_full(error):
            raise
        raise StagingError(
            f"input {name}: the disk is full at {file.parent.parent}; set TMPDIR to a larger one"
        ) from None
    return columns


class _Pages:
    """The pages of an endpoint."""

    def __init__(self, name: str, source: HttpInput, session: HttpSession, reading: Reading) -> None:
        self._name = name
        self._source = source
        self._session = session
        self._size = source.paging.size if source.paging else None
        self._pages = self._records = 0
        self._asked = {**source.params}
        if source.since is not None and (
            start := next((value for sign, value in reading.bounds if sign[0] == ">"), None)
        ):
            self._asked[source.since] = start

    def records(self) -> Iterator[Mapping[str, Any]]:
        """Every record of every page."""
        url: str | None = self._session.url(self._source.endpoint)
        asked: dict[str, Any] | None = {**self._asked, **self._first()}
        for _ in range(_MOST_PAGES):
            if url is None:
                return
            answer = self._get(url, asked)
            body = self._body(answer)
            found = self._found(body)
            yield from found
            self._pages += 1
            self._records += len(found)
            full = bool(found) and (self._size is None or len(found) >= self._size)
            url, asked = self._next(url, body, answer.links, full=full)
        raise SourceChangedError(f"input {self._name}: {self._source.endpoint} has no last page; look at paging")

    def _first(self) -> dict[str, Any]:
        paging = self._source.paging
        if paging is None:
            return {}
        sized = {paging.size_param: paging.size} if paging.size_param and paging.size else {}
        first = {"page": paging.start, "offset": 0}.get(paging.by)
        return sized if first is None else {**sized, paging.param: first}

    def _next(
        self, url: str, body: Any, links: Mapping[str, Any], *, full: bool
    ) -> tuple[str | None, dict[str, Any] | None]:
        """Where the next page is, and what to ask there; None after the last."""
        paging = self._source.paging
        if paging is None:
            return None, None
        if paging.by == "link":
            found = links.get("next", {}).get("url") if paging.next is None else _at(body, paging.next)
            return (self._own(urljoin(url, str(found))), None) if found else (None, None)
        if paging.by == "cursor":
            mark = _at(body, paging.next or "")
        else:
            mark = (paging.start + self._pages if paging.by == "page" else self._records) if full else None
        return (url, {**self._asked, **self._first(), paging.param: mark}) if mark is not None else (None, None)

    def _own(self, url: str) -> str:
        """A link's address; another host would be told this one's password."""
        if urlsplit(url).netloc != urlsplit(self._session.base_url).netloc:
            raise SourceChangedError(f"{self._place}: the next page is on another host, {urlsplit(url).netloc}")
        return url

    def _get(self, url: str, asked: dict[str, Any] | None) -> Any:
        import requests

        try:
            answer = self._session.get(url, params=asked, headers=dict(self._source.headers), timeout=_TIMEOUT)
        except requests.RequestException as error:
            raise SourceError(f"{self._place}: {type(error).__name__}: no answer that can be used") from None
        if answer.status_code in PASSING:
            raise SourceError(f"{self._place}: answered {answer.status_code} {answer.reason}, {TRIES} times")
        if answer.status_code >= 400:  # noqa: PLR2004 - RFC 9110, 15.5: the client's errors
            raise SourceChangedError(f"{self._place}: answered {answer.status_code} {answer.reason}")
        return answer

    def _body(self, answer: Any) -> Any:
        try:
            return json.loads(answer.content, parse_float=str)
        except ValueError:
            kind = answer.headers.get("Content-Type", "no content type")
            raise SourceChangedError(f"{self._place}: answered {kind}, which is no JSON") from None

    def _found(self, body: Any) -> list[Mapping[str, Any]]:
        records = _at(body, self._source.records) if self._source.records else body
        if records is None and self._source.records:
            records = []
        if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
            where = self._source.records or "the answer"
            raise SourceChangedError(f"{self._place}: {where} is no list of records; say where they are with records")
        return records

    @property
    def _place(self) -> str:
        return f"input {self._name}: connection {self._source.connection}: {self._source.endpoint}"


def _at(body: Any, path: str) -> Any:
    """What a dotted path leads to; None where it leads nowhere."""
    for part in path.split("."):
        body = body.get(part) if isinstance(body, dict) else None
    return body
