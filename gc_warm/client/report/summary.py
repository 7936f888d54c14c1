"""Which figures a report shows, and under which names, in the terminal and in the browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from gc_warm.client.report.figures import share
from gc_warm.units import amount, counted, duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gc_warm.client.report.figures import Figures


class Line(NamedTuple):
    """One figure."""

    name: str
    value: str  # with its unit
    meaning: str  # a sentence, or the end of one


class Table(NamedTuple):
    """A table, as text."""

    title: str
    columns: tuple[str, ...]  # where a name begins with >, its column is of numbers
    rows: Sequence[tuple[str, ...]]


WORKERS_SHOWN = 100


def headline(found: Figures) -> list[Line]:
    """Return the figures that matter most."""
    where = f"in {found.tasks:,} tasks on {counted(len(found.workers), 'worker')}"
    over = f"over {duration(found.wall_seconds)}"
    cold_rate = f"{share(found.cold_rate)} of calls with warm state"
    return [
        Line("calls", f"{found.calls:,}", where),
        Line("cold starts", f"{found.cold:,}", cold_rate),
        Line("building", duration(found.build_seconds), "for cold starts, all workers together"),
        Line("saved", duration(found.saved_seconds), "if every warm call had built its state, too"),
        Line("calls per second", f"{found.calls_per_second:,.3g}", over),
        Line("failed", f"{found.failed:,}", f"calls; {sum(found.lost.values()):,} tasks lost"),
    ]


def details(found: Figures) -> list[Line]:
    """Return the other figures."""
    return [
        Line("time", duration(found.wall_seconds), "from the first submission to the last result"),
        Line("work", duration(found.call_seconds), "all calls together"),
        Line("workers busy", share(found.utilisation), "of that time, on average"),
        Line("overhead", duration(found.overhead_seconds), "queue and transfer of a task, median"),
        Line("retried", f"{found.retried:,}", "tasks with calls that had been lost with a worker"),
        Line("sent", amount(found.payload_bytes), "arguments"),
        Line("received", amount(found.result_bytes), "results"),
        Line("clients", ", ".join(found.clients), "who submitted"),
    ]


def tables(found: Figures) -> list[Table]:
    """Return the tables that have rows."""
    every = (_workers_table(found), _states_table(found), _slowest_table(found), _lost_table(found))
    return [each for each in every if each.rows]


def plain_name(name: str) -> str:
    """Return a name without the module that a worker has for a script."""
    return re.sub(r"^\w*__main__\.", "", name)


def _workers_table(found: Figures) -> Table:
    names = ">tasks", ">calls", ">cold starts", ">building", ">busy", ">failed"
    rows = []
    for each in found.workers.values():
        counts = (f"{number:,}" for number in (each.tasks, each.calls, each.cold))
        times = duration(each.build_seconds), duration(each.busy_seconds)
        rows.append((each.name, each.block or "-", *counts, *times, f"{each.failed:,}"))
    hidden = len(rows) - WORKERS_SHOWN
    title = "Workers" if hidden <= 0 else f"Workers ({hidden:,} more are not shown)"
    return Table(title, ("worker", "block", *names), rows[:WORKERS_SHOWN])


def _states_table(found: Figures) -> Table:
    rows = []
    for each in found.states[:WORKERS_SHOWN]:
        counts = f"{each.builds:,}", f"{each.workers:,}"
        rows.append((plain_name(each.state), each.arguments, *counts, duration(each.seconds)))
    return Table("Warm state", ("state", "arguments", ">builds", ">workers", ">time"), rows)


def _slowest_table(found: Figures) -> Table:
    rows = []
    for each in found.slowest:
        item, worker = "-" if each.item is None else str(each.item), f"{each.host}:{each.pid}"
        rows.append((plain_name(each.function), item, duration(each.seconds), worker))
    return Table("Slowest calls", ("function", ">item", ">time", "worker"), rows)


def _lost_table(found: Figures) -> Table:
    rows = [(why, f"{count:,}") for why, count in found.lost.items()]
    return Table("Lost tasks", ("why", ">tasks"), rows)
