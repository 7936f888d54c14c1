"""Rules about what ends workers: idle times, walltimes, heartbeats, lost blocks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gc_warm.checks.endpoint_rules.rule import Settings, Trouble, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

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
MAX_IDLETIME = 120.0
HEARTBEAT_PERIOD = 30.0
HEARTBEAT_THRESHOLD = 120.0
IDLE_HARD = 5760
# A block shall be used for building at most this share of its time.
WORTH = 0.05

PROVIDER = ("engine", "provider")


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


def strategy(settings: Settings) -> str:
    """Return how blocks are scaled: ``simple``, ``htex_auto_scale`` or ``none``."""
    inner = settings.get("engine", "job_status_kwargs", "strategy")
    return str(inner or settings.get("engine", "strategy", default="simple"))


def scales(settings: Settings) -> bool:
    """Say whether idle blocks are ended at all."""
    return settings.has_blocks and strategy(settings) != "none"


@rule("GW101")
def scale_to_zero(settings: Settings) -> Iterator[Trouble]:
    """All blocks are ended after a pause, because `min_blocks` is 0."""
    if not scales(settings) or min_blocks(settings) >= 1:
        return
    idle = settings.number("engine", "job_status_kwargs", "max_idletime", default=MAX_IDLETIME)
    yield Trouble(
        (*PROVIDER, "min_blocks"),
        f"After {idle:g} seconds without tasks every block is ended, and with it all that its "
        "workers keep; the next task waits for a new block and builds again.",
        "Set `min_blocks: 1` under `provider`.",
    )


@rule("GW102")
def short_idle_time(settings: Settings) -> Iterator[Trouble]:
    """Blocks above `min_blocks` are ended sooner than the pause that shall leave them warm."""
    idle = settings.number("engine", "job_status_kwargs", "max_idletime", default=MAX_IDLETIME)
    pause = settings.needs.pause
    surplus = max_blocks(settings) > max(min_blocks(settings), 1)  # the last one is GW101's
    if not scales(settings) or not surplus or idle >= pause:
        return
    yield Trouble(
        ("engine", "job_status_kwargs", "max_idletime"),
        f"Blocks above min_blocks are ended after {idle:g} idle seconds, shorter than a pause of "
        f"{pause:g}.",
        f"Set `job_status_kwargs: {{max_idletime: {pause:g}}}` under `engine`.",
    )


@rule("GW103")
def fewer_first_blocks(settings: Settings) -> Iterator[Trouble]:
    """Fewer blocks are started than shall stay: the first task finds no worker."""
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
def scales_in_while_busy(settings: Settings) -> Iterator[Trouble]:
    """Blocks are ended while others work, because the strategy is `htex_auto_scale`."""
    if not scales(settings) or strategy(settings) != "htex_auto_scale":
        return
    if max_blocks(settings) <= max(min_blocks(settings), 1):
        return
    inner = ("engine", "job_status_kwargs", "strategy")
    yield Trouble(
        inner if settings.is_set(*inner) else ("engine", "strategy"),
        "`htex_auto_scale` ends blocks whenever there are fewer tasks than workers, so a short "
        "lull makes some of them cold.",
        "Set `strategy: simple`, which ends blocks only when no task is left.",
    )


@rule("GW105")
def block_failure_is_final(settings: Settings) -> Iterator[Trouble]:
    """One failed block makes the endpoint refuse all tasks until it is started again."""
    if not settings.has_blocks or init_blocks(settings) > 1:
        return
    if settings.get("engine", "block_error_handler", default=True) is not True:
        return
    yield Trouble(
        ("engine", "block_error_handler"),
        "With one first block, a single failed one (a lost node, a killed job) is taken for a "
        "broken endpoint: all tasks fail from then on, until the user endpoint starts anew, cold.",
        "Set `block_error_handler: false` under `engine`: the next task starts another block.",
    )


@rule("GW111")
def idle_endpoint_ends(settings: Settings) -> Iterator[Trouble]:
    """The user endpoint's process ends after a pause, with all its workers."""
    beats = settings.number("idle_heartbeats_soft", default=0)
    period = max(5.0, settings.number("heartbeat_period", default=HEARTBEAT_PERIOD))
    pause = settings.needs.pause
    if beats <= 0 or beats * period >= pause:
        return
    yield Trouble(
        ("idle_heartbeats_soft",),
        f"After {beats:g} heartbeats of {period:g} s without tasks ({beats * period:g} s) the "
        f"process ends with all its workers, whatever min_blocks says.",
        f"Set `idle_heartbeats_soft: {-(-pause // period):g}` or more; 0 never ends it.",
    )


@rule("GW112")
def stuck_endpoint_ends(settings: Settings) -> Iterator[Trouble]:
    """A task that runs or builds for long is taken for a lost one, and ends everything."""
    soft = settings.number("idle_heartbeats_soft", default=0)
    hard = max(soft + 1, settings.number("idle_heartbeats_hard", default=IDLE_HARD))
    period = max(5.0, settings.number("heartbeat_period", default=HEARTBEAT_PERIOD))
    wanted = max(settings.needs.pause, 10 * settings.needs.build_seconds)
    if soft <= 0 or hard * period >= wanted:
        return
    yield Trouble(
        ("idle_heartbeats_hard",),
        f"When no task or result has moved for {hard * period:g} s, as during a long build, the "
        "process ends with all its workers.",
        f"Set `idle_heartbeats_hard: {-(-wanted // period):g}` or more.",
    )


@rule("GW113")
def strict_heartbeats(settings: Settings) -> Iterator[Trouble]:
    """A worker that is busy for a minute is taken for dead."""
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
def short_walltime(settings: Settings) -> Iterator[Trouble]:
    """A block ends before building was worth it."""
    default = WALLTIMES.get(settings.provider)
    seconds = walltime_seconds(settings.get(*PROVIDER, "walltime", default=default))
    if not settings.has_blocks or seconds is None:
        return
    build = settings.needs.build_seconds
    if build <= seconds * WORTH:
        return
    hours = -(-build // (WORTH * 3600))
    yield Trouble(
        (*PROVIDER, "walltime"),
        f"A block of {seconds:g} s spends {min(1.0, build / max(seconds, 1)):.0%} of its time on a "
        f"build of {build:g} s, and then ends.",
        f'Set `walltime: "{hours:02.0f}:00:00"` or more under `provider`.',
    )


@rule("GW122")
def early_drain(settings: Settings) -> Iterator[Trouble]:
    """Workers are sent home long before their block ends."""
    drain = settings.number("engine", "drain_period", default=0)
    default = WALLTIMES.get(settings.provider)
    seconds = walltime_seconds(settings.get(*PROVIDER, "walltime", default=default))
    limit = seconds / 2 if seconds else settings.needs.pause
    if not settings.has_blocks or drain <= 0 or drain >= limit:
        return
    yield Trouble(
        ("engine", "drain_period"),
        f"Workers take no more tasks {drain:g} s after they started, and end, cold or warm.",
        "Leave `drain_period` out, or set it to the walltime less the length of one task.",
    )


_WALLTIME = re.compile(r"(?:(\d{1,6})-)?(\d{1,6})(?::(\d{1,4}))?(?::(\d{1,4}))?")


def walltime_seconds(value: object) -> float | None:
    """Read a walltime as Parsl does; None if it is none.

    ``HH:MM:SS``, ``D-HH:MM:SS``, ``HH:MM``; a number is what YAML makes of ``10:00:00``: seconds.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0 <= value < 1e12 else None  # noqa: PLR2004
    found = _WALLTIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    if found[3] is None and found[1] is None:
        return hours * 60  # a bare number is minutes
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
