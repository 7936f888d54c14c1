"""What a loaded config holds, and whether its engine could start and submit a block.

The only module of the checks that uses private names of Globus Compute and Parsl;
tests/contract/test_endpoint_names.py fails when a new release moves them.
"""

from __future__ import annotations

import contextlib
import inspect
import json
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

from globus_compute_endpoint.engines import GlobusComputeEngine, ProcessPoolEngine
from parsl.jobs.job_status_poller import JobStatusPoller
from parsl.jobs.strategy import Strategy

from gc_warm.checks.harmless import REMEMBERED, Submitted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from globus_compute_endpoint.endpoint.config import CoreEndpointConfig, UserEndpointConfig


def describe(config: CoreEndpointConfig | UserEndpointConfig) -> dict[str, Any]:
    """Turn a loaded config into the plain data that would load as the same in YAML."""
    settings = _settings(config)
    settings.pop("type")
    engine = getattr(config, "engine", None)
    if engine is not None:
        settings["engine"] = _engine(engine)
    return settings


def rehearse(config: CoreEndpointConfig | UserEndpointConfig, folder: str) -> None:
    """Go through what starting an engine and submitting its first block takes, up to the scheduler.

    Only in a process that `gc_warm.checks.harmless` has disarmed.

    Args:
        config: What was loaded.
        folder: Where the block's script may be written.

    Raises:
        Exception: Whatever would keep the engine from starting, or the block from being submitted.
    """
    engine = getattr(config, "engine", None)
    if isinstance(engine, ProcessPoolEngine):
        inspect.signature(ProcessPoolExecutor).bind(**engine._executor_kwargs)  # noqa: SLF001
    if not isinstance(engine, GlobusComputeEngine):
        return
    polling = engine._job_status_kwargs  # noqa: SLF001
    inspect.signature(JobStatusPoller).bind(**polling)
    Strategy(strategy=polling["strategy"], max_idletime=polling["max_idletime"])
    executor: Any = engine.executor
    executor.run_dir = engine.run_dir = executor.provider.script_dir = folder
    executor.logconf_path = None
    if engine.container_type:
        executor.launch_cmd = engine.containerized_launch_cmd()
    executor.initialize_scaling()
    if type(executor.provider).__name__ not in REMEMBERED:
        with contextlib.suppress(Submitted):
            executor.provider.submit(executor._get_launch_command("0"), 1, "block-0")  # noqa: SLF001


def _engine(engine: Any) -> dict[str, Any]:
    if isinstance(engine, ProcessPoolEngine):
        return {"type": type(engine).__name__, **_plain(engine._executor_kwargs)}  # noqa: SLF001
    if not isinstance(engine, GlobusComputeEngine):
        return {"type": type(engine).__name__}
    executor = engine.executor
    settings = {
        **_settings(executor),
        **_settings(engine),
        "job_status_kwargs": _plain(engine._job_status_kwargs),  # noqa: SLF001
        "block_error_handler": executor.block_error_handler.__name__ != "noop_error_handler",
        "provider": _settings(executor.provider),
    }
    if launcher := getattr(executor.provider, "launcher", None):
        settings["provider"]["launcher"] = _settings(launcher)
    return settings


def _settings(thing: Any) -> dict[str, Any]:
    """Return those attributes of an object that its constructor takes, where they are plain."""
    names = {
        name
        for kind in type(thing).__mro__
        if kind is not object
        for name in inspect.signature(kind.__init__).parameters  # type: ignore[misc]
    }
    found = {name: getattr(thing, name) for name in names - {"self"} if hasattr(thing, name)}
    return {"type": type(thing).__name__, **_plain(found)}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    plain = {}
    for name, value in values.items():
        kept = list(value) if isinstance(value, tuple | set) else value
        try:
            json.dumps(kept, allow_nan=False)
        except (TypeError, ValueError):
            continue
        plain[name] = kept
    return plain
