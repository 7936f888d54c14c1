"""Render and load an endpoint's config with the endpoint's own code.

It imports nothing of gc-warm, and the endpoint's code on use: what plays an endpoint for
`LocalExecutor` loads it by its path, in a Python that may not have gc-warm. Globus Compute does not
document the names that it uses; tests/contract/test_endpoint_names.py fails when they move.
"""

from __future__ import annotations

import json
import os
import pathlib
import pwd
import uuid
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from globus_compute_endpoint.endpoint.config import CoreEndpointConfig, UserEndpointConfig

TEMPLATES = ("user_config_template.yaml.j2", "user_config_template.yaml")
SCHEMA = "user_config_schema.json"
ENVIRONMENT = "user_environment.yaml"


def load(
    path: pathlib.Path,
    options: Mapping[str, Any],
    runtime: Mapping[str, Any] | None = None,
    *,
    change: Callable[[str], str] | None = None,
) -> CoreEndpointConfig | UserEndpointConfig:
    """Load what a user endpoint runs, from its folder, its template or its config file.

    What the folder's ``user_environment.yaml`` says is put into this process's environment.

    Args:
        path: The folder or file.
        options: What the user gives as ``user_endpoint_config``.
        runtime: What the client tells of itself; None for this Python's.
        change: Returns the YAML to load instead of what was rendered.

    Raises:
        Exception: Whatever the endpoint's code raises for what it refuses.
    """
    if is_program(path):
        return load_folder(path if path.is_dir() else path.parent)
    text = _rendered(path, options, runtime)
    return load_text(change(text) if change else text)


def is_program(path: pathlib.Path) -> bool:
    """Return whether the config at a path is a ``config.py``."""
    return path.suffix == ".py" or (path / "config.py").exists()


def load_folder(folder: pathlib.Path) -> CoreEndpointConfig | UserEndpointConfig:
    """Load a folder's ``config.py`` or ``config.yaml``, as the endpoint does when it starts."""
    from globus_compute_endpoint.endpoint.config.utils import get_config

    return get_config(folder)


def load_text(text: str) -> CoreEndpointConfig | UserEndpointConfig:
    """Load a config from YAML, with its engine and provider."""
    from globus_compute_endpoint.endpoint.config.utils import load_config_yaml

    return load_config_yaml(text)


def _rendered(
    path: pathlib.Path, options: Mapping[str, Any], runtime: Mapping[str, Any] | None
) -> str:
    import yaml
    from globus_compute_endpoint.endpoint.endpoint import Endpoint

    folder, template, schema = path.parent, path, path.with_name(SCHEMA)
    core: Any = None
    if path.is_dir():
        plain = path / "config.yaml"
        text = plain.read_text() if plain.exists() else ""
        if "engine" in (yaml.safe_load(text) or {}):
            return text  # an endpoint that renders nothing
        folder, core = path, load_text(text)
        template = pathlib.Path(Endpoint.user_config_template_path(path, core))
        schema = pathlib.Path(Endpoint.user_config_schema_path(path, core))
    _take_environment(folder / ENVIRONMENT)
    return render(template, schema, options, core=core, runtime=runtime)


def _take_environment(path: pathlib.Path) -> None:
    import yaml

    if path.exists():
        found = yaml.safe_load(path.read_text()) or {}
        os.environ.update({name: str(value) for name, value in found.items()})


def render(
    template: pathlib.Path,
    schema: pathlib.Path | None,
    options: Mapping[str, Any],
    *,
    core: CoreEndpointConfig | None = None,
    runtime: Mapping[str, Any] | None = None,
) -> str:
    """Render a template for one user, as the endpoint does for each new set of options.

    Args:
        template: The template's file.
        schema: The schema's file, which need not exist; None checks no options.
        options: What the user gives as ``user_endpoint_config``.
        core: The endpoint's own config.
        runtime: What the client tells of itself; None for this Python's.
    """
    from globus_compute_endpoint.endpoint.config import CoreEndpointConfig
    from globus_compute_endpoint.endpoint.config.utils import (
        load_user_config_schema,
        load_user_config_template,
        render_config_user_template,
    )
    from globus_compute_endpoint.endpoint.identity_mapper import MappedPosixIdentity

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
        dict(own_runtime() if runtime is None else runtime),
    )


def own_runtime() -> dict[str, Any]:
    """Return what this Python tells of itself as a client."""
    from globus_compute_sdk.sdk.batch import create_user_runtime

    runtime: dict[str, Any] = json.loads(json.dumps(asdict(create_user_runtime())))
    return runtime
