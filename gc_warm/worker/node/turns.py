"""Builds in turn: at most so many builds of an initialiser, or its group, at a time on one node."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

from gc_warm.worker.node import place
from gc_warm.worker.node.bill import add
from gc_warm.worker.node.lock import Lock, describe_holder, held_by_this_thread, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from gc_warm.worker.state.initialiser import Builder
    from gc_warm.worker.state.slot import Slot


def in_turn(state: Any, build: Builder) -> Builder:
    """Return a function that builds like another, in turn with others of the state's group."""
    name, builds, seconds = state.group.name, state.options.builds_per_node, state.options.wait
    key = hashlib.sha256(name.encode()).hexdigest()[:32]

    def build_in_turn(slot: Slot, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if any(path.name.startswith(key) for path in held_by_this_thread()):
            build(slot, args, kwargs)  # what a build needs is part of its turn
            return
        paths = [place.root() / "turns" / f"{key}-{number}" for number in range(builds)]
        with _take(paths, name, seconds, f"{state.name}({slot.label})"):
            now = time.perf_counter()
            add({"node_wait_seconds": now - slot.begun}, slot.bill)
            slot.begun = now
            build(slot, args, kwargs)

    return build_in_turn


def _take(paths: list[Path], name: str, seconds: float, what: str) -> Lock:
    """Wait for a turn: for one of some locks."""

    def attempt() -> Lock | None:
        for path in paths:
            lock = Lock(path)
            if lock.take(make=True):
                lock.say(what)
                return lock
        return None

    def complaint() -> str:
        holders = "; ".join(map(describe_holder, paths))
        return (
            f"{what} waited {seconds:g} s for its turn: {name} has builds_per_node={len(paths)}. "
            f"Building: {holders}. To wait longer, use @warm(wait=...)."
        )

    return wait_for(attempt, seconds, complaint)
