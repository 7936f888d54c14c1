"""Tasks through the SDK, the local service and a real endpoint: by our broker, and by RabbitMQ."""

from __future__ import annotations

import runpy
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Ratio
from gc_warm.local.service.service import LocalService

if TYPE_CHECKING:
    from collections.abc import Iterator

TASKS = 10_000
ALONE = 7
NODE = Path(__file__).parents[1] / "tests/integration/conftest.py"
OURS, KEPT, THEIRS = "embedded", "embedded, with a state file", "RabbitMQ"


def run() -> list[Ratio]:
    """Measure each broker once: 10,000 tasks at once, then some alone."""
    rabbitmq = runpy.run_path(str(NODE))
    if not rabbitmq["RABBITMQ"].exists():
        print("RabbitMQ is missing: apt-get install rabbitmq-server", file=sys.stderr)
        return []
    rates, delays = {}, {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "node").mkdir()
        node = stack.enter_context(rabbitmq["node"](folder / "node"))
        for name, options in {
            OURS: {},
            KEPT: {"state": folder / "state.db"},
            THEIRS: {"amqp": node.url},
        }.items():
            with _executor(folder, options) as executor:
                executor.submit(pow, 2, 2).result()
                rates[name] = _rate(executor)
                delays[name] = _delay(executor)
    lines = []
    for name in (OURS, KEPT):
        lines.append(Ratio(f"10,000 tasks, {name}", rates[name], rates[THEIRS], THEIRS, "tasks/s"))
        lines.append(Ratio(f"a task alone, {name}", delays[name], delays[THEIRS], THEIRS, "s"))
    return lines


@contextmanager
def _executor(folder: Path, options: dict[str, Any]) -> Iterator[Any]:
    config = folder / "endpoint"
    config.mkdir(exist_ok=True)
    (config / "config.yaml").write_text("")
    (config / "user_config_template.yaml.j2").write_text("engine: {type: ThreadPoolEngine}")
    with LocalService(**options) as service:
        endpoint = service.start_endpoint(config)
        executor: Any = service.executor(endpoint.id)
        # As fast as the service takes it: by default, the SDK throttles itself.
        executor.batch_size, executor.api_burst_limit = 2500, 1000
        try:
            yield executor
        finally:
            executor.shutdown()


def _rate(executor: Any) -> float:
    begin = time.perf_counter()
    futures = [executor.submit(pow, number, 2) for number in range(TASKS)]
    for future in futures:
        future.result()
    return TASKS / (time.perf_counter() - begin)


def _delay(executor: Any) -> float:
    """Return the median seconds of a task alone; SDK and agent look every half second."""
    seconds = []
    for _ in range(ALONE):
        begin = time.perf_counter()
        executor.submit(pow, 2, 2).result()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)
