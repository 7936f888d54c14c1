"""A service where the SDK and the agent look for it, and endpoint folders."""

from collections.abc import Iterator

import pytest
from globus_compute_sdk.serialize import AllCodeStrategies, ComputeSerializer

from gc_warm.local.service.service import LocalService

TEMPLATES = {
    "threads": "engine: {type: ThreadPoolEngine, max_workers: {{ workers|default(2) }}}\n",
    # Spawned, not forked: see the contract suite's service-processes.
    "processes": """\
engine:
  type: ProcessPoolEngine
  max_workers: {{ workers|default(2) }}
  max_tasks_per_child: 100000
""",
    "htex": """\
engine:
  type: GlobusComputeEngine
  address: 127.0.0.1
  max_workers_per_node: {{ workers|default(1) }}
  provider: {type: LocalProvider, init_blocks: 1, min_blocks: 1, max_blocks: 1}
""",
}


@pytest.fixture
def port_5000(port_5000_lock) -> Iterator[None]:
    """Nobody else's tests use the port that the SDK knows; they may, between these."""
    with port_5000_lock:
        yield


@pytest.fixture
def service(port_5000) -> Iterator[LocalService]:
    with LocalService() as running:
        yield running


@pytest.fixture
def folder(tmp_path):
    """Make an endpoint's folder."""

    def make(template: str, *, config: str = "", schema: str | None = None):
        path = tmp_path / "ep"
        path.mkdir()
        (path / "config.yaml").write_text(f"heartbeat_period: 5\n{config}")
        text = f"heartbeat_period: 5\n{TEMPLATES.get(template, template)}"
        (path / "user_config_template.yaml.j2").write_text(text)
        if schema:
            (path / "user_config_schema.json").write_text(schema)
        return path

    return make


@pytest.fixture
def connect(service):
    """Make executors that send functions as text: workers have no tests to import them from."""

    def make(endpoint_id, **options):
        executor = service.executor(endpoint_id, **options)
        executor.serializer = ComputeSerializer(strategy_code=AllCodeStrategies())
        return executor

    return make
