"""Folders on a disk or in object storage, through one interface."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_dataproducts.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyarrow.fs import FileSystem

    from airflow_dataproducts.engine.connections import ConnectionInfo

S3_TRIES = 10
"""Of one request, by every client: a store that fails now and then is no reason to fail a task."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Place:
    """A folder or file.

    Attributes:
        uri: absolute path or URI, as messages show it.
        filesystem: pyarrow's file system that reaches it.
        path: the path within that file system.
        options: credentials of an object store in delta-rs's names (AWS_ACCESS_KEY_ID, ...); empty for a disk.
    """

    uri: str
    filesystem: FileSystem
    path: str
    options: Mapping[str, str]

    def __truediv__(self, name: str) -> Place:
        return Place(f"{self.uri.rstrip('/')}/{name}", self.filesystem, f"{self.path.rstrip('/')}/{name}", self.options)

    @property
    def is_local(self) -> bool:
        """Whether it is on a disk that this machine mounts."""
        return "://" not in self.uri

    def beside(self, suffix: str) -> Place:
        """The folder of the same name with ``suffix`` after it."""
        return Place(
            f"{self.uri.rstrip('/')}{suffix}", self.filesystem, f"{self.path.rstrip('/')}{suffix}", self.options
        )

    def make(self) -> Place:
        """Create the folder with all above it; a disk needs that, an object store does not."""
        if self.is_local:
            Path(self.path).mkdir(parents=True, exist_ok=True)
        return self

    def write_text(self, text: str) -> None:
        """Write a file whole, with the folders above it; over one that is there."""
        parent = self.path.rpartition("/")[0]
        if self.is_local:
            Path(parent).mkdir(parents=True, exist_ok=True)
        with self.filesystem.open_output_stream(self.path) as stream:
            stream.write(text.encode())

    def read_text(self) -> str | None:
        """A file's text; None where there is no such file."""
        try:
            with self.filesystem.open_input_stream(self.path) as stream:
                return bytes(stream.read()).decode()
        except FileNotFoundError:
            return None

    def remove(self) -> None:
        """Delete the folder and all in it, if it is there."""
        import pyarrow.fs as pafs

        if self.filesystem.get_file_info(self.path).type != pafs.FileType.NotFound:
            self.filesystem.delete_dir(self.path)


def open_place(uri: str, connection: ConnectionInfo | None = None) -> Place:
    """The place a path, ``file://`` or ``s3://`` URI names.

    Args:
        uri: an absolute path or URI; a relative path is taken from the working folder.
        connection: the Airflow connection (type aws) with the credentials; None for the machine's own.

    Raises:
        ConfigurationError: the scheme is not supported.
    """
    import pyarrow.fs as pafs

    parts = urlsplit(uri)
    if parts.scheme in {"", "file"}:
        path = str(Path(parts.path if parts.scheme else uri).absolute())
        return Place(path, pafs.LocalFileSystem(), path, {})
    if parts.scheme in {"s3", "s3a"}:
        options = s3_options(connection)
        path = f"{parts.netloc}{parts.path}".rstrip("/")
        return Place(f"s3://{path}", _s3_filesystem(options), path, options)
    raise ConfigurationError(f"{uri}: storage of kind {parts.scheme!r} is not supported; use a path or s3://")


def is_full(error: OSError) -> bool:
    """Whether an error means that a disk or quota is full."""
    return error.errno in _FULL


def s3_options(connection: ConnectionInfo | None) -> dict[str, str]:
    """Credentials in delta-rs's names: from the connection, else by boto3's chain (variables, profile, role)."""
    import boto3

    connection = connection.for_storage() if connection else None
    extra: Mapping[str, Any] = connection.extra if connection else {}
    if connection and connection.login:
        session = boto3.Session(connection.login, connection.password, extra.get("aws_session_token"))
    else:
        session = boto3.Session(profile_name=extra.get("profile_name"))
    found = session.get_credentials()
    frozen = found.get_frozen_credentials() if found else None
    endpoint = extra.get("endpoint_url") or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    options = {
        "AWS_ACCESS_KEY_ID": frozen.access_key if frozen else None,
        "AWS_SECRET_ACCESS_KEY": frozen.secret_key if frozen else None,
        "AWS_SESSION_TOKEN": frozen.token if frozen else None,
        "AWS_REGION": extra.get("region_name") or session.region_name or "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true" if str(endpoint).startswith("http://") else None,
    }
    return {key: value for key, value in options.items() if value}


def _s3_filesystem(options: Mapping[str, str]) -> FileSystem:
    import pyarrow.fs as pafs

    endpoint = urlsplit(options.get("AWS_ENDPOINT_URL", ""))
    return pafs.S3FileSystem(
        access_key=options.get("AWS_ACCESS_KEY_ID"),
        secret_key=options.get("AWS_SECRET_ACCESS_KEY"),
        session_token=options.get("AWS_SESSION_TOKEN"),
        region=options["AWS_REGION"],
        endpoint_override=endpoint.netloc or None,
        scheme=endpoint.scheme or "https",
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=S3_TRIES),
        connect_timeout=10,
        request_timeout=30,
    )


def s3_client(place: Place) -> Any:
    """A boto3 client with the place's credentials, for what pyarrow cannot say: conditional writes."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        aws_access_key_id=place.options.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=place.options.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=place.options.get("AWS_SESSION_TOKEN"),
        region_name=place.options["AWS_REGION"],
        endpoint_url=place.options.get("AWS_ENDPOINT_URL"),
        config=Config(
            retries={"mode": "standard", "total_max_attempts": S3_TRIES}, connect_timeout=10, read_timeout=30
        ),
    )
