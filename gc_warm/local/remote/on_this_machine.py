"""What a config needs so that its engine can run on this machine.

The module ``gc_warm.endpoint_config`` is handed to it: there may be no gc-warm to import.
"""

from __future__ import annotations

import os
import pathlib
import shutil
from typing import Any

# What a scheduler's provider and a local one have in common.
_PROVIDER_OPTIONS = ("init_blocks", "min_blocks", "max_blocks", "parallelism", "worker_init")
_LOCAL_LAUNCHERS = ("SimpleLauncher", "SingleNodeLauncher")


def load(endpoint_config: Any, settings: dict[str, Any]) -> Any:
    """Return the config, rendered, validated and built by the endpoint's own code.

    Raises:
        RuntimeError: It describes no engine, or one that cannot run here.
    """
    path, local = pathlib.Path(settings["endpoint_config"]), settings["local_provider"]
    if local and endpoint_config.is_program(path):
        raise RuntimeError("local_provider=True needs a config in YAML; this one is Python.")
    config = endpoint_config.load(
        path,
        settings["user_endpoint_config"],
        settings["user_runtime"],
        change=with_local_provider if local else None,
    )
    engine = getattr(config, "engine", None)
    if engine is None:
        raise RuntimeError("The config has no engine.")
    if local and _is_mpi(engine):
        _be_a_batch_job(settings["run_dir"], engine.executor.provider.nodes_per_block)
    require_programs(engine)
    return config


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
    """Refuse an engine whose tasks would wait for ever for want of what is to start them.

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
            raise RuntimeError(f"The config needs {name}, which is not installed here.")
