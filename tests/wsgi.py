"""Ask a WSGI app for a page, without a server."""

from __future__ import annotations

from io import BytesIO
from typing import Any


def get(
    app: Any, path: str, host: str = "127.0.0.1:8080", *, method: str = "GET", **headers: str
) -> tuple[int, bytes]:
    """Ask a WSGI app for a page; return its status and body.

    Args:
        app: The app.
        path: Of the page.
        host: What the request says it asks.
        method: Such as ``"DELETE"``.
        headers: Others, as WSGI names them, such as ``HTTP_ORIGIN``.
    """
    statuses: list[str] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> None:  # noqa: ARG001 - WSGI's signature
        statuses.append(status)

    environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path, "HTTP_HOST": host}
    environ |= {"QUERY_STRING": "", "CONTENT_LENGTH": "0", "wsgi.input": BytesIO(), **headers}
    environ |= {"SERVER_NAME": "127.0.0.1", "SERVER_PORT": "8080", "wsgi.url_scheme": "http"}
    parts = app(environ, start_response)
    body = b"".join(parts)
    if hasattr(parts, "close"):
        parts.close()
    return int(statuses[0].split()[0]), body
