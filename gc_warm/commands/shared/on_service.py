"""A real endpoint on a local service, both started for one command."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gc_warm.errors import GcWarmError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from globus_compute_sdk import Executor

    from gc_warm.local.service.service import LocalService


@contextmanager
def executor_on_service(
    config: str, options: dict[str, Any], *, amqp: str | None = None
) -> Iterator[Executor]:
    """Yield an SDK executor whose tasks a real endpoint runs.

    Args:
        config: The endpoint's folder, or the name of a sample.
        options: The ``user_endpoint_config``.
        amqp: The URL of a RabbitMQ to use instead of the embedded broker.

    Raises:
        UsageError: There is no such config.
        GcWarmError: The service or the endpoint does not start, or something is not installed.
    """
    from gc_warm.client.abandoning import abandon

    service = local_service(amqp=amqp)
    from gc_warm.local.service.agent import find_config  # needs what gc-warm[service] installs

    folder = find_config(config, Path.cwd())
    with service:
        endpoint = service.start_endpoint(folder)
        executor: Any = service.executor(endpoint.id, user_endpoint_config=options)
        try:
            yield executor
        finally:
            abandon(executor)


def local_service(**options: Any) -> LocalService:
    """Return a service that has not been started.

    Raises:
        GcWarmError: What it needs is not installed.
    """
    try:
        from gc_warm.local.service.service import LocalService
    except ImportError as error:
        raise GcWarmError(
            f"{error.name} is missing. The service needs it: pip install 'gc-warm[service]'"
        ) from error
    return LocalService(**options)
