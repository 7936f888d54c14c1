from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gc_warm import LocalExecutor, Workers


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    """Workers of which each executor gets new ones, forked from the same process."""
    from gc_warm import Workers

    with Workers(1) as workers:
        yield workers


@pytest.fixture
def one_worker(workers: Workers) -> Iterator[LocalExecutor]:
    """An executor with a single fresh worker process."""
    from gc_warm import LocalExecutor

    with LocalExecutor(workers=workers) as executor:
        yield executor
