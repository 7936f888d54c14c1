"""Which fronts may answer, and whose their hits are, while calls begin and end.

The fronts know neither whom they answer nor who holds what. So they begin each call empty, and
answer in it what it has got through its scope. While several calls overlap, they are off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gc_warm.worker import scope, waiting
from gc_warm.worker.slot import end_leases

if TYPE_CHECKING:
    from gc_warm.worker.group import Group
    from gc_warm.worker.scope import Holder, Scope
    from gc_warm.worker.state import State

remembering: set[State] = set()  # whose fronts answer


def may_remember(holder: Holder | None) -> bool:
    """Say whether a front would answer nobody who does not hold the state (lock held)."""
    scopes = list(scope.open_scopes)
    return not scopes or (len(scopes) == 1 and scopes[0] is holder)


def credit(hits: int) -> None:
    """Give hits of a front to the one call that is running, if it is the only one."""
    scopes = list(scope.open_scopes) if hits else []
    if len(scopes) == 1:
        scopes[0].hits += hits


def forget_group(group: Group) -> None:
    """Let the fronts of a group's states answer no more."""
    for state in list(remembering):
        if state.group is group:
            state.forget()


class _Calls:
    """What is done when calls begin and end: see `gc_warm.worker.scope.Listener`."""

    def begin(self, task: Scope) -> None:
        with waiting.lock:
            for state in list(remembering):
                state.forget()
            scope.enter(task)

    def settle(self, task: Scope) -> None:
        for state in list(remembering):
            task.hits += state.settle()

    def end(self, task: Scope) -> None:
        end_leases(task)


scope.listener = _Calls()
