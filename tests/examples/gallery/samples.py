"""Queries over one connection per worker, opened again when it has failed."""

import contextlib
import sqlite3
from collections.abc import Iterator

from gc_warm import self_contained, warm


@warm(idle_timeout=600)
def connection(path: str) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, check_same_thread=False)) as opened:
        yield opened  # closed when it is released, and when the worker ends


@self_contained
def measure(path: str, sample: str) -> list[float]:
    query = "select value from measurements where sample = ?"
    try:
        rows = connection(path).execute(query, (sample,)).fetchall()
    except sqlite3.DatabaseError:  # the server was restarted, or closed an idle connection
        connection.invalidate(path)
        rows = connection(path).execute(query, (sample,)).fetchall()
    return [value for (value,) in rows]
