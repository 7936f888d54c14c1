"""Rules about what ends workers: idle times, walltimes, heartbeats, lost blocks."""

from __future__ import annotations

import math
import re

from gc_warm.checks.rules.rule import Place, Settings, Trouble, Troubles, rule
from gc_warm.units import duration

# Parsl's and Globus Compute's own defaults; a contract test compares them.
INIT_BLOCKS = {"KubernetesProvider": 4}
MAX_BLOCKS = dict.fromkeys(
    ("AWSProvider", "AzureProvider", "GoogleCloudProvider", "KubernetesProvider"),
    10,
)
WALLTIMES = {
    "AWSProvider": "01:00:00",
    "CondorProvider": "00:10:00",
    "GridEngineProvider": "00:10:00",
    "LSFProvider": "00:10:00",
    "PBSProProvider": "00:20:00",
    "SlurmProvider": "00:10:00",
    "TorqueProvider": "00:20:00",
}
# Whose blocks end at their walltime; others take one and do nothing with it.
LIMITED = ("SlurmProvider", "PBSProProvider", "TorqueProvider", "LSFProvider", "GridEngineProvider")
BATCH = (*LIMITED, "CondorProvider")
# What ends a block that had worked, and is reported as a failure of it. Parsl takes all else for an
# orderly end: of PBS, Torque and Grid Engine everything, of Slurm cancelling, preemption, walltime.
FAILURES = {
    "LocalProvider": "a killed process",
    "LSFProvider": "any end but a regular one: its walltime, `bkill`, a lost node",
    "CondorProvider": "being held, as for using too much memory",
    "KubernetesProvider": "an evicted pod, or a lost node",
}
QUICK = re.compile(r"debug|devel|test|interactive|express|short", re.IGNORECASE)
MAX_IDLETIME = 120.0
HEARTBEAT_PERIOD = 30.0
HEARTBEAT_THRESHOLD = 120.0
IDLE_HARD = 5760
# At most this share of a block's time should go into building.
WORTH = 0.05

PROVIDER = ("engine", "provider")
HANDLER = ("engine", "block_error_handler")


def min_blocks(settings: Settings) -> float:
    """Return how many blocks stay, however idle they are."""
    return settings.number(*PROVIDER, "min_blocks", default=0)


def init_blocks(settings: Settings) -> float:
    """Return how many blocks there are from the start."""
    default = INIT_BLOCKS.get(settings.provider, 1)
    return settings.number(*PROVIDER, "init_blocks", default=default)


def max_blocks(settings: Settings) -> float:
    """Return how many blocks there may be."""
    default = MAX_BLOCKS.get(settings.provider, 1)
    return settings.number(*PROVIDER, "max_blocks", default=default)


STRATEGY = ("engine", "strategy")
POLLING = ("engine", "job_status_kwargs")


def strategy(settings: Settings) -> tuple[object, Place]:
    """Return how blocks are scaled, ``simple`` by default, and where that stands."""
    polling = settings.get(*POLLING, default={})
    if isinstance(polling, dict) and "strategy" in polling:
        value = polling["strategy"]  # null is "none" here, and the default outside
        return "none" if value is None else value, (*POLLING, "strategy")
    return settings.get(*STRATEGY, default="simple"), STRATEGY


def scales(settings: Settings) -> bool:
    """Return whether idle blocks are ended at all."""
    return settings.has_blocks and strategy(settings)[0] != "none"


def idle_time(settings: Settings) -> float:
    """Return after how many seconds without tasks blocks are ended."""
    if settings.get(*POLLING, "max_idletime") == math.inf:
        return math.inf
    return settings.number(*POLLING, "max_idletime", default=MAX_IDLETIME)


@rule("GW101")
def scale_to_zero(settings: Settings) -> Troubles:
    """All blocks are ended after a pause, because `min_blocks` is 0."""
    idle = idle_time(settings)
    if not scales(settings) or min_blocks(settings) >= 1 or idle >= settings.needs.pause:
        return
    yield Trouble(
        (*PROVIDER, "min_blocks"),
        f"After {duration(idle)} without tasks every block is ended, and with it all that its "
        "workers keep; the next task waits for a new block and builds again.",
        "Set `min_blocks: 1` under `provider`.",
    )


@rule("GW102")
def short_idle_time(settings: Settings) -> Troubles:
    """Blocks above `min_blocks` are ended during a pause that should leave them warm."""
    idle = idle_time(settings)
    pause = settings.needs.pause
    surplus = max_blocks(settings) > max(min_blocks(settings), 1)  # the last one is GW101's
    if not scales(settings) or not surplus or idle >= pause:
        return
    yield Trouble(
        (*POLLING, "max_idletime"),
        f"Blocks above min_blocks are ended after {duration(idle)} without tasks, shorter than a "
        f"pause of {duration(pause)}.",
        f"Set `job_status_kwargs: {{max_idletime: {pause:g}}}` under `engine`.",
    )


@rule("GW103")
def fewer_first_blocks(settings: Settings) -> Troubles:
    """Fewer blocks are started than should stay: the first task finds no worker."""
    if not settings.has_blocks:
        return
    first, kept = init_blocks(settings), min_blocks(settings)
    if first >= max(kept, 1):
        return
    yield Trouble(
        (*PROVIDER, "init_blocks"),
        f"{first:g} blocks are started at first, and min_blocks does not start any: it only keeps "
        "those that tasks have started.",
        f"Set `init_blocks: {max(kept, 1):g}` under `provider`.",
    )


@rule("GW104")
def scales_in_while_busy(settings: Settings) -> Troubles:
    """Blocks are ended while others work, because the strategy is `htex_auto_scale`."""
    how, where = strategy(settings)
    if not settings.has_blocks or how != "htex_auto_scale":
        return
    if max_blocks(settings) <= max(min_blocks(settings), 1):
        return
    yield Trouble(
        where,
        "`htex_auto_scale` ends blocks whenever there are fewer tasks than workers, so a short "
        "lull makes some of them cold.",
        "Set `strategy: simple`, which ends blocks only when no task is left.",
    )


@rule("GW105")
def block_failure_is_final(settings: Settings) -> Troubles:
    """Losing the only block makes the endpoint refuse all tasks until it is started again."""
    failure = FAILURES.get(settings.provider)
    if not settings.has_blocks or not failure or init_blocks(settings) > 1:
        return
    if settings.get(*HANDLER, default=True) is not True:
        return
    yield Trouble(
        HANDLER,
        f"Once all blocks so far have failed, every task fails until the user endpoint starts "
        f"again, cold. With one first block, losing that one is enough. {settings.provider} takes "
        f"for a failure: {failure}.",
        "Set `block_error_handler: false` under `engine`: the next task starts another block.",
    )


@rule("GW106")
def broken_block_is_repeated(settings: Settings) -> Troubles:
    """A block that cannot start is submitted again and again, as long as a task waits."""
    if settings.provider not in BATCH or settings.get(*HANDLER, default=True) is not False:
        return
    if not settings.has_blocks or settings.provider in FAILURES:
        return  # GW105 would ask for it
    yield Trouble(
        HANDLER,
        "With a mistake in `worker_init`, each block ends at once, and as long as a task waits the "
        "next is submitted: a job a minute, forever, and no user sees why.",
        "Leave `block_error_handler` out. Tasks then fail with what the first block printed, and "
        f"{settings.provider} does not count blocks that had worked.",
    )


@rule("GW107")
def ended_blocks_are_not_replaced(settings: Settings) -> Troubles:
    """No block is started after the first ones: when they have ended, tasks wait forever."""
    if not settings.has_blocks or init_blocks(settings) < 1:
        return
    how, where = strategy(settings)
    if how == "none":
        yield Trouble(
            where,
            "The strategy `none` starts the first blocks and no others. When they reach their "
            "walltime, or are lost, tasks wait forever.",
            "Set `strategy: simple`; `min_blocks` keeps idle blocks.",
        )
    elif max_blocks(settings) < 1:
        yield Trouble(
            (*PROVIDER, "max_blocks"),
            "The first blocks are started in spite of `max_blocks`, and no others after them.",
            f"Set `max_blocks: {max(1, init_blocks(settings)):g}` or more under `provider`.",
        )


@rule("GW111")
def idle_endpoint_ends(settings: Settings) -> Troubles:
    """The user endpoint's process ends after a pause, with all its workers."""
    beats = settings.number("idle_heartbeats_soft", default=0)
    period = max(5.0, settings.number("heartbeat_period", default=HEARTBEAT_PERIOD))
    pause = settings.needs.pause
    if beats <= 0 or beats * period >= pause:
        return
    yield Trouble(
        ("idle_heartbeats_soft",),
        f"After {beats:g} heartbeats of {period:g} s without tasks, {duration(beats * period)}, "
        "the process ends with all its workers, whatever min_blocks says.",
        f"Set `idle_heartbeats_soft: {-(-pause // period):g}` or more; 0 never ends it.",
    )


@rule("GW112")
def stuck_endpoint_ends(settings: Settings) -> Troubles:
    """A task that runs or builds for a long time counts as lost, and ends everything."""
    soft = settings.number("idle_heartbeats_soft", default=0)
    hard = max(soft + 1, settings.number("idle_heartbeats_hard", default=IDLE_HARD))
    period = max(5.0, settings.number("heartbeat_period", default=HEARTBEAT_PERIOD))
    wanted = max(settings.needs.pause, 10 * settings.needs.build_seconds)
    if soft <= 0 or hard * period >= wanted:
        return
    yield Trouble(
        ("idle_heartbeats_hard",),
        f"When no task or result has moved for {duration(hard * period)}, as during a long build, "
        "the process ends with all its workers.",
        f"Set `idle_heartbeats_hard: {-(-wanted // period):g}` or more.",
    )


@rule("GW113")
def strict_heartbeats(settings: Settings) -> Troubles:
    """A worker that is busy for a minute counts as dead."""
    period = settings.number("engine", "heartbeat_period", default=HEARTBEAT_PERIOD)
    threshold = settings.number("engine", "heartbeat_threshold", default=HEARTBEAT_THRESHOLD)
    if not settings.has_blocks or threshold >= max(60.0, 2 * period):
        return
    yield Trouble(
        ("engine", "heartbeat_threshold"),
        f"A node whose network or memory is busy for {threshold:g} s, as when many workers load "
        f"their models at once, counts as lost (heartbeats come every {period:g} s): its tasks "
        "fail and its workers end.",
        f"Set `heartbeat_threshold: {max(120.0, 4 * period):g}` under `engine`.",
    )


@rule("GW121")
def short_walltime(settings: Settings) -> Troubles:
    """A block ends before its build has paid off."""
    seconds = block_seconds(settings)
    if not settings.has_blocks or seconds is None:
        return
    build = settings.needs.build_seconds
    if build <= seconds * WORTH:
        return
    hours = -(-build // (WORTH * 3600))
    yield Trouble(
        (*PROVIDER, "walltime"),
        f"A block of {duration(seconds)} spends {min(1.0, build / max(seconds, 1)):.0%} of its "
        f"time on a build of {duration(build)}, and then ends.",
        f'Set `walltime: "{hours:02.0f}:00:00"` or more under `provider`{_elsewhere(settings)}.',
    )


def _elsewhere(settings: Settings) -> str:
    """Name the queue that is for trying out, which ends jobs early whatever they ask for."""
    for name in ("partition", "queue", "qos"):
        if QUICK.search(queue := settings.text(*PROVIDER, name)[:99]):
            return f", and take another {name} than {queue!r}, if that one allows no more"
    return ""


def block_seconds(settings: Settings) -> float | None:
    """Return when a block reaches its walltime, in seconds; None if it has none that is known."""
    if settings.provider not in LIMITED:
        return None
    default = WALLTIMES[settings.provider]
    return walltime_seconds(settings.get(*PROVIDER, "walltime", default=default))


@rule("GW122")
def early_drain(settings: Settings) -> Troubles:
    """Workers end long before their block does."""
    drain = settings.number("engine", "drain_period", default=0)
    seconds = block_seconds(settings)
    limit = seconds / 2 if seconds else settings.needs.pause
    if not settings.has_blocks or drain <= 0 or drain >= limit:
        return
    yield Trouble(
        ("engine", "drain_period"),
        f"Workers take no more tasks {drain:g} s after they start, and then end, warm or not.",
        "Leave `drain_period` out, or set it to the walltime less the length of one task.",
    )


_WALLTIME = re.compile(r"(\d{1,6}):(\d{1,4}):(\d{1,4})")


def walltime_seconds(value: object) -> float | None:
    """Read a walltime, ``HH:MM:SS``; None if it is none.

    A number is what YAML makes of ``10:00:00`` without quotes: seconds.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0 <= value < 1e12 else None  # noqa: PLR2004
    found = _WALLTIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found:
        return None
    hours, minutes, seconds = (float(part) for part in found.groups())
    return (hours * 60 + minutes) * 60 + seconds
