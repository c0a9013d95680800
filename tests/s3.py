"""A server of the S3 protocol for tests, and what is needed to reach it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

import pytest

SECRET = "geheim"  # noqa: S105 - of nobody
"""The secret key in addresses: it may be seen nowhere."""


def s3_files(host: str) -> set[tuple[str, str]]:
    """Return the names of all files in the bucket, each with the digest of what it holds."""
    with urlopen(f"http://{host}/bucket?list-type=2") as answer:
        found = re.findall("<Key>([^<]*[^/<])</Key>.*?<ETag>(.*?)</ETag>", answer.read().decode(), re.DOTALL)
    return {*found}


@contextmanager
def s3_server() -> Iterator[str]:
    """Run a server with a bucket named ``bucket`` and yield its ``HOST:PORT``; without moto, skip."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    # It would tell each of a thousand requests beside a failure.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    host = "{}:{}".format(*server.get_host_and_port())
    try:
        urlopen(Request(f"http://{host}/bucket", method="PUT")).close()
        yield host
    finally:
        server.stop()


def s3_folder(host: str, folder: str, *, bucket: str = "bucket") -> str:
    """Return the address of a folder that says all that there is to know; a server lets any keys in."""
    return f"s3://me:{SECRET}@{bucket}/{folder}?endpoint_override={host}&scheme=http"
