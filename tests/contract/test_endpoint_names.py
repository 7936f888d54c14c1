"""What Globus Compute and Parsl do not document, and the checks rely on, is still there."""

import inspect
import sys

import parsl.providers
import pytest
from globus_compute_endpoint.endpoint.config import UserEndpointConfig
from globus_compute_endpoint.engines import GlobusComputeEngine, ProcessPoolEngine
from parsl.executors import HighThroughputExecutor
from parsl.jobs.job_status_poller import JobStatusPoller
from parsl.jobs.states import JobState
from parsl.jobs.strategy import Strategy

from gc_warm import endpoint_config
from gc_warm.checks.engine import describe
from gc_warm.checks.harmless import REMEMBERED
from gc_warm.checks.rules import blocks, starting

PROVIDERS = {
    name: kind
    for name in dir(parsl.providers)
    if inspect.isclass(kind := getattr(parsl.providers, name)) and name.endswith("Provider")
}


def default(kind, name):
    return inspect.signature(kind.__init__).parameters[name].default


@pytest.mark.parametrize("name", PROVIDERS)
def test_defaults_of_providers(name):
    kind = PROVIDERS[name]
    assert 0 == default(kind, "min_blocks")
    assert blocks.INIT_BLOCKS.get(name, 1) == default(kind, "init_blocks")
    assert blocks.MAX_BLOCKS.get(name, 1) == default(kind, "max_blocks")
    if "walltime" in inspect.signature(kind.__init__).parameters:
        assert blocks.WALLTIMES[name] == default(kind, "walltime")


def test_defaults_of_engine_and_endpoint():
    engine = GlobusComputeEngine(address="127.0.0.1")
    assert blocks.MAX_IDLETIME == engine._job_status_kwargs["max_idletime"]
    assert "simple" == engine._job_status_kwargs["strategy"]
    assert blocks.HEARTBEAT_PERIOD == default(HighThroughputExecutor, "heartbeat_period")
    assert blocks.HEARTBEAT_THRESHOLD == default(HighThroughputExecutor, "heartbeat_threshold")
    assert default(HighThroughputExecutor, "block_error_handler") is True
    config = UserEndpointConfig()
    assert blocks.IDLE_HARD == config.idle_heartbeats_hard
    assert 0 == config.idle_heartbeats_soft
    assert blocks.HEARTBEAT_PERIOD == config.heartbeat_period


def test_strategies():
    known = Strategy(strategy="none", max_idletime=1).strategies
    assert {"none", "simple", "htex_auto_scale", None} == set(known)


def test_what_polls_blocks():
    known = inspect.signature(JobStatusPoller).parameters
    assert starting.POLLED.keys() == known.keys()


def test_what_counts_as_a_failure():
    """A block that had worked, and whose end a provider reports as a failure: GW105's table."""
    for name in ("slurm", "pbspro", "torque", "lsf", "condor", "kubernetes"):
        [provider] = [kind for each, kind in PROVIDERS.items() if each[:-8].lower() == name]
        tables = vars(sys.modules[provider.__module__])
        failed = {
            state
            for table in ("translate_table", "sacct_translate_table")
            for state, means in tables.get(table, {}).items()
            if means is JobState.FAILED
        }
        assert FAILED[name] == failed
        assert (provider.__name__ in blocks.FAILURES) is (name in {"lsf", "condor", "kubernetes"})


FAILED = {
    # Preempted, cancelled, and at the end of its walltime are others.
    "slurm": {"FAILED", "NODE_FAIL", "BOOT_FAIL", "REVOKED", "OUT_OF_MEMORY"},
    "pbspro": set(),
    "torque": set(),
    "lsf": {"EXIT"},
    "condor": {"5", "6"},
    "kubernetes": {"Failed"},
}


def test_every_provider_is_harmless_or_asks_a_scheduler():
    """A new provider may act when it is made: look at it, and say which it is."""
    assert {*REMEMBERED, *blocks.BATCH, "LocalProvider"} == set(PROVIDERS)


def test_what_is_described_loads_as_the_same():
    text = (
        "engine: {type: GlobusComputeEngine, address: 127.0.0.1, max_workers_per_node: 3,"
        " block_error_handler: false, job_status_kwargs: {max_idletime: 7},"
        " provider: {type: LocalProvider, min_blocks: 1}}"
    )
    engine = describe(endpoint_config.load_text(text))["engine"]
    assert (3, False, 7) == (
        engine["max_workers_per_node"],
        engine["block_error_handler"],
        engine["job_status_kwargs"]["max_idletime"],
    )
    assert ("LocalProvider", 1) == (engine["provider"]["type"], engine["provider"]["min_blocks"])
    assert "SingleNodeLauncher" == engine["provider"]["launcher"]["type"]


def test_process_pool_keeps_its_options():
    engine = ProcessPoolEngine(max_workers=2, max_tasks_per_child=9)
    config = UserEndpointConfig(engine=engine)
    described = describe(config)["engine"]
    assert (2, 9) == (described["max_workers"], described["max_tasks_per_child"])
