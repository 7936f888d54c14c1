from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gc_warm import LocalExecutor


@pytest.fixture
def one_worker() -> Iterator[LocalExecutor]:
    """An executor with a single fresh worker process."""
    from gc_warm import LocalExecutor

    with LocalExecutor(workers=1) as executor:
        yield executor
