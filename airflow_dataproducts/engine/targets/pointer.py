"""Which version of a location is the current one: a name that is switched in one step.

On a disk it is a symbolic link, switched by one rename; in object storage an object, replaced by a conditional write.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_dataproducts.engine.storage import s3_client
from airflow_dataproducts.exceptions import PublishError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataproducts.engine.storage import Place

_CURRENT_FILE = "_current.json"


def open_pointer(place: Place) -> LinkPointer | ObjectPointer:
    """The pointer of a location."""
    return LinkPointer(place) if place.is_local else ObjectPointer(place)


class LinkPointer:
    """The current version as a symbolic link on a disk."""

    def __init__(self, place: Place) -> None:
        self._link = Path(place.path)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Waits until no other process publishes here: a run that adds to a version must add to the newest."""
        folder = self._link.with_name(f"{self._link.name}.versions")
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def current(self) -> str | None:
        """The current version's name; None before the first."""
        return self._link.readlink().name if self._link.is_symlink() else None

    def switch(self, _seen: str | None, name: str) -> None:
        """Point at another version by one rename (POSIX rename(2): readers see the old or the new link).

        Raises:
            PublishError: the location is a folder that somebody else made.
        """
        if self._link.exists() and not self._link.is_symlink():
            raise PublishError(
                f"{self._link} is there already and is no published output; move it or choose another location"
            )
        temporary = self._link.with_name(f".{self._link.name}.{uuid.uuid4().hex[:8]}")
        temporary.symlink_to(Path(f"{self._link.name}.versions") / name)
        temporary.replace(self._link)
        _sync(self._link.parent)


class ObjectPointer:
    """The current version as an object whose replacement is conditional on what was seen (If-Match, If-None-Match)."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._bucket, _, key = place.path.partition("/")
        self._key = f"{key}/{_CURRENT_FILE}"
        self._tag: str | None = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Nobody waits in an object store: the conditional write finds out who came first."""
        yield

    def current(self) -> str | None:
        """The current version's name; None before the first."""
        from botocore.exceptions import ClientError

        try:
            found = s3_client(self._place).get_object(Bucket=self._bucket, Key=self._key)
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                return None
            raise
        self._tag = found["ETag"]
        return str(json.loads(found["Body"].read())["version"])

    def switch(self, seen: str | None, name: str) -> None:
        """Point at another version, unless somebody else did so since ``seen`` was read.

        Raises:
            PublishError: another run published meanwhile; trying again starts from its version.
        """
        from botocore.exceptions import ClientError

        condition = {"IfNoneMatch": "*"} if seen is None else {"IfMatch": self._tag}
        body = json.dumps({"version": name, "path": f"{self._place.uri}.versions/{name}"}).encode()
        try:
            s3_client(self._place).put_object(Bucket=self._bucket, Key=self._key, Body=body, **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] in {"PreconditionFailed", "412", "ConditionalRequestConflict"}:
                raise PublishError(f"{self._place.uri}: another run published meanwhile; trying again") from None
            raise


def _sync(folder: Path) -> None:
    """Make a rename survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
