"""Render and load endpoint configs with the endpoint's own code.

The only module of the checks that touches names that Globus Compute does not document;
tests/contract/test_endpoint_names.py fails when a new release moves them.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import os
import pwd
import uuid
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from globus_compute_endpoint.endpoint.config import CoreEndpointConfig, UserEndpointConfig
from globus_compute_endpoint.endpoint.config.utils import (
    get_config,
    load_config_yaml,
    load_user_config_schema,
    load_user_config_template,
    render_config_user_template,
)
from globus_compute_endpoint.endpoint.endpoint import Endpoint
from globus_compute_endpoint.endpoint.identity_mapper import MappedPosixIdentity
from globus_compute_endpoint.engines import GlobusComputeEngine, ProcessPoolEngine
from globus_compute_sdk.sdk.batch import create_user_runtime
from parsl.jobs.job_status_poller import JobStatusPoller
from parsl.jobs.strategy import Strategy

from gc_warm.checks.harmless import REMEMBERED, Submitted

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CoreEndpointConfig",
    "UserEndpointConfig",
    "describe",
    "load_folder",
    "load_text",
    "rehearse",
    "render",
    "runtime",
    "template_paths",
]


def load_folder(folder: Path) -> CoreEndpointConfig | UserEndpointConfig:
    """Load a folder's ``config.py`` or ``config.yaml``, as the endpoint does when it starts."""
    return get_config(folder)


def load_text(text: str) -> CoreEndpointConfig | UserEndpointConfig:
    """Load a config from YAML, with its engine and provider."""
    return load_config_yaml(text)


def template_paths(folder: Path, core: CoreEndpointConfig) -> tuple[Path, Path]:
    """Say which template and which schema belong to an endpoint."""
    return (
        Path(Endpoint.user_config_template_path(folder, core)),
        Path(Endpoint.user_config_schema_path(folder, core)),
    )


def render(
    template: Path,
    schema: Path | None,
    options: Mapping[str, Any],
    *,
    core: CoreEndpointConfig | None = None,
) -> str:
    """Render a template for one user, as the endpoint does for each new set of options.

    Args:
        template: The template's file.
        schema: The schema's file; options are not checked if there is none.
        options: What the user gives as ``user_endpoint_config``.
        core: The endpoint's own config.
    """
    me = MappedPosixIdentity(
        local_user_record=pwd.getpwuid(os.getuid()),
        matched_identity=uuid.UUID(int=0),
        globus_identity_candidates=[],
    )
    return render_config_user_template(
        core or CoreEndpointConfig(),
        load_user_config_template(template),
        template,
        me,
        load_user_config_schema(schema) if schema else None,
        dict(options),
        json.loads(runtime()),
    )


@functools.cache
def runtime() -> str:
    """Return what this machine would tell of itself as a client, in JSON."""
    return json.dumps(asdict(create_user_runtime()))


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
