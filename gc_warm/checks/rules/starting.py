"""Rules about configs that load, and never run a task: no block, no worker, or no node of many."""

from __future__ import annotations

import re

from gc_warm.checks.rules.blocks import (
    LIMITED,
    POLLING,
    PROVIDER,
    init_blocks,
    max_blocks,
    strategy,
    walltime_seconds,
)
from gc_warm.checks.rules.rule import Settings, Severity, Trouble, Troubles, is_number, rule
from gc_warm.checks.rules.workers import WORKERS

STRATEGIES = ("simple", "htex_auto_scale", "none")
# What polls blocks, and of which type; a contract test compares.
POLLED = {"strategy": str, "max_idletime": (int, float), "strategy_period": (int, float)}
AFFINITIES = ("none", "block", "block-reverse", "alternating")
_RANKS = re.compile(r"list(?::\d{1,4}(?:-\d{1,4})?(?:,\d{1,4}(?:-\d{1,4})?)*)+")
AFFINITY = ("engine", "cpu_affinity")
ENCRYPTED = ("engine", "encrypted")
# Which start workers on the first node only.
ONE_NODE = {
    "SingleNodeLauncher": "starts as many sets of workers as there are nodes, all on the first one",
    "SimpleLauncher": "starts workers on the first node only",
    "WrappedLauncher": "starts workers on the first node only",
}
LAUNCHERS = {"SlurmProvider": "SrunLauncher", "LSFProvider": "JsrunLauncher"}


@rule("GW501", Severity.ERROR)
def unknown_strategy(settings: Settings) -> Troubles:
    """The engine cannot start: its strategy, or what `job_status_kwargs` says, is unknown."""
    if not settings.has_blocks:
        return
    how, where = strategy(settings)
    if how not in STRATEGIES:
        yield Trouble(
            where,
            f"{_shown(how)} is no strategy: the engine ends with an error when it starts.",
            f"Write one of {', '.join(STRATEGIES)}, as a plain word. `max_idletime` stands under "
            "`job_status_kwargs`.",
        )
    polling = settings.get(*POLLING, default={})
    for name, value in polling.items() if isinstance(polling, dict) else ():
        expected = POLLED.get(name)
        if expected is None or (name != "strategy" and not is_number(value)):
            yield Trouble(
                (*POLLING, str(name)),
                f"`{_shown(name)}: {_shown(value)}` means nothing to the engine: it ends with an "
                "error when it starts.",
                "Known are strategy, and in seconds max_idletime and strategy_period.",
            )


def _shown(value: object) -> str:
    return repr(value)[:60] if not isinstance(value, str) else value[:60]


@rule("GW502", Severity.ERROR)
def unreadable_walltime(settings: Settings) -> Troubles:
    """No block can be submitted, because the walltime is not `HH:MM:SS`."""
    value = settings.get(*PROVIDER, "walltime")
    if value is None or settings.provider not in LIMITED or not settings.has_blocks:
        return
    if isinstance(value, str) and walltime_seconds(value) is not None:
        return
    if is_number(value) and settings.provider not in {"SlurmProvider", "LSFProvider"}:
        return  # seconds, to these schedulers
    reason = (
        f"Without quotes YAML reads a time as a number of seconds, {_shown(value)}, which "
        f"{settings.provider} refuses."
        if is_number(value)
        else f"{_shown(value)} is not `HH:MM:SS`, which is all that {settings.provider} and its "
        "scheduler read: every block fails before it is submitted."
    )
    fix = 'Write hours, also above 24, minutes and seconds, in quotes: `walltime: "24:00:00"`.'
    yield Trouble((*PROVIDER, "walltime"), reason, fix)


@rule("GW503", Severity.ERROR)
def pods_have_no_keys(settings: Settings) -> Troubles:
    """Workers in pods never connect, because traffic is encrypted with keys that they lack."""
    if settings.provider != "KubernetesProvider" or not settings.has_blocks:
        return
    if settings.get(*ENCRYPTED) is False:
        return
    if settings.is_set(*PROVIDER, "persistent_volumes"):
        return  # the keys may be on one
    yield Trouble(
        ENCRYPTED,
        "Traffic is encrypted with keys that are files in the endpoint's folder. A pod does not "
        "see them, so none of its workers ever connects.",
        "Set `encrypted: false` under `engine`, and let nobody else reach the endpoint's ports: "
        "whoever does runs code there. endpoint_configs/kubernetes has a NetworkPolicy.",
    )


@rule("GW504", Severity.ERROR)
def never_a_block(settings: Settings) -> Troubles:
    """No block, or no worker, is ever started, so no task ever runs."""
    if (
        settings.engine == "ProcessPoolEngine"
        and settings.number("engine", "max_workers", default=1) < 1
    ):
        fix = "Set `max_workers: 1` or more."
        yield Trouble(("engine", "max_workers"), "A pool of no workers cannot start.", fix)
    if not settings.has_blocks or init_blocks(settings) >= 1:
        return
    how, where = strategy(settings)
    if how != "none" and max_blocks(settings) >= 1:
        return
    yield Trouble(
        where if how == "none" else (*PROVIDER, "max_blocks"),
        "`init_blocks` is 0, and none is started later: tasks wait forever.",
        "Set `init_blocks: 1` and `max_blocks: 1` or more, and `strategy: simple`.",
    )


@rule("GW505", Severity.ERROR)
def one_node_of_many(settings: Settings) -> Troubles:
    """A block has several nodes, and its launcher starts workers on one of them."""
    nodes = settings.number(*PROVIDER, "nodes_per_block", default=1)
    launcher = settings.text(*PROVIDER, "launcher", "type") or "SingleNodeLauncher"
    if not settings.has_workers or nodes <= 1 or launcher not in ONE_NODE:
        return
    if settings.provider not in {*LIMITED, "LocalProvider"}:
        return  # they have no launcher, or a scheduler that starts each node's
    better = LAUNCHERS.get(settings.provider, "MpiExecLauncher")
    yield Trouble(
        (*PROVIDER, "nodes_per_block"),
        f"A block has {nodes:g} nodes, and {launcher} {ONE_NODE[launcher]}.",
        f"Set `launcher: {{type: {better}}}` under `provider`, or `nodes_per_block: 1`.",
    )


@rule("GW506", Severity.ERROR)
def affinity_does_not_fit(settings: Settings) -> Troubles:
    """Workers end as soon as they start, because `cpu_affinity` is not made for their number."""
    value = settings.text(*AFFINITY)
    if not value or value in AFFINITIES or not settings.has_workers:
        return
    if not _RANKS.fullmatch(value[:4000]):
        yield Trouble(
            AFFINITY,
            f"`cpu_affinity` cannot be {value[:60]!r}: no worker starts.",
            f"Write one of {', '.join(AFFINITIES)}, or a list with the threads of each worker: "
            "`list:0-7:8-15`.",
        )
        return
    ranks, workers = value.count(":"), _workers(settings)
    if workers and ranks != workers:
        yield Trouble(
            AFFINITY,
            f"`cpu_affinity` has threads for {ranks} workers, and each node has {workers}: all of "
            "them end as soon as they start.",
            f"Give threads for {workers} workers, or set `max_workers_per_node: {ranks}`.",
        )


def _workers(settings: Settings) -> int:
    """Return how many workers a node has; 0 if that depends on its cores."""
    limits = [int(settings.number(*WORKERS, default=0)), settings.accelerators]
    return min((limit for limit in limits if limit > 0), default=0)


@rule("GW507")
def traffic_in_plain(settings: Settings) -> Troubles:
    """Anyone who reaches the endpoint's ports can run code as its user: nothing is encrypted."""
    if not settings.has_blocks or settings.get(*ENCRYPTED) is not False:
        return
    if settings.provider == "KubernetesProvider":
        return  # where it has to be: GW503
    yield Trouble(
        ENCRYPTED,
        "Workers and endpoint talk unencrypted and check no identity: anyone who reaches the "
        "endpoint's ports, other users of this machine among them, reads tasks and runs code.",
        "Leave `encrypted` out.",
    )
