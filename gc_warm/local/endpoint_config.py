"""An endpoint's config, read by the endpoint's own code, in the process that plays the endpoint.

As host.py, which loads it by its path, it needs the standard library and
``globus_compute_endpoint``.
"""

from __future__ import annotations

import os
import pathlib
import pwd
import shutil
import uuid
from typing import Any

# What a scheduler's provider and a local one have in common.
_PROVIDER_OPTIONS = ("init_blocks", "min_blocks", "max_blocks", "parallelism", "worker_init")
_LOCAL_LAUNCHERS = ("SimpleLauncher", "SingleNodeLauncher")


def read(settings: dict[str, Any]) -> Any:
    """Return the config, rendered, validated and built by the endpoint's own code.

    Args:
        settings: Where it is, and what it is rendered with.

    Raises:
        RuntimeError: It describes no engine, or one that cannot run here.
    """
    config = _build(settings)
    if getattr(config, "engine", None) is None:
        raise RuntimeError("The config has no engine.")
    require_programs(config.engine)
    return config


def _build(settings: dict[str, Any]) -> Any:
    from globus_compute_endpoint.endpoint.config.utils import get_config, load_config_yaml

    path = pathlib.Path(settings["endpoint_config"])
    local = settings["local_provider"]
    if (path / "config.py").exists():
        path = path / "config.py"
    if path.suffix == ".py":
        if local:
            raise RuntimeError("local_provider=True needs a config in YAML; this one is Python.")
        return get_config(path.parent)
    text = _text(path, settings)
    if not local:
        return load_config_yaml(text)
    config: Any = load_config_yaml(with_local_provider(text))
    if _is_mpi(config.engine):
        _be_a_batch_job(settings["run_dir"], config.engine.executor.provider.nodes_per_block)
    return config


def _text(path: pathlib.Path, settings: dict[str, Any]) -> str:
    import yaml
    from globus_compute_endpoint.endpoint.config import CoreEndpointConfig
    from globus_compute_endpoint.endpoint.config.utils import (
        load_config_yaml,
        load_user_config_schema,
        load_user_config_template,
        render_config_user_template,
    )
    from globus_compute_endpoint.endpoint.endpoint import Endpoint
    from globus_compute_endpoint.endpoint.identity_mapper import MappedPosixIdentity

    folder = path
    parent: Any = CoreEndpointConfig()
    if path.is_dir():
        plain = path / "config.yaml"
        text = plain.read_text() if plain.exists() else ""
        if "engine" in (yaml.safe_load(text) or {}):
            return text  # an endpoint that renders nothing
        parent = load_config_yaml(text)
        template = Endpoint.user_config_template_path(path, parent)
        schema = Endpoint.user_config_schema_path(path, parent)
    else:
        folder = path.parent
        template, schema = path, folder / "user_config_schema.json"
    _take_environment(folder / "user_environment.yaml")
    rendered: str = render_config_user_template(
        parent_config=parent,
        user_config_template=load_user_config_template(template),
        user_config_template_path=template,
        mapped_identity=MappedPosixIdentity(
            local_user_record=pwd.getpwuid(os.getuid()),
            matched_identity=uuid.UUID(int=0),
            globus_identity_candidates=[],
        ),
        user_config_schema=load_user_config_schema(schema),
        user_opts=settings["user_endpoint_config"],
        user_runtime=settings["user_runtime"],
    )
    return rendered


def _take_environment(path: pathlib.Path) -> None:
    import yaml

    if path.exists():
        found = yaml.safe_load(path.read_text()) or {}
        os.environ.update({name: str(value) for name, value in found.items()})


def with_local_provider(text: str) -> str:
    """Swap a config's provider for one that starts its blocks on this machine."""
    import yaml

    config = yaml.safe_load(text)
    engine = config.get("engine") or {}
    if (provider := engine.get("provider")) is not None:
        engine.pop("cpu_affinity", None)  # it names threads of the cluster's nodes
        local = {name: provider[name] for name in _PROVIDER_OPTIONS if name in provider}
        if (provider.get("launcher") or {}).get("type") in _LOCAL_LAUNCHERS:
            local["launcher"] = provider["launcher"]
        engine["provider"] = {"type": "LocalProvider", **local}
        engine["address"] = "127.0.0.1"  # a cluster's network is not here
        engine["encrypted"] = True  # but other users of this machine are
    return str(yaml.safe_dump(config))


def _is_mpi(engine: Any) -> bool:
    return bool(getattr(getattr(engine, "executor", None), "enable_mpi_mode", False))


def _be_a_batch_job(run_dir: str, nodes: int) -> None:
    """List this machine as a batch job's nodes, where Parsl's MPI executor looks for them."""
    path = pathlib.Path(run_dir, "nodes")
    path.write_text("localhost\n" * nodes)
    os.environ["PBS_NODEFILE"] = str(path)


def require_programs(engine: Any) -> None:
    """Refuse an engine whose tasks would wait for ever, as what is to start them is missing.

    Raises:
        RuntimeError: It is missing, and ``worker_init`` does not bring it.
    """
    executor = getattr(engine, "executor", None)
    if getattr(getattr(executor, "provider", None), "worker_init", None):
        return
    wanted = [getattr(engine, "container_type", None)]
    if _is_mpi(engine):
        wanted.append(engine.executor.mpi_launcher)
    for name in wanted:
        if name not in {None, "custom"} and shutil.which(name) is None:
            raise RuntimeError(f"The config wants {name}, which is not installed here.")
