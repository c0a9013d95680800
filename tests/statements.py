"""How many statements a database is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy


@contextmanager
def counted(engine: sqlalchemy.Engine | None) -> Iterator[list[str]]:
    """Give a list that takes each statement which a database is asked meanwhile."""
    assert engine is not None
    asked: list[str] = []

    def take(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    sqlalchemy.event.listen(engine, "before_cursor_execute", take)
    try:
        yield asked
    finally:
        sqlalchemy.event.remove(engine, "before_cursor_execute", take)
